"""Both backends against a model: every kind of state, snapshots at any moment, restore at any split.

The model is a dict. Snapshots are advanced bit by bit while batches change values in place; what no confirmed and no
pending checkpoint refers to is deleted; a restore brings back exactly what was there at the barrier, from a canonical
savepoint also on the other backend.
"""

import copy
import io
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import Types
from penstock.records.key_groups import key_group, ranges_for
from penstock.state.backend import KeyedBackend, KeyedSnapshot, SnapshotForm
from penstock.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    StateKind,
    ValueStateDescriptor,
)
from penstock.state.handles import KeyedHandle, files_of
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles

GROUPS = 16
KEYS = [f"k{number}" for number in range(12)]


class Histogram:
    """An accumulator that is changed in place."""

    def create_accumulator(self) -> dict[int, int]:
        return {}

    def add(self, value: int, accumulator: dict[int, int]) -> dict[int, int]:
        accumulator[value] = accumulator.get(value, 0) + 1
        return accumulator

    def get_result(self, accumulator: dict[int, int]) -> int:
        return sum(accumulator.values())

    def merge(self, acc_a: dict[int, int], acc_b: dict[int, int]) -> dict[int, int]:
        return {**acc_a, **acc_b}


def descriptors(prefix: str) -> list[StateDescriptor]:
    return [
        ValueStateDescriptor(f"{prefix}value", Types.LONG()),
        ValueStateDescriptor(f"{prefix}bag"),
        ListStateDescriptor(f"{prefix}list", Types.LONG()),
        MapStateDescriptor(f"{prefix}map", Types.STRING(), Types.LONG()),
        MapStateDescriptor(f"{prefix}bags", Types.STRING()),
        ReducingStateDescriptor(f"{prefix}sum", lambda a, b: a + b, Types.LONG()),
        AggregatingStateDescriptor(f"{prefix}histogram", Histogram()),
    ]


DESCRIPTORS = {
    descriptor.name: (descriptor, spaced)
    for spaced in (False, True)
    for descriptor in descriptors("windowed " if spaced else "")
}
NAMES = sorted(DESCRIPTORS)
Cells = dict[tuple[str, Any], Any]
"""By key and namespace."""
Model = dict[str, Cells]


def act(name: str, state: Any, cells: Cells, place: tuple[str, Any], verb: int, number: int) -> None:
    """Do one thing to the state and to the model, and compare what can be read."""
    kind = DESCRIPTORS[name][0].kind
    held = cells.get(place)
    if kind is StateKind.VALUE and name.endswith("bag"):
        assert state.value() == held
        if verb % 4 == 0:
            state.clear()
            cells.pop(place, None)
        else:
            bag = state.value() or []
            bag.append(number)
            state.update(bag)
            cells[place] = [*(held or []), number]
    elif kind is StateKind.VALUE:
        assert state.value() == held
        written = None if verb % 4 == 0 else number
        state.update(written)
        cells[place] = written
    elif kind is StateKind.LIST:
        act_on_list(state, cells, place, verb, number)
    elif kind is StateKind.MAP:
        act_on_map(name, state, cells, place, verb, number)
    elif verb % 4 == 0:
        state.clear()
        cells.pop(place, None)
    elif kind is StateKind.REDUCING:
        state.add(number)
        cells[place] = number + (held or 0)
        assert state.get() == cells[place]
    else:
        state.add(number)
        cells[place] = Histogram().add(number, held or {})
        assert state.get() == sum(cells[place].values())
    if cells.get(place) in (None, [], {}):
        cells.pop(place, None)


def act_on_list(state: Any, cells: Cells, place: tuple[str, Any], verb: int, number: int) -> None:
    held = cells.setdefault(place, [])
    match verb % 6:
        case 0:
            state.update([])
            held.clear()
        case 1:
            state.update([number, number + 1])
            held[:] = [number, number + 1]
        case 2:
            state.add_all([number] * 3)
            held.extend([number] * 3)
        case 3:
            assert list(state) == held
        case _:
            state.add(number)
            held.append(number)


def act_on_map(name: str, state: Any, cells: Cells, place: tuple[str, Any], verb: int, number: int) -> None:
    held = cells.setdefault(place, {})
    key = f"m{number % 5}"
    value = [number] if name.endswith("bags") else number
    match verb % 9:
        case 0:
            state.remove(key)
            held.pop(key, None)
        case 1:
            state.clear()
            held.clear()
        case 2:
            state.put_all({key: value, "other": copy.deepcopy(value)})
            held.update({key: copy.deepcopy(value), "other": copy.deepcopy(value)})
        case 3:
            assert dict(state.items()) == held
            assert sorted(state.keys()) == sorted(held)
        case 4:
            assert state.is_empty() == (not held)
        case 5:
            assert state.contains(key) == (key in held)
        case 6:
            assert state.get(key) == held.get(key)
            if name.endswith("bags") and key in held:
                state.get(key).append(number)
                held[key].append(number)
        case _:
            state.put(key, value)
            held[key] = copy.deepcopy(value)


