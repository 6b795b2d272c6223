"""RS: keyed state moves with its key groups, back and forth, and each key is where its group is, once."""

from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import pytest
from xxhash import xxh3_64_intdigest

from penstock.base.errors import DamagedData
from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import Types
from penstock.records.key_groups import KeyGroupRange, key_group, range_for
from penstock.state.backend import KeyedBackend, SnapshotForm
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.handles import KeyedHandle
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles
from penstock.testing.states import MovableClock

GROUPS = 8
KEYS = 200
VALUE = ValueStateDescriptor("value", Types.LONG())
MANY = ListStateDescriptor("list", Types.STRING())
MAPPED = MapStateDescriptor("map", Types.LONG(), Types.STRING())
WINDOWS = ValueStateDescriptor("windows", Types.LONG())
Kind = Literal["hashmap", "rocksdb"]
Model = dict[tuple[Any, ...], Any]


@dataclass
class Subtasks:
    """All subtasks of one keyed operator, restored at any parallelism; and a model of what they hold together."""

    kind: Kind
    directory: Path
    rng: Random
    incremental: bool
    files: MemoryFiles = field(default_factory=MemoryFiles)
    model: Model = field(default_factory=dict)
    checkpoints: int = 0
    backends: list[KeyedBackend] = field(default_factory=list)
    handles: list[KeyedHandle] = field(default_factory=list)

    def start(self, parallelism: int) -> None:
        self.backends = [self._open(range_for(GROUPS, parallelism, index)) for index in range(parallelism)]

    def _open(self, own: KeyGroupRange) -> KeyedBackend:
        mine = [handle for handle in self.handles if len(own.intersection(KeyGroupRange(*handle.key_groups)))]
        return open_backend(
            self.kind,
            operator_name="count",
            uid="count",
            key_groups=own,
            max_parallelism=GROUPS,
            key_type=Types.LONG(),
            restore=mine,
            reader=self.files,
            directory=self.directory,
            clock=MovableClock(),
            memory=RocksMemory(4 << 20),
            settings=StateSettings(incremental=self.incremental, write_buffer_bytes=16 << 10),
        )

    def change(self, times: int) -> None:
        """Random writes and deletions of all kinds of state."""
        handles = [
            (b, b.state(VALUE), b.state(MANY), b.state(MAPPED), b.state(WINDOWS, namespaced=True))
            for b in self.backends
        ]
        for _ in range(times):
            key, number = self.rng.randrange(KEYS), self.rng.randrange(1_000_000)
            group = key_group(key, GROUPS)
            backend, value, many, mapped, windows = next(h for h in handles if group in h[0].key_groups)
            backend.prepare([key])
            backend.current.key = key
            inner = number % 4
            windows.set_namespace(inner)
            match self.rng.randrange(8):
                case 0 | 1:
                    value.update(number)
                    self.model["value", key] = number
                case 2:
                    value.clear()
                    self.model.pop(("value", key), None)
                case 3:
                    many.add(str(number))
                    self.model["list", key] = [*self.model.get(("list", key), ()), str(number)]
                case 4:
                    mapped.put(inner, str(number))
                    self.model["map", key, inner] = str(number)
                case 5:
                    mapped.remove(inner)
                    self.model.pop(("map", key, inner), None)
                case 6:
                    windows.update(number)
                    self.model["windows", key, inner] = number
                case _:
                    windows.clear()
                    self.model.pop(("windows", key, inner), None)

    def stop(self, form: SnapshotForm) -> None:
        """A checkpoint, of which only what it refers to stays; then the subtasks end."""
        self.checkpoints += 1
        handles = []
        for backend in self.backends:
            snapshot = backend.snapshot(CheckpointId(self.checkpoints), form=form)
            snapshot.advance(float("inf"))
            handles.append(snapshot.write(self.files))
        self.handles = handles
        for backend in self.backends:
            backend.notify_complete(CheckpointId(self.checkpoints))
            backend.close()
        self.files.keep_only(file.file for handle in handles for file in handle.files)

    def compact(self) -> None:
        """RocksDB: bring what deletions of ranges hide, and what was taken over, through a compaction."""
        for backend in self.backends if self.kind == "rocksdb" else ():
            for family in backend._database.families.values():  # type: ignore[attr-defined]
                family.rdict.compact_range(None, None)

    def found(self) -> Model:
        """What is there; that a key lies outside of its subtask's groups, or twice, is an error."""
        found: Model = {}
        for backend in self.backends:
            for name in ("value", "list", "map", "windows"):
                for key, namespace, map_key, value in backend.entries(name):
                    assert key_group(key, GROUPS) in backend.key_groups, f"{name} of {key} is in {backend.key_groups}"
                    inner = (
                        () if namespace is None and map_key is None else (namespace if map_key is None else map_key,)
                    )
                    place = (name, key, *inner)
                    if name == "list":
                        found.setdefault(place, []).append(value)
                    else:
                        assert place not in found, f"{place} is there twice"
                        found[place] = value
        return found


