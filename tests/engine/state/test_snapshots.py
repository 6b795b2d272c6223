"""Snapshots of both backends: what they hold, what they refer to, and what a failed or aborted one leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import Types
from penstock.records.key_groups import KeyGroupRange
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.state.handles import KeyedHandle
from penstock.state.settings import StateSettings
from penstock.testing.states import OneSubtask

COUNT = ValueStateDescriptor("count", Types.LONG())


@pytest.fixture(params=["hashmap", "rocksdb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = OneSubtask(request.param, tmp_path)
    yield made
    made.backend.close()


def put(world: OneSubtask, **values: int) -> None:
    state = world.backend.state(COUNT)
    for key, value in values.items():
        world.on(key)
        state.update(value)


def restored(world: OneSubtask, handle: KeyedHandle) -> dict[Any, Any]:
    backend = world.open([handle])
    try:
        return {key: value for key, _, _, value in backend.entries("count")}
    finally:
        backend.close()


def paths(handle: KeyedHandle) -> set[str]:
    return {file.file.path for file in handle.files if file.name.endswith(".sst") or handle.backend == "hashmap"}


def test_a_snapshot_builds_on_the_files_of_the_confirmed_one(world: OneSubtask) -> None:
    put(world, **{f"k{number}": number for number in range(100)})
    first = world.snapshot()
    put(world, k1=-1)
    second = world.snapshot()
    assert paths(first) < paths(second)
    assert all(file.shared for file in second.files if file.file.path in paths(second))
    assert restored(world, second) == {f"k{number}": number for number in range(100)} | {"k1": -1}


def test_a_full_snapshot_refers_to_no_earlier_file_and_none_builds_on_it(world: OneSubtask) -> None:
    put(world, a=1)
    first = world.snapshot()
    put(world, b=2)
    alone = world.snapshot(form="full")
    assert not paths(first) & paths(alone)
    assert not any(file.shared for file in alone.files)
    put(world, c=3)
    third = world.snapshot()
    assert not paths(alone) & paths(third)
    assert restored(world, alone) == {"a": 1, "b": 2}
    assert restored(world, third) == {"a": 1, "b": 2, "c": 3}


def test_an_aborted_snapshot_gives_its_keys_to_the_next(world: OneSubtask) -> None:
    put(world, a=1, b=1)
    world.snapshot()
    put(world, a=2)
    aborted = world.backend.snapshot(CheckpointId(50), form="incremental")
    aborted.advance(0.0)
    put(world, b=3)
    aborted.discard()
    world.backend.notify_aborted(CheckpointId(50))
    world.checkpoints = 50
    assert restored(world, world.snapshot()) == {"a": 2, "b": 3}


def test_a_written_snapshot_that_is_never_confirmed_is_not_built_on(world: OneSubtask) -> None:
    put(world, a=1)
    first = world.snapshot()
    put(world, b=2)
    lost = world.backend.snapshot(CheckpointId(50), form="incremental")
    lost.advance(float("inf"))
    lost_handle = lost.write(world.files)
    world.backend.notify_aborted(CheckpointId(50))
    world.checkpoints = 50
    third = world.snapshot()
    assert not (paths(lost_handle) - paths(first)) & paths(third)
    assert restored(world, third) == {"a": 1, "b": 2}


def test_a_removed_key_stays_removed_after_a_restore(world: OneSubtask) -> None:
    put(world, a=1, b=2)
    world.snapshot()
    world.on("a")
    world.backend.state(COUNT).clear()
    assert restored(world, world.snapshot()) == {"b": 2}


def test_a_value_changed_in_place_after_the_barrier_is_stored_as_it_was(world: OneSubtask) -> None:
    bags = world.backend.state(ValueStateDescriptor("count"))
    for key in ("a", "b"):
        world.on(key)
        bags.update([1])
    snapshot = world.backend.snapshot(CheckpointId(9), form="incremental")
    world.on("b")
    bags.value().append(2)
    snapshot.advance(float("inf"))
    assert restored(world, snapshot.write(world.files)) == {"a": [1], "b": [1]}


def test_state_restored_but_not_asked_for_is_kept(world: OneSubtask) -> None:
    put(world, a=1)
    world.restart()
    other = world.backend.state(ListStateDescriptor("other", Types.LONG()))
    world.on("b")
    other.add(5)
    handle = world.snapshot()
    assert restored(world, handle) == {"a": 1}
    assert {info.name for info in world.backend.infos()} == {"count", "other"}


def test_state_is_split_and_joined_by_key_groups(world: OneSubtask) -> None:
    values = {f"k{number}": number for number in range(60)}
    put(world, **values)
    whole = world.snapshot()
    handles, found = [], {}
    for first, last in ((0, 40), (41, 90), (91, 127)):
        part = world.open([whole], KeyGroupRange(first, last))
        found.update({key: value for key, _, _, value in part.entries("count")})
        snapshot = part.snapshot(CheckpointId(77), form="incremental")
        snapshot.advance(float("inf"))
        handles.append(snapshot.write(world.files))
        part.close()
    assert found == values
    joined = world.open(handles)
    assert {key: value for key, _, _, value in joined.entries("count")} == values
    joined.close()


def test_a_value_that_cannot_be_stored_fails_the_checkpoint_and_names_the_state(world: OneSubtask) -> None:
    state = world.backend.state(ValueStateDescriptor("handlers"))
    world.on("a")
    state.update(lambda: None)
    with pytest.raises(StateError, match="handlers"):
        world.snapshot()


def test_a_name_with_two_types_is_refused(world: OneSubtask) -> None:
    world.backend.state(COUNT)
    with pytest.raises(StateError, match=r"state count of operator sessions is asked for as STRING\(\).*LONG\(\)"):
        world.backend.state(ValueStateDescriptor("count", Types.STRING()))
    with pytest.raises(StateError, match="asked for as list"):
        world.backend.state(ListStateDescriptor("count", Types.LONG()))


def test_a_type_that_does_not_fit_the_checkpoint_is_refused_by_name(world: OneSubtask) -> None:
    put(world, a=1)
    world.restart()
    with pytest.raises(IncompatibleState, match=r"state count of operator sessions has type LONG\(\).*STRING\(\) now"):
        world.backend.state(ValueStateDescriptor("count", Types.STRING()))


def test_an_undeclared_state_may_be_declared_later(world: OneSubtask) -> None:
    state = world.backend.state(ValueStateDescriptor("count"))
    entries = world.backend.state(MapStateDescriptor("entries"))
    world.on("a")
    state.update(3)
    entries.put("x", 4)
    world.snapshot()
    world.restart()
    put(world, b=4)
    entries = world.backend.state(MapStateDescriptor("entries", Types.STRING(), Types.LONG()))
    world.on("a")
    assert dict(entries.items()) == {"x": 4}
    handle = world.snapshot()
    assert restored(world, handle) == {"a": 3, "b": 4}
    world.restart()
    put(world, c=5)
    assert restored(world, world.snapshot()) == {"a": 3, "b": 4, "c": 5}


def test_keys_of_every_canonical_kind_come_back(world: OneSubtask) -> None:
    for number, key in enumerate([(1, "x"), (2**80, "\ud800"), (None, "y")]):
        world.on(key)
        world.backend.state(COUNT).update(number)
    assert restored(world, world.snapshot()) == {(1, "x"): 0, (2**80, "\ud800"): 1, (None, "y"): 2}
    assert world.backend.key_info() is not None


def test_damaged_files_are_refused(world: OneSubtask) -> None:
    put(world, a=1)
    handle = world.snapshot()
    for path, data in world.files.files.items():
        world.files.files[path] = data[:-1] + bytes((data[-1] ^ 1,))
    with pytest.raises(DamagedData):
        world.open([handle])


def test_state_of_the_other_backend_is_refused(world: OneSubtask) -> None:
    put(world, a=1)
    handle = world.snapshot()
    world.kind = "rocksdb" if world.kind == "hashmap" else "hashmap"
    with pytest.raises(IncompatibleState, match="canonical savepoint"):
        world.open([handle])


def test_closing_leaves_no_local_files(tmp_path: Path) -> None:
    world = OneSubtask("rocksdb", tmp_path)
    put(world, a=1)
    world.snapshot()
    running = world.backend.snapshot(CheckpointId(50), form="incremental")
    world.backend.close()
    assert list(tmp_path.iterdir()) == []
    assert running.advance(0.0)


def test_a_map_larger_than_memory_allows_is_written_back(tmp_path: Path) -> None:
    world = OneSubtask("rocksdb", tmp_path)
    state = world.backend.state(MapStateDescriptor("m", Types.LONG(), Types.LONG()))
    for number in range(30_000):
        if number % 1_000 == 0:
            world.on("a")
        state.put(number, number)
    assert dict(state.items()) == {number: number for number in range(30_000)}
    assert state._store._load.entries <= 2 * (4 << 20) // 400
    world.backend.close()


def test_a_list_written_in_many_pieces_is_read_in_order(tmp_path: Path) -> None:
    world = OneSubtask("rocksdb", tmp_path)
    descriptor = ListStateDescriptor("l", Types.LONG())
    state = world.backend.state(descriptor)
    for number in range(40):
        world.on("a")
        state.add(number)
        world.snapshot()
    world.restart()
    state = world.backend.state(descriptor)
    for number in range(40, 80):
        world.on("a")
        state.add(number)
        if number % 10 == 0:
            assert list(state) == list(range(number + 1))
        world.snapshot()
    world.restart()
    world.on("a")
    assert list(world.backend.state(descriptor)) == list(range(80))
    world.backend.close()


def test_a_snapshot_holds_what_was_at_its_barrier_whatever_begins_after_it(world: OneSubtask) -> None:
    before, after = ({f"k{number}": sign * number for number in range(10_000)} for sign in (1, -1))
    put(world, **before)
    first = world.backend.snapshot(CheckpointId(1), form="full")
    put(world, **after)
    second = world.backend.snapshot(CheckpointId(2), form="full")
    for _ in range(5):
        put(world, new=1)
    for snapshot, held in ((first, before), (second, after)):
        snapshot.advance(float("inf"))
        assert restored(world, snapshot.write(world.files)) == held


def test_once_most_keys_are_touched_no_more_are_noted_and_the_next_snapshot_holds_all(tmp_path: Path) -> None:
    world = OneSubtask("hashmap", tmp_path)
    world.settings = StateSettings(dense_keys=50)
    world.backend = world.open([])
    put(world, **{f"k{number}": 0 for number in range(100)})
    first = world.snapshot()
    put(world, **{f"k{number}": 1 for number in range(40)})
    changes = world.snapshot()
    put(world, **{f"k{number}": 2 for number in range(60)})
    put(world, k99=2, new=2)
    everything = world.snapshot()
    put(world, k0=3)
    after = world.snapshot()

    assert paths(first) < paths(changes)
    assert not paths(everything) & paths(changes)
    assert paths(everything) < paths(after)
    expected = {f"k{number}": 2 if number < 60 or number == 99 else 0 for number in range(100)} | {"new": 2}
    assert restored(world, everything) == expected
    assert restored(world, after) == expected | {"k0": 3}


def test_keys_of_another_type_than_the_checkpoints_are_refused_whether_declared_or_seen(world: OneSubtask) -> None:
    put(world, a=1)
    handle = world.snapshot()
    held = world.backend.key_info()
    world.key_type = Types.LONG()
    with pytest.raises(IncompatibleState, match="keys of operator sessions are str in the checkpoint, int now"):
        world.open([handle], restored_keys=held)
    world.key_type = None
    backend = world.open([handle], restored_keys=held)
    try:
        assert backend.key_info() == held, "known before the first key"
        with pytest.raises(IncompatibleState, match="keys of operator sessions are str in the checkpoint, int now"):
            backend.prepare([7])
    finally:
        backend.close()


def test_a_snapshot_anew_refers_to_no_earlier_file_and_the_next_builds_on_it(world: OneSubtask) -> None:
    put(world, **{f"key{number}": number for number in range(40)})
    before = {file.file.path for file in world.snapshot().files if file.shared}
    put(world, key1=100)
    handle = world.snapshot(form="anew")
    anew = {file.file.path for file in handle.files}
    assert restored(world, handle)["key1"] == 100 and len(restored(world, handle)) == 40
    put(world, key2=200)
    after = world.snapshot()
    assert not before & anew
    assert {file.file.path for file in after.files} & anew
    assert restored(world, after)["key2"] == 200