def contents(backends: list[KeyedBackend]) -> Model:
    found: Model = {}
    for name, (descriptor, _) in DESCRIPTORS.items():
        cells: dict[tuple[str, Any], Any] = {}
        for backend in backends:
            for key, namespace, map_key, value in backend.entries(name):
                place = (key, namespace)
                if descriptor.kind is StateKind.LIST:
                    cells.setdefault(place, []).append(value)
                elif descriptor.kind is StateKind.MAP:
                    cells.setdefault(place, {})[map_key] = value
                else:
                    assert place not in cells
                    cells[place] = value
        found[name] = cells
    return found


def rows_of(model: Model) -> dict[str, int]:
    """How many entries there are of each state that has any."""
    found = {}
    for name, cells in model.items():
        by_row = DESCRIPTORS[name][0].kind in (StateKind.LIST, StateKind.MAP)
        found[name] = sum(len(cell) if by_row else 1 for cell in cells.values())
    return {name: count for name, count in found.items() if count}


def rows_in(handles: list[KeyedHandle], files: MemoryFiles) -> dict[str, int]:
    """How many rows tables have, by state."""
    found: dict[str, int] = {}
    for handle in handles:
        for file in handle.files:
            rows = pq.ParquetFile(io.BytesIO(files.read(file.file))).metadata.num_rows
            found[file.name] = found.get(file.name, 0) + rows
    return found