CASES = [("hashmap", True), ("rocksdb", False), ("rocksdb", True)]
IDS = ["hashmap", "rocksdb-full", "rocksdb-incremental"]


@pytest.mark.parametrize(("kind", "incremental"), CASES, ids=IDS)
@pytest.mark.parametrize("seed", range(3))
def test_rs1_rs2_rs6_all_kinds_of_state_and_windows_move_through_any_row_of_parallelisms(
    kind: Kind, incremental: bool, seed: int, tmp_path: Path
) -> None:
    rng = Random(f"{seed}")
    row = [[1, GROUPS, 1], [2, 4, 1, 3], [rng.randint(1, 6) for _ in range(4)]][seed]
    it = Subtasks(kind, tmp_path, rng, incremental)
    for parallelism in row:
        it.start(parallelism)
        if rng.random() < 0.5:
            it.change(200)
            it.compact()
        assert it.found() == it.model
        it.change(300)
        assert it.found() == it.model
        it.stop("incremental" if rng.random() < 0.7 else "full")


def test_what_was_cut_off_and_comes_back_is_what_the_other_subtask_made_of_it(tmp_path: Path) -> None:
    """The first half's database still holds the second half, hidden; then newer entries of it are taken over."""
    it = Subtasks("rocksdb", tmp_path, Random(0), incremental=True)
    it.start(1)
    it.change(2_000)
    it.stop("incremental")
    for _ in range(3):
        it.start(2)
        it.change(200)
        it.stop("incremental")
        it.start(1)
        assert it.found() == it.model
        it.compact()
        assert it.found() == it.model
        it.change(200)
        assert it.found() == it.model
        it.stop("incremental")


def test_a_database_that_cannot_be_read_to_its_end_is_no_database_that_ends(tmp_path: Path) -> None:
    it = Subtasks("rocksdb", tmp_path, Random(0), incremental=True)
    it.start(2)
    it.change(3_000)
    it.stop("full")
    second = it.handles[1]
    table = max((file for file in second.files if file.name.endswith(".sst")), key=lambda file: file.file.size)
    damaged = bytearray(it.files.files[table.file.path])
    damaged[len(damaged) // 3] ^= 0xFF
    it.files.files[table.file.path] = bytes(damaged)
    # As if it had been damaged on the way, behind the back of the checksum.
    checksum = f"xxh3:{xxh3_64_intdigest(bytes(damaged)):016x}"
    file = type(table.file)(table.file.path, table.file.size, checksum)
    files = tuple(type(f)(f.name, file, f.shared) if f is table else f for f in second.files)
    it.handles[1] = KeyedHandle(second.backend, second.key_groups, files, second.meta)
    with pytest.raises(DamagedData, match="cannot be read to its end: .*orruption"):
        it.start(1)
