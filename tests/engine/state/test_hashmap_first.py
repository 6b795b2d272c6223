"""Keyed state on the heap: snapshots and restore."""

from pathlib import Path
from typing import Any

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId
from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.handles import KeyedHandle
from penstock.state.open import open_backend
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles

FILES = MemoryFiles()


ALL = KeyGroupRange(0, 127)


def opened(restore: list[KeyedHandle], key_groups: KeyGroupRange = ALL) -> KeyedBackend:
    return open_backend(
        "hashmap",
        operator_name="count",
        uid="count",
        key_groups=key_groups,
        max_parallelism=128,
        key_type=None,
        restore=restore,
        reader=FILES,
        directory=Path("unused"),
        clock=SystemClock(),
        memory=None,
        settings=StateSettings(),
    )


def contents(backend: KeyedBackend, name: str) -> dict[Any, Any]:
    return {(key, map_key): value for key, _, map_key, value in backend.entries(name)}


def test_a_snapshot_holds_what_was_there_at_the_barrier() -> None:
    backend = opened([])
    count = backend.state(ValueStateDescriptor("count"))
    seen = backend.state(ListStateDescriptor("seen"))
    latest = backend.state(MapStateDescriptor("latest"))

    def batch(keys: list[str]) -> None:
        backend.prepare(keys)
        for key in keys:
            backend.current.key = key
            count.update((count.value() or 0) + 1)
            seen.add(key)
            latest.put(key, [1])
            latest.get(key).append(2)

    batch(["a", "b", "c"])
    for number in range(1, 5):
        checkpoint = CheckpointId(number)
        expected = {name: dict(contents(backend, name)) for name in ("count", "seen")}
        snapshot = backend.snapshot(checkpoint, full=False)
        batch(["b", "d"])
        assert snapshot.advance(1.0)
        handle = snapshot.write(FILES)
        backend.notify_complete(checkpoint)
        restored = opened([handle])
        assert {name: contents(restored, name) for name in ("count", "seen")} == expected
        half = [opened([handle], KeyGroupRange(0, 63)), opened([handle], KeyGroupRange(64, 127))]
        assert {**contents(half[0], "count"), **contents(half[1], "count")} == expected["count"]
