"""process on one stream or two: contexts, side outputs, state and timers."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.typeinfo import Types
from penstock.operators.functions import (
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    OutputTag,
    ProcessFunction,
    RuntimeContext,
    TimeDomain,
)
from penstock.operators.process import CoProcess, Process
from penstock.operators.sorted_input import SortedAround
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP
from penstock.state.api import ValueState
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.operators import OperatorHarness

LATE = OutputTag("late", Types.STRING())


class Count(KeyedProcessFunction):
    """Counts per key, in place, and yields the same list again and again."""

    state: ValueState[list[int]]

    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        count = self.state.value() or [0]
        count[0] += 1
        self.state.update(count)
        yield ctx.get_current_key(), count


class Alarm(KeyedProcessFunction):
    """Registers the timers that a record tells, and says what fired."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        what, *times = value
        service = ctx.timer_service()
        for time in times:
            getattr(service, what)(time)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[Any]:
        short = "event" if ctx.time_domain() is TimeDomain.EVENT_TIME else "clock"
        yield short, ctx.get_current_key(), timestamp, ctx.timestamp(), ctx.timer_service().current_watermark()


EVENT, CLOCK = "register_event_time_timer", "register_processing_time_timer"


def fired(harness: OperatorHarness) -> list[tuple[Any, int]]:
    found = [(value[1], value[2]) for value in harness.values]
    harness.output.clear()
    return found


def test_state_belongs_to_the_key_and_what_is_emitted_is_a_copy() -> None:
    with OperatorHarness(Process(Count()), keyed=True) as harness:
        harness.process(["a", "b", "a"])
        assert harness.values == [("a", [1]), ("b", [1]), ("a", [2])]


def test_a_record_without_a_timestamp_shows_the_lowest_one() -> None:
    class Stamp(ProcessFunction):
        def process_element(self, value: Any, ctx: ProcessFunction.Context) -> list[int]:
            return [ctx.timestamp()]

    with OperatorHarness(Process(Stamp())) as harness:
        harness.process(["a"])
        harness.process(["a"], [5])
        assert harness.values == [MIN_TIMESTAMP, 5]
        assert harness.output.timestamps == [None, 5]


def test_process_may_return_none() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10)], keys=["a"])
        assert harness.output.batches == []


def test_a_tagged_value_goes_to_the_side_output_with_the_tags_type() -> None:
    class Split(ProcessFunction):
        def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterator[Any]:
            yield value
            if value > 1:
                yield LATE, str(value)

    for timestamps in (None, [7, 8, 9]):
        with OperatorHarness(Process(Split())) as harness:
            harness.process([1, 2, 3], timestamps)
            assert harness.values == [1, 2, 3]
            assert harness.output.side_values("late") == ["2", "3"]
            assert harness.output.side_batches["late"][0].timestamps == (timestamps and [8, 9])


def test_a_wrong_type_on_a_side_output_is_an_error_of_the_record() -> None:
    def split(value: Any, ctx: Any) -> Iterator[Any]:
        yield LATE, value

    with OperatorHarness(Process(split)) as harness, pytest.raises(UserFunctionError, match="record 5"):
        harness.process([5])


def test_an_event_time_timer_fires_when_the_watermark_reaches_it() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10), (EVENT, 20)], keys=["a", "b"])
        harness.watermark(9)
        assert fired(harness) == []
        harness.watermark(10)
        assert harness.output.events[-1] == ("watermark", 10)
        assert harness.output.timestamps == [10]
        assert fired(harness) == [("a", 10)]


@pytest.mark.parametrize("call", [EVENT, CLOCK, "delete_event_time_timer", "delete_processing_time_timer"])
@pytest.mark.parametrize("time", [None, "10", 2**63])
def test_a_timer_at_what_is_no_time_is_an_error_of_the_record(call: str, time: Any) -> None:
    failed = pytest.raises(UserFunctionError, match="record .*: TypeError: a timer's time is a whole number")
    with OperatorHarness(Process(Alarm()), keyed=True) as harness, failed:
        harness.process([(call, time)], keys=["a"])


def test_a_timers_time_loses_its_fraction() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10.5, 11.5), ("delete_event_time_timer", 11.9)], keys=["a", "a"])
        harness.watermark(20)
        assert fired(harness) == [("a", 10)]


def test_on_timer_sees_the_current_watermark_and_not_its_own_time() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10)], keys=["a"])
        harness.watermark(25)
        assert harness.values == [("event", "a", 10, 10, 25)]


def test_a_timer_registered_twice_fires_once() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10, 10), (EVENT, 10)], keys=["a", "a"])
        harness.watermark(10)
        assert fired(harness) == [("a", 10)]


def test_timers_fire_in_the_order_of_time_whatever_the_key() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 30, 10), (EVENT, 20)], keys=["a", "b"])
        harness.watermark(100)
        assert fired(harness) == [("a", 10), ("b", 20), ("a", 30)]


def test_a_deleted_timer_does_not_fire_and_may_be_registered_again() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10, 20)], keys=["a"])
        harness.process([("delete_event_time_timer", 10, 15)], keys=["a"])
        harness.watermark(15)
        assert fired(harness) == []
        harness.process([("delete_event_time_timer", 20), (EVENT, 20)], keys=["a", "a"])
        harness.watermark(20)
        assert fired(harness) == [("a", 20)]


def test_a_timer_registered_below_the_watermark_waits_for_its_next_advance() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.watermark(50)
        harness.process([(EVENT, 10)], keys=["a"])
        assert fired(harness) == []
        harness.watermark(51)
        assert fired(harness) == [("a", 10)]


