"""Nanoseconds per record of keyed state: `value()` and `update()` of a count, batches of 1,000 keys with `prepare`.

Run it with the name of a case, or without for all: `python tests/benchmarks/state_access.py [case]`. Prints ratios
against a bare dict, and for snapshots pauses and sizes. Not a test.
"""

import gc
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import Types
from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import CurrentKey, KeyedBackend
from penstock.state.descriptors import ValueStateDescriptor
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles

BATCH = 1_000
MEBIBYTE = 1 << 20
Batches = list[list[str]]


class Slot:
    """The least a handle can be."""

    __slots__ = ("cells", "get", "key")

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}
        self.get = self.cells.get
        self.key = ""

    def value(self) -> int | None:
        return self.get(self.key)

    def update(self, value: int) -> None:
        self.cells[self.key] = value


def count_with(state: Any, current: Any, keys: list[str]) -> None:
    for key in keys:
        current.key = key
        held = state.value()
        state.update(1 if held is None else held + 1)


def opened(kind: Literal["hashmap", "rocksdb"], directory: Path, memory: RocksMemory | None = None) -> KeyedBackend:
    return open_backend(
        kind,
        operator_name="count",
        uid="count",
        key_groups=KeyGroupRange(0, 127),
        max_parallelism=128,
        key_type=Types.STRING(),
        restore=[],
        reader=MemoryFiles(),
        directory=directory,
        clock=SystemClock(),
        memory=memory,
        settings=StateSettings(incremental=True),
    )


def per_record(run: Callable[[list[str]], None], batches: Batches) -> float:
    """The lower quartile over batches, in ns."""
    spans = []
    for keys in batches:
        begun = time.perf_counter()
        run(keys)
        spans.append(time.perf_counter() - begun)
    spans.sort()
    return spans[len(spans) // 4] / BATCH * 1e9


def random_batches(names: list[str], count: int) -> Batches:
    return [random.choices(names, k=BATCH) for _ in range(count)]


def in_order(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), BATCH):
        yield names[at : at + BATCH]


def heap(keys: int) -> None:
    names = [f"w{number}" for number in range(keys)]
    slot = Slot()
    backend = opened("hashmap", Path("unused"))
    state = backend.state(ValueStateDescriptor("count", Types.LONG()))
    current = backend.current

    def with_backend(batch: list[str]) -> None:
        backend.prepare(batch)
        count_with(state, current, batch)

    for batch in in_order(names):
        count_with(slot, slot, batch)
        with_backend(batch)
    batches = random_batches(names, 600)
    bare = per_record(lambda batch: count_with(slot, slot, batch), batches)
    ours = per_record(with_backend, batches)
    only = per_record(lambda batch: count_with(state, current, batch), batches)
    prepared = per_record(backend.prepare, batches)
    print(
        f"heap, {keys} keys: bare slot {bare:.0f}, handle {only:.0f} (x{only / bare:.2f}), "
        f"prepare {prepared:.0f}, both {ours:.0f}"
    )


def rocks(keys: int, memory_mebibytes: int) -> None:
    directory = Path(tempfile.mkdtemp())
    try:
        backend = opened("rocksdb", directory, RocksMemory(memory_mebibytes * MEBIBYTE))
        state = backend.state(ValueStateDescriptor("count", Types.LONG()))
        names = [f"w{number}" for number in range(keys)]
        current: CurrentKey = backend.current
        begun = time.perf_counter()
        for batch in in_order(names):
            backend.prepare(batch)
            count_with(state, current, batch)
        filled = (time.perf_counter() - begun) / keys * 1e9
        batches = random_batches(names, 1_500)
        begun = time.perf_counter()
        worst = 0.0
        for batch in batches:
            at = time.perf_counter()
            backend.prepare(batch)
            count_with(state, current, batch)
            worst = max(worst, time.perf_counter() - at)
            gc.collect(0)
        took = (time.perf_counter() - begun) / len(batches) / BATCH
        print(
            f"rocksdb, {keys} uniform keys, memory {memory_mebibytes} MiB: filling {filled:.0f}, "
            f"then {took * 1e9:.0f} ns = {1 / took:,.0f} records/s, worst batch {worst * 1e3:.1f} ms"
        )
        snapshots("rocksdb", backend, state, names)
        backend.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def heap_snapshots(keys: int = 1_000_000) -> None:
    backend = opened("hashmap", Path("unused"))
    state = backend.state(ValueStateDescriptor("count", Types.LONG()))
    names = [f"w{number}" for number in range(keys)]
    for batch in in_order(names):
        backend.prepare(batch)
        count_with(state, backend.current, batch)
    snapshots("hashmap", backend, state, names)


def snapshots(kind: str, backend: KeyedBackend, state: Any, names: list[str]) -> None:
    """One of everything, one after 1 % of the keys changed, one of everything under load."""
    files = MemoryFiles()
    changed = random.sample(names, len(names) // 100)
    sizes = []
    for number, touched in enumerate((names[:0], changed), 1):
        for batch in in_order(touched):
            backend.prepare(batch)
            count_with(state, backend.current, batch)
        before = files.written_bytes
        begun = time.perf_counter()
        snapshot = backend.snapshot(CheckpointId(number), form="incremental")
        pause = time.perf_counter() - begun
        worst = 0.0
        while True:
            at = time.perf_counter()
            done = snapshot.advance(0.001)
            worst = max(worst, time.perf_counter() - at)
            if done:
                break
        advanced = time.perf_counter() - begun
        snapshot.write(files)
        backend.notify_complete(CheckpointId(number))
        sizes.append(files.written_bytes - before)
        print(
            f"  {kind} snapshot {number}: barrier {pause * 1e6:.0f} us, slices {advanced * 1e3:.0f} ms (worst "
            f"{worst * 1e3:.1f} ms), in all {(time.perf_counter() - begun) * 1e3:.0f} ms, {sizes[-1]:,} bytes"
        )
    print(f"  {kind}: 1 % changed writes {sizes[1] / sizes[0]:.2%} of everything")
    random_keys = random_batches(names, 200)

    def batch_time(batch: list[str]) -> float:
        at = time.perf_counter()
        backend.prepare(batch)
        count_with(state, backend.current, batch)
        return time.perf_counter() - at

    plain = sorted(map(batch_time, random_keys))[100]
    snapshot = backend.snapshot(CheckpointId(3), form="full")
    spans: list[float] = []
    worst, done = 0.0, False
    begun = time.perf_counter()
    while not done:
        took = batch_time(random_keys[len(spans) % 200])
        spans.append(took)
        at = time.perf_counter()
        done = snapshot.advance(took / 3)
        worst = max(worst, time.perf_counter() - at)
    whole = time.perf_counter() - begun
    snapshot.write(files)
    print(
        f"  {kind} full snapshot under load: {whole * 1e3:.0f} ms, worst batch {max(spans) * 1e3:.1f} ms, worst slice "
        f"{worst * 1e3:.1f} ms, throughput x{plain * len(spans) / whole:.2f}"
    )


CASES: dict[str, Callable[[], None]] = {
    "heap-10k": lambda: heap(10_000),
    "heap-1m": lambda: heap(1_000_000),
    "heap-snapshots": heap_snapshots,
    "rocksdb-1m-128": lambda: rocks(1_000_000, 128),
    "rocksdb-1m-512": lambda: rocks(1_000_000, 512),
}

if __name__ == "__main__":
    gc.disable()
    for name in sys.argv[1:] or CASES:
        CASES[name]()
