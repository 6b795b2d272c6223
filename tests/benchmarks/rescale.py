"""How long four subtasks take to restore what two have left in RocksDB, over how long two take: 10M small entries.

Each subtask is a process with the state of one operator, as in a worker; files lie in a folder. The time is that of
the slowest, from the moment in which all are ready to begin. Both ways are measured in turn. Before a process ends, it
looks some of its keys up and counts a sample of its key groups, so that nobody is fast by leaving something out.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measurement import Measured

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId, Epoch, JobId
from penstock.checkpoint.files import JobFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.layout import Provenance
from penstock.common.typeinfo import Types
from penstock.records.key_groups import KeyGroupRange, KeyGroups, range_for
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import ValueStateDescriptor
from penstock.state.handles import KeyedHandle
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.storage import S3Settings, open_store

ENTRIES: Final = 10_000_000
ROUNDS: Final = 3
GROUPS: Final = 128
TARGET: Final = 1.3
_BATCH: Final = 20_000
_SEEN_EVERY: Final = 9_973
_JOB: Final = JobId("0" * 32)
_STATE: Final = ValueStateDescriptor("count", Types.LONG())


def measure(entries: int = ENTRIES) -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        handles: list[KeyedHandle] = []
        for round_number, old in enumerate((2, 4)):
            handles = _all(_write, old, folder, entries, CheckpointId(round_number + 1))
            if old == 2:
                out = _compared(handles, 2, 4, folder, entries)
        back = _compared(handles, 4, 2, folder, entries)
    return [
        Measured("rescale_2_to_4", out[0], TARGET, "of a restore at 2", "less", out[1]),
        Measured("rescale_4_to_2", back[0], TARGET, "of a restore at 4", "less", back[1]),
    ]


def _compared(handles: list[KeyedHandle], old: int, new: int, folder: Path, entries: int) -> tuple[float, str]:
    """The ratio, and what it is of."""
    same, other = [], []
    for _ in range(ROUNDS):
        same.append(max(_all(_restore, old, folder, entries, handles)))
        other.append(max(_all(_restore, new, folder, entries, handles)))
    ratio = statistics.median(b / a for a, b in zip(same, other, strict=True))
    size = sum(file.file.size for handle in handles for file in handle.files) / 1e6
    took = f"{statistics.median(other):.2f} s over {statistics.median(same):.2f} s"
    return ratio, f"{entries / 1e6:g} M entries, {size:.0f} MB: {took}"


def _all(work: Any, parallelism: int, *arguments: Any) -> list[Any]:
    """What `work` gives for each subtask, all at once in processes of their own."""
    context = multiprocessing.get_context("spawn")
    ready, answers = context.Barrier(parallelism), context.SimpleQueue()
    processes = [
        context.Process(target=_subtask, args=(work, index, parallelism, ready, answers, arguments))
        for index in range(parallelism)
    ]
    for process in processes:
        process.start()
    found = dict(answers.get() for _ in processes)
    for process in processes:
        process.join()
    for answer in found.values():
        if isinstance(answer, str):
            raise RuntimeError(answer)
    return [found[index] for index in range(parallelism)]


def _subtask(work: Any, index: int, parallelism: int, ready: Barrier, answers: Any, arguments: Any) -> None:
    try:
        answer = work(index, parallelism, ready, *arguments)
    except BaseException as error:
        ready.abort()
        answer = f"subtask {index} of {parallelism}: {error!r}"
    answers.put((index, answer))


def _open(folder: Path, own: KeyGroupRange, handles: list[KeyedHandle], directory: Path) -> KeyedBackend:
    return open_backend(
        "rocksdb",
        operator_name="count",
        uid="count",
        key_groups=own,
        max_parallelism=GROUPS,
        key_type=Types.LONG(),
        restore=handles,
        reader=SnapshotReading(open_store(str(folder), S3Settings()), open_root=lambda _: open_store("", S3Settings())),
        directory=directory,
        clock=SystemClock(),
        memory=RocksMemory(256 << 20),
        settings=StateSettings(incremental=True),
    )


def _own_keys(entries: int, own: KeyGroupRange) -> Any:
    """Batches of the keys that belong to these groups."""
    groups = KeyGroups(GROUPS, capacity=0)
    for first in range(0, entries, _BATCH):
        keys = range(first, min(first + _BATCH, entries))
        yield [key for key, group in zip(keys, groups.groups(keys), strict=True) if group in own]


def _write(
    index: int, parallelism: int, ready: Barrier, folder: Path, entries: int, checkpoint: CheckpointId
) -> KeyedHandle:
    own = range_for(GROUPS, parallelism, index)
    with tempfile.TemporaryDirectory() as directory:
        backend = _open(folder, own, [], Path(directory))
        state, current = backend.state(_STATE), backend.current
        for keys in _own_keys(entries, own):
            backend.prepare(keys)
            for key in keys:
                current.key = key
                state.update(key)
        snapshot = backend.snapshot(checkpoint, form="incremental")
        snapshot.advance(float("inf"))
        place = JobFolder(open_store(str(folder), S3Settings()), _JOB, Provenance(Epoch(1), checkpoint))
        writer = SnapshotFiles(place, writer=f"count-{index}", inline_max_bytes=0, random=lambda: f"{index:08d}")
        handle = snapshot.write(writer)
        backend.close()
    return handle


def _restore(
    index: int, parallelism: int, ready: Barrier, folder: Path, entries: int, handles: list[KeyedHandle]
) -> float:
    own = range_for(GROUPS, parallelism, index)
    mine = [handle for handle in handles if len(own.intersection(KeyGroupRange(*handle.key_groups)))]
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        ready.wait()
        begun = time.perf_counter()
        backend = _open(folder, own, mine, Path(directory))
        state = backend.state(_STATE)
        took_s = time.perf_counter() - begun
        ready.wait()
        groups = KeyGroups(GROUPS, capacity=0)
        sample = range(0, entries, _SEEN_EVERY)
        for key, group in zip(sample, groups.groups(sample), strict=True):
            backend.prepare([key])
            backend.current.key = key
            if group in own and state.value() != key:
                raise AssertionError(f"key {key} has {state.value()}")
        backend.close()
    return took_s


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES):
        print(row)
