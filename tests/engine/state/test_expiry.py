"""Time to live, on both backends: each rule by itself, with a clock that tests move."""

from pathlib import Path
from typing import Any

import pytest

from penstock.common.time import Duration, Time
from penstock.common.typeinfo import Types
from penstock.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from penstock.state.ttl_config import StateTtlConfig
from penstock.testing.states import OneSubtask


@pytest.fixture(params=["hashmap", "rocksdb"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    made = OneSubtask(request.param, tmp_path)
    yield made
    made.backend.close()


def living(descriptor: StateDescriptor, ms: int = 100, **choices: bool) -> StateDescriptor:
    builder = StateTtlConfig.new_builder(Time.milliseconds(ms))
    for choice, taken in choices.items():
        if taken:
            getattr(builder, choice)()
    descriptor.enable_time_to_live(builder.build())
    return descriptor


def entries(world: OneSubtask, name: str) -> list[Any]:
    return [value for *_, value in world.backend.entries(name)]


def test_a_value_expires_when_its_time_after_the_last_write_is_over(world: OneSubtask) -> None:
    state = world.backend.state(living(ValueStateDescriptor("v", Types.LONG())))
    world.on("a")
    state.update(1)
    world.clock.at_ms += 99
    assert state.value() == 1
    world.clock.at_ms += 1
    assert state.value() is None


def test_reading_begins_the_time_anew_only_where_it_is_asked_for(world: OneSubtask) -> None:
    written = world.backend.state(living(ValueStateDescriptor("w", Types.LONG())))
    read = world.backend.state(living(ValueStateDescriptor("r", Types.LONG()), update_ttl_on_read_and_write=True))
    world.on("a")
    written.update(1)
    read.update(1)
    world.clock.at_ms += 60
    assert (written.value(), read.value()) == (1, 1)
    world.clock.at_ms += 60
    assert (written.value(), read.value()) == (None, 1)


def test_what_has_expired_may_be_returned_once_if_it_is_still_there(world: OneSubtask) -> None:
    state = world.backend.state(living(ValueStateDescriptor("v", Types.LONG()), return_expired_if_not_cleaned_up=True))
    world.on("a")
    state.update(1)
    world.clock.at_ms += 100
    assert state.value() == 1
    assert state.value() is None


def test_each_element_of_a_list_has_its_own_time(world: OneSubtask) -> None:
    state = world.backend.state(living(ListStateDescriptor("l", Types.STRING())))
    world.on("a")
    state.add("old")
    world.clock.at_ms += 60
    state.add_all(["new", "newer"])
    world.clock.at_ms += 60
    assert list(state) == ["new", "newer"]


def test_each_entry_of_a_map_has_its_own_time(world: OneSubtask) -> None:
    state = world.backend.state(living(MapStateDescriptor("m", Types.STRING(), Types.LONG())))
    world.on("a")
    state.put("old", 1)
    world.clock.at_ms += 60
    state.put("new", 2)
    world.clock.at_ms += 60
    assert state.get("old") is None
    assert not state.contains("old")
    assert dict(state.items()) == {"new": 2}
    world.clock.at_ms += 60
    assert state.is_empty()


def test_an_expired_reduction_begins_anew(world: OneSubtask) -> None:
    state = world.backend.state(living(ReducingStateDescriptor("s", lambda a, b: a + b, Types.LONG())))
    world.on("a")
    state.add(1)
    world.clock.at_ms += 50
    state.add(2)
    assert state.get() == 3
    world.clock.at_ms += 100
    state.add(5)
    assert state.get() == 5


def test_an_expired_accumulator_begins_anew(world: OneSubtask) -> None:
    class Count:
        def create_accumulator(self) -> int:
            return 0

        def add(self, value: Any, accumulator: int) -> int:
            return accumulator + 1

        def get_result(self, accumulator: int) -> int:
            return accumulator

        def merge(self, acc_a: int, acc_b: int) -> int:
            return acc_a + acc_b

    state = world.backend.state(living(AggregatingStateDescriptor("c", Count(), Types.LONG())))
    world.on("a")
    state.add("x")
    state.add("y")
    assert state.get() == 2
    world.clock.at_ms += 100
    state.add("z")
    assert state.get() == 1


def test_time_passes_while_the_job_is_down(world: OneSubtask) -> None:
    descriptor = living(ValueStateDescriptor("v", Types.LONG()))
    state = world.backend.state(descriptor)
    world.on("a")
    state.update(1)
    world.clock.at_ms += 60
    world.restart()
    state = world.backend.state(descriptor)
    world.on("a")
    assert state.value() == 1
    world.clock.at_ms += 40
    assert state.value() is None


def test_a_time_to_live_given_on_restore_begins_with_the_restore(world: OneSubtask) -> None:
    for name, make in (("v", ValueStateDescriptor), ("l", ListStateDescriptor)):
        state = world.backend.state(make(name, Types.LONG()))
        world.on("a")
        if name == "v":
            state.update(7)
        else:
            state.add(7)
    world.restart()
    value = world.backend.state(living(ValueStateDescriptor("v", Types.LONG())))
    elements = world.backend.state(living(ListStateDescriptor("l", Types.LONG())))
    world.on("a")
    assert (value.value(), list(elements)) == (7, [7])
    world.clock.at_ms += 100
    assert (value.value(), list(elements)) == (None, [])


def test_a_time_to_live_taken_away_on_restore_lets_state_live(world: OneSubtask) -> None:
    state = world.backend.state(living(MapStateDescriptor("m", Types.STRING(), Types.LONG())))
    world.on("a")
    state.put("x", 1)
    world.restart()
    state = world.backend.state(MapStateDescriptor("m", Types.STRING(), Types.LONG()))
    world.on("a")
    world.clock.at_ms += 1_000
    assert dict(state.items()) == {"x": 1}
    world.restart()
    state = world.backend.state(MapStateDescriptor("m", Types.STRING(), Types.LONG()))
    world.on("a")
    assert state.get("x") == 1


def test_expired_state_is_removed_in_the_background(world: OneSubtask) -> None:
    state = world.backend.state(living(ValueStateDescriptor("v", Types.LONG())))
    for number in range(50):
        world.on(f"k{number}")
        state.update(number)
    world.restart()
    world.backend.state(living(ValueStateDescriptor("v", Types.LONG())))
    world.clock.at_ms += 100
    while not world.backend.idle(1.0):
        pass
    assert entries(world, "v") == []


def test_expired_state_stays_until_it_is_read_where_background_removal_is_off(world: OneSubtask) -> None:
    off = living(ValueStateDescriptor("v", Types.LONG()), disable_cleanup_in_background=True)
    state = world.backend.state(off)
    world.on("a")
    state.update(1)
    world.clock.at_ms += 100
    world.on("b")
    world.backend.idle(1.0)
    assert entries(world, "v") == [1]
    world.on("a")
    assert state.value() is None
    assert entries(world, "v") == []


def test_a_full_snapshot_of_the_heap_leaves_out_what_has_expired(tmp_path: Path) -> None:
    world = OneSubtask("hashmap", tmp_path)
    descriptor = living(
        ValueStateDescriptor("v", Types.LONG()), cleanup_full_snapshot=True, disable_cleanup_in_background=True
    )
    state = world.backend.state(descriptor)
    world.on("a")
    state.update(1)
    world.clock.at_ms += 100
    world.restart(form="full")
    assert entries(world, "v") == []


def test_a_time_to_live_may_be_a_duration_and_must_be_positive() -> None:
    assert StateTtlConfig.new_builder(Duration.of_seconds(2)).build().ttl_ms == 2_000
    with pytest.raises(ValueError, match="longer than nothing"):
        StateTtlConfig.new_builder(Time.milliseconds(0)).build()


def test_the_default_cleans_up_in_the_background() -> None:
    strategies = StateTtlConfig.new_builder(Time.hours(1)).build().get_cleanup_strategies()
    assert strategies.is_cleanup_in_background()
    incremental = strategies.get_incremental_cleanup_strategy()
    assert incremental is not None and incremental.get_cleanup_size() == 5
    assert not strategies.in_full_snapshot()