@dataclass
class Taken:
    checkpoint: CheckpointId
    model: Model
    snapshots: list[KeyedSnapshot]
    form: SnapshotForm
    handles: list[KeyedHandle] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    kind: Literal["hashmap", "rocksdb"]
    incremental = False

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.files = MemoryFiles()
        self.memory = RocksMemory(8 << 20, overlay_ratio=0.0005)  # Room for six keys.
        self.backends: list[KeyedBackend] = []
        self.states: list[dict[str, Any]] = []
        self.model: Model = {name: {} for name in NAMES}
        self.pending: list[Taken] = []
        self.completed: Taken | None = None
        self.savepoint: Taken | None = None
        self.next = 1
        self.opened = 0

    @initialize(parallelism=st.integers(1, 3), dense_keys=st.sampled_from((3, 1000)))
    def start(self, parallelism: int, dense_keys: int) -> None:
        self.dense_keys = dense_keys
        self.open(parallelism, [])

    def open(self, parallelism: int, handles: list[KeyedHandle]) -> None:
        for backend in self.backends:
            backend.close()
        self.opened += 1
        self.ranges = ranges_for(GROUPS, parallelism)
        self.backends = [
            open_backend(
                self.kind,
                operator_name="tested",
                uid="tested/1",
                key_groups=key_groups,
                max_parallelism=GROUPS,
                key_type=None,
                restore=handles,
                reader=self.files,
                directory=self.directory / f"{self.opened}-{key_groups.first}",
                clock=SystemClock(),
                memory=self.memory,
                settings=StateSettings(incremental=self.incremental, touched_set_keys=2, dense_keys=self.dense_keys),
            )
            for key_groups in self.ranges
        ]
        self.states = [{} for _ in self.backends]

    def state(self, subtask: int, name: str) -> Any:
        """Registered when it is first needed."""
        states = self.states[subtask]
        if name not in states:
            descriptor, spaced = DESCRIPTORS[name]
            states[name] = self.backends[subtask].state(descriptor, namespaced=spaced)
        return states[name]

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6),
        acts=st.lists(
            st.tuples(st.integers(0, 5), st.sampled_from(NAMES), st.integers(0, 35), st.integers(0, 9)),
            min_size=1,
            max_size=12,
        ),
    )
    def batch(self, keys: list[str], acts: list[tuple[int, str, int, int]]) -> None:
        by_subtask = [[key for key in keys if key_group(key, GROUPS) in span] for span in self.ranges]
        for subtask, mine in enumerate(by_subtask):
            if not mine:
                continue
            backend = self.backends[subtask]
            backend.prepare(mine)
            for at, name, verb, number in acts:
                key = backend.current.key = mine[at % len(mine)]
                state = self.state(subtask, name)
                namespace = None
                if DESCRIPTORS[name][1]:
                    namespace = (number % 2, "window")
                    state.set_namespace(namespace)
                act(name, state, self.model[name], (key, namespace), verb, number)

    @precondition(lambda self: len(self.pending) < 2)
    @rule(form=st.sampled_from(("incremental", "incremental", "full", "canonical")))
    def barrier(self, form: SnapshotForm) -> None:
        checkpoint = CheckpointId(self.next)
        self.next += 1
        snapshots = [backend.snapshot(checkpoint, form=form) for backend in self.backends]
        self.pending.append(Taken(checkpoint, copy.deepcopy(self.model), snapshots, form))

    @precondition(lambda self: self.pending)
    @rule(budget_s=st.sampled_from((0.0, 0.0, 0.001)))
    def advance(self, budget_s: float) -> None:
        for snapshot in self.pending[-1].snapshots:
            snapshot.advance(budget_s)

    @precondition(lambda self: self.pending)
    @rule(late=st.booleans())
    def write(self, late: bool) -> None:
        taken = self.pending[-1 if late else 0]
        if not taken.handles:
            for snapshot in taken.snapshots:
                assert snapshot.advance(float("inf"))
            taken.handles = [snapshot.write(self.files) for snapshot in taken.snapshots]

    @precondition(lambda self: any(taken.handles for taken in self.pending))
    @rule()
    def complete(self) -> None:
        taken = next(taken for taken in self.pending if taken.handles)
        for older in [other for other in self.pending if other.checkpoint < taken.checkpoint]:
            self.give_up(older)
        self.pending.remove(taken)
        if taken.form == "canonical":
            self.savepoint = taken
        if taken.form != "incremental":
            return self.tell(taken)
        self.completed = taken
        self.tell(taken)
        kept = [taken, *self.pending, *([self.savepoint] if self.savepoint else [])]
        held = [handle for each in kept for handle in each.handles]
        self.files.keep_only(file.file for file in files_of(tuple(held), None))
        return None

    def tell(self, taken: Taken) -> None:
        for backend in self.backends:
            backend.notify_complete(taken.checkpoint)

    @precondition(lambda self: self.pending)
    @rule()
    def abort(self) -> None:
        self.give_up(self.pending[-1])

    def give_up(self, taken: Taken) -> None:
        self.pending.remove(taken)
        for snapshot, backend in zip(taken.snapshots, self.backends, strict=True):
            if not taken.handles:
                snapshot.discard()
            backend.notify_aborted(taken.checkpoint)

    @precondition(lambda self: self.completed)
    @rule(parallelism=st.integers(1, 3))
    def restore(self, parallelism: int) -> None:
        assert self.completed is not None
        self.restore_from(self.completed, parallelism)

    @precondition(lambda self: self.savepoint)
    @rule(parallelism=st.integers(1, 3), kind=st.sampled_from(("hashmap", "rocksdb")))
    def restore_savepoint(self, parallelism: int, kind: Literal["hashmap", "rocksdb"]) -> None:
        assert self.savepoint is not None
        self.kind = kind
        self.completed = None
        assert rows_in(self.savepoint.handles, self.files) == rows_of(self.savepoint.model)
        self.restore_from(self.savepoint, parallelism)

    def restore_from(self, taken: Taken, parallelism: int) -> None:
        self.pending = []
        self.model = copy.deepcopy(taken.model)
        self.open(parallelism, taken.handles)
        assert contents(self.backends) == self.model
        for backend in self.backends:
            assert len(backend.infos()) >= len({name for name in NAMES if list(backend.entries(name))})

    @rule()
    def idle(self) -> None:
        for backend in self.backends:
            backend.idle(0.001)

    @rule()
    def compare(self) -> None:
        assert contents(self.backends) == self.model

    def teardown(self) -> None:
        for backend in self.backends:
            backend.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class HashmapMachine(Machine):
    kind = "hashmap"


class RocksMachine(Machine):
    kind = "rocksdb"


class RocksIncrementalMachine(Machine):
    kind = "rocksdb"
    incremental = True


QUICK = settings(deadline=None, stateful_step_count=40, suppress_health_check=list(HealthCheck))
TestHashmap = HashmapMachine.TestCase
TestHashmap.settings = settings(QUICK, max_examples=40)
TestRocks = RocksMachine.TestCase
TestRocks.settings = settings(QUICK, max_examples=8)
TestRocksIncremental = RocksIncrementalMachine.TestCase
TestRocksIncremental.settings = settings(QUICK, max_examples=8)
