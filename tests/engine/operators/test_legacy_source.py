"""SourceFunction: a loop in a thread, exact at checkpoints."""

import threading
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.common.typeinfo import Types
from penstock.operators.checkpointed import (
    CheckpointedFunction,
    FunctionInitializationContext,
    FunctionSnapshotContext,
)
from penstock.operators.functions import SourceFunction
from penstock.operators.legacy_source import LegacySource
from penstock.operators.operator import SourceStatus
from penstock.records.batch import MAX_WATERMARK
from penstock.state.descriptors import ListStateDescriptor
from penstock.testing.operators import HarnessSnapshot, OperatorHarness


class Counter(SourceFunction, CheckpointedFunction):
    """Counts up to `end`; the position changes under the lock together with the record."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.position = 0
        self.running = True

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        store = context.get_operator_state_store()
        self.state = store.get_list_state(ListStateDescriptor("position", Types.LONG()))
        self.position = next(iter(self.state.get()), 0)

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.state.update([self.position])

    def run(self, ctx: SourceFunction.SourceContext) -> None:
        while self.running and self.position < self.end:
            with ctx.get_checkpoint_lock():
                ctx.collect(self.position)
                self.position += 1

    def cancel(self) -> None:
        self.running = False


def drain(harness: OperatorHarness) -> None:
    """Poll until the source has ended, waiting for its thread as a task does."""
    while (status := harness.poll(500)) is not SourceStatus.END:
        if status is SourceStatus.NOTHING:
            woken: list[bool] = []
            operator = harness.operator
            assert isinstance(operator, LegacySource)
            operator.on_available(lambda woken=woken: woken.append(True))  # type: ignore[misc]
            while not woken:
                assert harness.run_mailbox(timeout_s=10.0), "the source's thread says nothing"


def test_all_records_arrive_and_then_event_time_ends() -> None:
    with OperatorHarness(LegacySource(Counter(10_000))) as harness:
        drain(harness)
        assert harness.values == list(range(10_000))
        assert harness.output.watermarks == [MAX_WATERMARK]


def test_a_checkpoint_holds_the_position_of_exactly_the_records_before_it() -> None:
    taken: list[tuple[HarnessSnapshot, int]] = []
    with OperatorHarness(LegacySource(Counter(1_000_000))) as harness:
        for checkpoint in range(1, 6):
            harness.poll(700)
            taken.append((harness.snapshot(checkpoint), len(harness.values)))
    for snapshot, count in taken:
        source = LegacySource(Counter(1_000_000))
        with OperatorHarness(source, restore=snapshot) as restored:
            while not restored.values:
                restored.poll(1)
                restored.run_mailbox()
            assert restored.values == [count]


class Mixed(SourceFunction):
    def run(self, ctx: SourceFunction.SourceContext) -> None:
        ctx.collect_with_timestamp("a", 1)
        ctx.emit_watermark(1)
        ctx.collect("b")
        ctx.mark_as_temporarily_idle()
        ctx.collect("c")

    def cancel(self) -> None:
        return None


def test_records_watermarks_and_idleness_keep_their_order() -> None:
    with OperatorHarness(LegacySource(Mixed())) as harness:
        drain(harness)
        assert harness.output.events == [
            ("records", ["a"]),
            ("watermark", 1),
            ("records", ["b"]),
            ("idle", True),
            ("idle", False),
            ("records", ["c"]),
            ("watermark", MAX_WATERMARK),
        ]
        assert harness.output.timestamps == [1, None, None]


def test_closing_ends_a_thread_that_waits_in_collect() -> None:
    harness = OperatorHarness(LegacySource(Counter(10_000_000)))
    harness.close()
    names = [thread.name for thread in threading.enumerate()]
    assert not any(name.startswith("source-") for name in names)


def test_an_error_in_run_fails_the_task_after_the_records_before_it() -> None:
    class Fails(Mixed):
        def run(self, ctx: Any) -> None:
            ctx.collect("a")
            raise ValueError("line is down")

    with OperatorHarness(LegacySource(Fails())) as harness:
        with pytest.raises(UserFunctionError, match="failed in run: ValueError: line is down"):
            drain(harness)
        assert harness.values == ["a"]