class Again(KeyedProcessFunction):
    """A timer that registers the next one, always."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
        ctx.timer_service().register_event_time_timer(value)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[int]:
        ctx.timer_service().register_event_time_timer(timestamp + 1)
        yield timestamp


def test_a_timer_registered_by_a_timer_waits_and_never_fires_once_event_time_has_ended() -> None:
    with OperatorHarness(Process(Again()), keyed=True) as harness:
        harness.process([10], keys=["a"])
        harness.watermark(20)
        assert harness.values == [10]
        harness.watermark(21)
        assert harness.values == [10, 11]
        harness.watermark(MAX_WATERMARK)
        assert harness.values == [10, 11, 12]


def test_a_timer_may_delete_one_that_fires_with_the_same_watermark() -> None:
    class First(KeyedProcessFunction):
        def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> None:
            for time in (1, 2, 3):
                ctx.timer_service().register_event_time_timer(time)

        def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[int]:
            ctx.timer_service().delete_event_time_timer(2)
            yield timestamp

    with OperatorHarness(Process(First()), keyed=True) as harness:
        harness.process(["x"], keys=["a"])
        harness.watermark(5)
        assert harness.values == [1, 3]


def test_a_processing_time_timer_fires_by_the_clock_and_its_output_has_no_timestamp() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True, now_ms=1_000) as harness:
        harness.process([(CLOCK, 1_020, 1_010)], [5], keys=["a"])
        harness.advance_time(1_009)
        assert harness.values == []
        harness.advance_time(1_030)
        assert harness.output.timestamps == [None, None]
        assert fired(harness) == [("a", 1_010), ("a", 1_020)]


def test_a_processing_time_timer_in_the_past_fires_at_once() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True, now_ms=1_000) as harness:
        harness.process([(CLOCK, 5)], keys=["a"])
        harness.advance_time(1_000)
        assert fired(harness) == [("a", 5)]


def test_processing_time_timers_pending_at_the_end_of_input_are_dropped() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(CLOCK, 10)], keys=["a"])
        harness.watermark(MAX_WATERMARK)
        harness.finish()
        harness.advance_time(100)
        assert harness.values == []
        assert harness.processing_time.pending == 0


def test_timers_come_back_from_a_checkpoint() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10, 30), (CLOCK, 50)], keys=["a", "b"])
        harness.watermark(10)
        snapshot = harness.snapshot(1)
    with OperatorHarness(Process(Alarm()), keyed=True, restore=snapshot) as restored:
        restored.watermark(30)
        restored.advance_time(50)
        assert fired(restored) == [("a", 30), ("b", 50)]
        restored.watermark(40)
        assert fired(restored) == []


def test_many_timers_fire_in_slices() -> None:
    with OperatorHarness(Process(Alarm()), keyed=True) as harness:
        harness.process([(EVENT, 10)] * 1_000, keys=range(1_000))
        assert harness.watermark(10) > 1
        assert [key for key, _ in fired(harness)] == list(range(1_000))


def test_timers_need_a_keyed_stream() -> None:
    refused = pytest.raises(UserFunctionError, match="can only be used on a keyed stream")
    with OperatorHarness(Process(Alarm())) as harness, refused:
        harness.process([(EVENT, 1)])


def test_an_error_in_on_timer_names_timer_and_key() -> None:
    class Fail(Again):
        def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[int]:
            raise ValueError("no")

    with OperatorHarness(Process(Fail()), keyed=True) as harness:
        harness.process([10], keys=["a"])
        with pytest.raises(UserFunctionError, match=r"on_timer\(10\) of key 'a': ValueError: no"):
            harness.watermark(10)


class Join(KeyedCoProcessFunction):
    """Both sides see one state."""

    state: ValueState[Any]

    def open(self, runtime_context: RuntimeContext) -> None:
        self.state = runtime_context.get_state(ValueStateDescriptor("left"))

    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> None:
        self.state.update(value)
        ctx.timer_service().register_event_time_timer(10)

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterator[Any]:
        yield self.state.value(), value

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield "bye", ctx.get_current_key()


def test_both_inputs_of_a_keyed_connect_share_state_and_timers() -> None:
    with OperatorHarness(CoProcess(Join()), keyed=True) as harness:
        harness.process([1], keys=["a"], port=0)
        harness.process([2, 3], keys=["a", "b"], port=1)
        harness.watermark(10)
        assert harness.values == [(1, 2), (None, 3), ("bye", "a")]


class BothTimers(KeyedProcessFunction):
    """A timer of each kind for each record; those that fire try to register another."""

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(ctx.timestamp() + 2)
        ctx.timer_service().register_processing_time_timer(10**15)
        yield value, ctx.timer_service().current_watermark()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Any]:
        ctx.timer_service().register_event_time_timer(timestamp + 1)
        yield ctx.get_current_key(), ctx.time_domain().name, timestamp, ctx.timer_service().current_watermark()


def test_in_batch_mode_timers_fire_key_by_key_after_the_keys_records() -> None:
    with OperatorHarness(SortedAround(Process(BothTimers())), keyed=True) as harness:
        harness.process(["b3", "a2", "b1"], [3, 2, 1], keys=lambda value: value[0])
        harness.watermark(50)
        assert harness.values == []
        harness.watermark(MAX_WATERMARK)
        assert harness.values == [
            ("b1", MIN_TIMESTAMP),
            ("b3", MIN_TIMESTAMP),
            ("b", "EVENT_TIME", 3, MAX_WATERMARK),
            ("b", "EVENT_TIME", 5, MAX_WATERMARK),
            ("b", "PROCESSING_TIME", 10**15, MAX_WATERMARK),
            ("a2", MIN_TIMESTAMP),
            ("a", "EVENT_TIME", 4, MAX_WATERMARK),
            ("a", "PROCESSING_TIME", 10**15, MAX_WATERMARK),
        ]
        assert harness.output.events[-1] == ("watermark", MAX_WATERMARK)
