"""A task's watermark is the least of its inputs that are not idle."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP
from penstock.taskmanager.valve import WatermarkValve


def test_the_slowest_channel_holds_the_watermark_back() -> None:
    valve = WatermarkValve(2)
    assert valve.on_watermark(0, 10) is None
    assert valve.on_watermark(1, 5) == 5
    assert valve.on_watermark(1, 20) == 10


def test_an_idle_channel_holds_nobody_back() -> None:
    valve = WatermarkValve(2)
    valve.on_watermark(0, 10)
    assert valve.on_status(1, True) == (None, 10)


def test_when_all_are_idle_the_task_is_and_goes_as_far_as_the_furthest() -> None:
    valve = WatermarkValve(2)
    valve.on_watermark(0, 10)
    valve.on_watermark(1, 5)
    assert valve.on_status(1, True) == (None, 10)
    assert valve.on_status(0, True) == (True, None)


def test_a_channel_that_wakes_up_wakes_the_task() -> None:
    valve = WatermarkValve(2)
    valve.on_status(0, True)
    valve.on_status(1, True)
    assert valve.on_status(0, False)[0] is False


def test_an_ended_channel_counts_as_idle() -> None:
    valve = WatermarkValve(2)
    valve.on_watermark(0, 7)
    assert valve.on_end(1) == (None, 7)


def test_the_end_of_event_time_needs_no_status() -> None:
    valve = WatermarkValve(1)
    assert valve.on_watermark(0, MAX_WATERMARK) == MAX_WATERMARK
    assert valve.on_end(0) == (None, None)


@given(st.lists(st.tuples(st.integers(0, 2), st.one_of(st.integers(0, 50), st.booleans()))))
def test_the_watermark_never_goes_back(events: list[tuple[int, int | bool]]) -> None:
    valve = WatermarkValve(3)
    seen = MIN_TIMESTAMP
    for channel, event in events:
        idle = isinstance(event, bool)
        advanced = valve.on_status(channel, bool(event))[1] if idle else valve.on_watermark(channel, event)
        if advanced is not None:
            assert advanced > seen
            seen = advanced
        assert valve.watermark == seen
