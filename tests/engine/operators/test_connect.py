"""co_map, co_flat_map, and process with a broadcast stream."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.typeinfo import Types
from penstock.operators.connect import BroadcastProcess, CoFlatMap, CoMap
from penstock.operators.functions import (
    BroadcastProcessFunction,
    CoFlatMapFunction,
    CoMapFunction,
    KeyedBroadcastProcessFunction,
    RuntimeContext,
)
from penstock.state.descriptors import MapStateDescriptor, ValueStateDescriptor
from penstock.testing.operators import OperatorHarness

RULES = MapStateDescriptor("rules", Types.STRING(), Types.INT())


class Sides(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return None if value == "drop" else ("left", value)

    def map2(self, value: Any) -> Any:
        return "right", value


class Repeats(CoFlatMapFunction):
    def flat_map1(self, value: Any) -> Iterable[Any] | None:
        return [value, None]

    def flat_map2(self, value: Any) -> Iterable[Any] | None:
        return None


def test_none_from_a_co_map_is_dropped() -> None:
    with OperatorHarness(CoMap(Sides())) as harness:
        harness.process(["a", "drop"], [1, 2], port=0)
        harness.process(["b"], port=1)
        assert harness.values == [("left", "a"), ("right", "b")]
        assert harness.output.timestamps == [1, None]


def test_co_flat_map_gives_what_is_iterated_and_nothing_for_none() -> None:
    with OperatorHarness(CoFlatMap(Repeats())) as harness:
        harness.process(["a"], port=0)
        harness.process(["b"], port=1)
        assert harness.values == ["a", None]


class Enrich(BroadcastProcessFunction[Any, Any, Any]):
    def process_element(self, value: Any, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterator[Any]:
        yield value, ctx.get_broadcast_state(RULES).get(value)

    def process_broadcast_element(self, value: Any, ctx: BroadcastProcessFunction.Context) -> None:
        ctx.get_broadcast_state(RULES).put(*value)


def test_what_the_broadcast_side_puts_the_other_side_reads() -> None:
    with OperatorHarness(BroadcastProcess(Enrich(), (RULES,))) as harness:
        harness.process(["a"])
        harness.process([("a", 1)], port=1)
        harness.process(["a"])
        assert harness.values == [("a", None), ("a", 1)]


def test_broadcast_state_comes_back_from_a_checkpoint_even_if_no_record_asked_for_it() -> None:
    with OperatorHarness(BroadcastProcess(Enrich(), (RULES,))) as harness:
        harness.process([("a", 1)], port=1)
        snapshot = harness.snapshot(1)
    with OperatorHarness(BroadcastProcess(Enrich(), (RULES,)), restore=snapshot) as restored:
        second = restored.snapshot(2)
    with OperatorHarness(BroadcastProcess(Enrich(), (RULES,)), restore=second) as again:
        again.process(["a"])
        assert again.values == [("a", 1)]


class Keyed(KeyedBroadcastProcessFunction[Any, Any, Any, Any]):
    def open(self, runtime_context: RuntimeContext) -> None:
        self.seen = runtime_context.get_state(ValueStateDescriptor("seen", Types.INT()))

    def process_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.ReadOnlyContext) -> Iterator[Any]:
        seen = (self.seen.value() or 0) + 1
        self.seen.update(seen)
        ctx.timer_service().register_event_time_timer(10)
        yield ctx.get_current_key(), seen, ctx.get_broadcast_state(RULES).get("limit")

    def process_broadcast_element(self, value: Any, ctx: KeyedBroadcastProcessFunction.Context) -> None:
        if value == "peek":
            self.seen.value()
        ctx.get_broadcast_state(RULES).put("limit", value)

    def on_timer(self, timestamp: int, ctx: KeyedBroadcastProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield "timer", ctx.get_current_key(), ctx.current_watermark()


def test_a_keyed_stream_beside_a_broadcast_one_has_state_and_timers() -> None:
    with OperatorHarness(BroadcastProcess(Keyed(), (RULES,)), keyed=True) as harness:
        harness.process_unkeyed([7], port=1)
        harness.process(["x", "y"], keys=["a", "a"])
        harness.watermark(12)
        assert harness.values == [("a", 1, 7), ("a", 2, 7), ("timer", "a", 12)]


def test_keyed_state_is_out_of_reach_on_the_broadcast_side() -> None:
    operator = BroadcastProcess(Keyed(), (RULES,))
    with OperatorHarness(operator, keyed=True) as harness, pytest.raises(UserFunctionError, match="no current key"):
        harness.process_unkeyed(["peek"], port=1)
