"""Operators that users write, and functions that take part in checkpoints."""

from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.typeinfo import Types
from penstock.operators.checkpointed import (
    CheckpointedFunction,
    CheckpointListener,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)
from penstock.operators.functions import MapFunction, OutputTag
from penstock.operators.stream_operator import (
    OneInputStreamOperator,
    StateInitializationContext,
    StreamRecord,
    TwoInputStreamOperator,
    UserOperator,
)
from penstock.operators.transforms import Map
from penstock.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from penstock.testing.operators import OperatorHarness


class Buffering(OneInputStreamOperator):
    """Keeps records until the barrier or the end; tells its life."""

    def __init__(self) -> None:
        self.story: list[Any] = []
        self.buffer: list[Any] = []

    def setup(self) -> None:
        self.story.append("setup")

    def initialize_state(self, context: StateInitializationContext) -> None:
        self.story.append(("initialize_state", context.is_restored()))
        self.state = context.get_operator_state_store().get_list_state(ListStateDescriptor("buffer"))
        self.buffer = list(self.state.get())

    def open(self) -> None:
        self.story.append("open")

    def process_element(self, record: StreamRecord) -> None:
        if record.value == "now":
            self.output.collect(record)
        else:
            self.buffer.append(record.value)

    def prepare_snapshot_pre_barrier(self, checkpoint_id: int) -> None:
        if checkpoint_id > 1:
            self.finish()

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        assert context.get_checkpoint_id() > 0
        self.state.update(self.buffer)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self.story.append(("complete", checkpoint_id))

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        self.story.append(("aborted", checkpoint_id))

    def finish(self) -> None:
        for value in self.buffer:
            self.output.collect(StreamRecord(value))
        self.buffer.clear()

    def close(self) -> None:
        self.story.append("close")


def test_an_operator_lives_its_whole_life() -> None:
    operator = Buffering()
    with OperatorHarness(UserOperator(operator)) as harness:
        harness.process(["a", "now"], [1, 2])
        assert list(zip(harness.values, harness.output.timestamps, strict=True)) == [("now", 2)]
        snapshot = harness.snapshot(1)
        harness.complete(1)
        harness.process(["b"])
        harness.snapshot(2)
        assert harness.output.events[-2:] == [("records", ["a", "b"]), ("barrier", 2)]
        harness.abort(2)
        harness.finish()
    assert operator.story == [
        "setup",
        ("initialize_state", False),
        "open",
        ("complete", 1),
        ("aborted", 2),
        "close",
    ]
    restored = Buffering()
    with OperatorHarness(UserOperator(restored), restore=snapshot) as harness:
        harness.finish()
        assert harness.values == ["a"]


class Pairs(TwoInputStreamOperator):
    """Keyed state and timers on two inputs, and a side output."""

    def open(self) -> None:
        self.left = self.get_keyed_state(ValueStateDescriptor("left", Types.STRING()))

    def process_element1(self, record: StreamRecord) -> None:
        self.left.update(record.value)
        self.timer_service.register_event_time_timer(10)

    def process_element2(self, record: StreamRecord) -> None:
        self.output.collect(record.replace((self.left.value(), record.value)))
        self.output.collect_side(OutputTag("seen"), record)

    def on_event_time(self, timestamp: int) -> None:
        self.output.collect(StreamRecord(("timer", self.get_current_key()), timestamp))

    def process_watermark(self, timestamp: int) -> None:
        self.output.emit_watermark(timestamp - 1)


def test_an_operator_on_two_keyed_inputs_has_state_timers_and_side_outputs() -> None:
    with OperatorHarness(UserOperator(Pairs()), keyed=True) as harness:
        harness.process(["l"], keys=["a"], port=0)
        harness.process(["r"], keys=["a"], port=1)
        harness.watermark(10)
        assert harness.values == [("l", "r"), ("timer", "a")]
        assert harness.output.side_values("seen") == ["r"]
        assert harness.output.watermarks == [9]


def test_an_error_in_an_operator_names_the_record() -> None:
    class Fails(OneInputStreamOperator):
        def process_element(self, record: StreamRecord) -> None:
            raise ValueError("no")

    failed = pytest.raises(UserFunctionError, match="failed in record 'a': ValueError: no")
    with OperatorHarness(UserOperator(Fails())) as harness, failed:
        harness.process(["a"])


class Last(MapFunction, CheckpointedFunction, CheckpointListener):
    """Operator list state of a function."""

    def __init__(self, union: bool = False) -> None:
        self.union = union
        self.last: list[Any] = []
        self.heard: list[Any] = []

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        store = context.get_operator_state_store()
        get = store.get_union_list_state if self.union else store.get_list_state
        self.state = get(ListStateDescriptor("last"))
        self.last = list(self.state.get())
        self.heard.append((context.is_restored(), context.get_restored_checkpoint_id()))

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.state.update(self.last)
        self.heard.append(("snapshot", context.get_checkpoint_id()))

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self.heard.append(("complete", checkpoint_id))

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        self.heard.append(("aborted", checkpoint_id))

    def map(self, value: Any) -> Any:
        self.last = [value]
        return value


@pytest.mark.parametrize("union", [False, True])
def test_a_checkpointed_function_keeps_its_state(union: bool) -> None:
    function = Last(union)
    with OperatorHarness(Map(function)) as harness:
        harness.process([1, 2])
        snapshot = harness.snapshot(1)
        harness.complete(1)
        harness.abort(2)
    assert function.heard == [(False, None), ("snapshot", 1), ("complete", 1), ("aborted", 2)]
    restored = Last(union)
    with OperatorHarness(Map(restored), restore=snapshot):
        assert restored.last == [2]
        assert restored.heard == [(True, 1)]


@pytest.mark.parametrize(
    ("emit", "said"),
    [
        (lambda output: output.collect(5), "collect.. takes a StreamRecord, as StreamRecord.value. .*, not 5"),
        (lambda output: output.collect(StreamRecord(5, "now")), "a timestamp is a whole number of milliseconds"),
        (lambda output: output.emit_watermark(None), "a watermark is a whole number of milliseconds"),
    ],
)
def test_what_is_no_record_and_no_time_is_not_emitted(emit: Any, said: str) -> None:
    class Emitting(OneInputStreamOperator):
        def process_element(self, record: StreamRecord) -> None:
            emit(self.output)

    failed = pytest.raises(UserFunctionError, match=f"failed in record 'a': TypeError: {said}")
    with OperatorHarness(UserOperator(Emitting())) as harness, failed:
        harness.process(["a"])


def test_keyed_state_in_setup_is_too_early_and_in_open_is_not() -> None:
    class Asking(OneInputStreamOperator):
        def __init__(self, where: str) -> None:
            setattr(self, where, lambda: self.get_keyed_state(ValueStateDescriptor("seen")))

        def process_element(self, record: StreamRecord) -> None:
            self.output.collect(record)

    with pytest.raises(UserFunctionError, match=r"failed in setup: StateError: there is no state yet in setup\(\)"):
        OperatorHarness(UserOperator(Asking("setup")), keyed=True)
    with OperatorHarness(UserOperator(Asking("open")), keyed=True) as harness:
        harness.process(["a"])
        assert harness.values == ["a"]
