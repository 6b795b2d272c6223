"""Sources: reader and enumerator, splits through checkpoints and failures, watermarks per split, wake-ups."""

import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.base.ids import CheckpointId
from penstock.common.configuration import Configuration
from penstock.common.typeinfo import Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.operators.operator import SourceStatus
from penstock.operators.source_api import (
    Boundedness,
    InputStatus,
    ReaderOutput,
    Source,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)
from penstock.operators.source_coordinator import SourceCoordinator
from penstock.operators.source_operator import SourceOperator
from penstock.records.batch import MAX_WATERMARK
from penstock.testing.operators import FakeClock, OperatorHarness

Split = tuple[str, int, int]
"""Name, next number, end."""


class Numbers(Source[Split, list[Split]]):
    """Splits of numbers; a record's timestamp is its number."""

    def __init__(self, splits: Sequence[Split], per_split_watermarks: bool = False) -> None:
        self.splits = list(splits)
        self.per_split_watermarks = per_split_watermarks

    def get_boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def create_enumerator(self, context: SplitEnumeratorContext[Split]) -> "NumbersEnumerator":
        return NumbersEnumerator(context, list(self.splits))

    def restore_enumerator(self, context: SplitEnumeratorContext[Split], state: list[Split]) -> "NumbersEnumerator":
        return NumbersEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> "NumbersReader":
        return NumbersReader(context, self.per_split_watermarks)


class NumbersEnumerator(SplitEnumerator[Split, list[Split]]):
    def __init__(self, context: SplitEnumeratorContext[Split], left: list[Split]) -> None:
        self.context = context
        self.left = left
        self.readers: list[int] = []

    def handle_split_request(self, subtask: int, hostname: str | None) -> None:
        if self.left:
            self.context.assign_split(self.left.pop(0), subtask)
        else:
            self.context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits: Sequence[Split], subtask: int) -> None:
        self.left = [*splits, *self.left]

    def add_reader(self, subtask: int) -> None:
        self.readers.append(subtask)

    def snapshot_state(self, checkpoint_id: int) -> list[Split]:
        return list(self.left)


class NumbersReader(SourceReader[Split]):
    def __init__(self, context: SourceReaderContext, per_split: bool) -> None:
        self.context = context
        self.per_split = per_split
        self.splits: list[Split] = []
        self.no_more = False

    def start(self) -> None:
        if not self.splits:
            self.context.send_split_request()

    def poll_next(self, output: ReaderOutput) -> InputStatus:
        if not self.splits:
            return InputStatus.END_OF_INPUT if self.no_more else InputStatus.NOTHING_AVAILABLE
        name, number, end = self.splits.pop(0)
        target = output.create_output_for_split(name) if self.per_split else output
        target.collect(number, number)
        if number + 1 < end:
            self.splits.append((name, number + 1, end))
        else:
            self.context.send_split_request()
        return InputStatus.MORE_AVAILABLE

    def snapshot_state(self, checkpoint_id: int) -> Sequence[Split]:
        return self.splits

    def add_splits(self, splits: Sequence[Split]) -> None:
        self.splits.extend(splits)

    def notify_no_more_splits(self) -> None:
        self.no_more = True


class JobManager:
    """The coordinator's context: keeps what is sent, and when it wants to be called."""

    def __init__(self, parallelism: int = 2) -> None:
        self.parallelism = parallelism
        self.configuration = Configuration()
        self.clock = FakeClock()
        self.sent: list[tuple[int, bytes]] = []
        self.delays: list[float] = []
        self.failures: list[BaseException] = []
        self.delivered: list[Any] = []

    def send(self, subtask: int, event: bytes) -> None:
        self.sent.append((subtask, event))

    def call_later(self, delay_s: float) -> None:
        self.delays.append(delay_s)

    def fail_job(self, error: BaseException) -> None:
        self.failures.append(error)

    def deliver(self, payload: bytes) -> None:
        self.delivered.append(pickle.loads(payload))

    def exchange(self, coordinator: SourceCoordinator, harness: OperatorHarness, attempt: int = 0) -> None:
        """Carry events both ways until there are none."""
        while harness.sent_events or self.sent:
            while harness.sent_events:
                coordinator.handle_event(0, attempt, harness.sent_events.pop(0))
            while self.sent:
                _, event = self.sent.pop(0)
                harness.operator.handle_event(event)


def started(source: Source[Any, Any], **how: Any) -> tuple[JobManager, SourceCoordinator]:
    manager = JobManager(**how)
    coordinator = SourceCoordinator(source, "numbers")
    coordinator.start(manager)
    return manager, coordinator


def read_all(
    source: Source[Any, Any], manager: JobManager, coordinator: SourceCoordinator, attempt: int = 0, **how: Any
) -> list[Any]:
    with OperatorHarness(SourceOperator(source), **how) as harness:
        for _ in range(100):
            manager.exchange(coordinator, harness, attempt)
            if harness.poll() is SourceStatus.END:
                assert harness.output.watermarks == [MAX_WATERMARK]
                return harness.values
    raise AssertionError("the source did not end")


def test_all_splits_are_read_and_then_event_time_ends() -> None:
    source = Numbers([("a", 0, 3), ("b", 10, 12)])
    assert read_all(source, *started(source)) == [0, 1, 2, 10, 11]


def test_a_poll_stops_near_the_records_asked_for() -> None:
    source = Numbers([("a", 0, 100)])
    manager, coordinator = started(source)
    with OperatorHarness(SourceOperator(source)) as harness:
        manager.exchange(coordinator, harness)
        assert harness.poll(10) is SourceStatus.MORE
        assert harness.values == list(range(10))


def test_a_restored_reader_goes_on_where_the_checkpoint_was() -> None:
    source = Numbers([("a", 0, 6), ("b", 10, 12)])
    manager, coordinator = started(source)
    with OperatorHarness(SourceOperator(source)) as harness:
        manager.exchange(coordinator, harness)
        harness.poll(2)
        enumerator_state = coordinator.snapshot(CheckpointId(1))
        snapshot = harness.snapshot(1)
        harness.poll(2)
        assert harness.values == [0, 1, 2, 3]
    coordinator.restore(CheckpointId(1), enumerator_state)
    assert read_all(source, manager, coordinator, attempt=1, restore=snapshot) == [2, 3, 4, 5, 10, 11]


def test_splits_given_since_the_checkpoint_go_back_when_their_reader_fails() -> None:
    source = Numbers([("a", 0, 1), ("b", 1, 2), ("c", 2, 3)])
    _, coordinator = started(source)
    enumerator = coordinator._enumerator
    assert isinstance(enumerator, NumbersEnumerator)
    for subtask in (0, 1):
        coordinator.subtask_ready(subtask, 0)
    enumerator.handle_split_request(0, None)
    coordinator.snapshot(CheckpointId(1))
    enumerator.handle_split_request(0, None)
    enumerator.handle_split_request(1, None)
    coordinator.checkpoint_complete(CheckpointId(1))
    coordinator.subtask_failed(0, CheckpointId(1))
    assert enumerator.left == [("b", 1, 2)]
    coordinator.subtask_failed(1, CheckpointId(1))
    assert enumerator.left == [("c", 2, 3), ("b", 1, 2)]


def test_splits_of_an_unconfirmed_checkpoint_go_back_too() -> None:
    source = Numbers([("a", 0, 1), ("b", 1, 2)])
    _, coordinator = started(source)
    enumerator = coordinator._enumerator
    assert isinstance(enumerator, NumbersEnumerator)
    coordinator.subtask_ready(0, 0)
    enumerator.handle_split_request(0, None)
    coordinator.snapshot(CheckpointId(1))
    enumerator.handle_split_request(0, None)
    coordinator.subtask_failed(0, None)
    assert enumerator.left == [("a", 0, 1), ("b", 1, 2)]


def test_what_a_failed_attempt_still_says_is_not_heard() -> None:
    source = Numbers([("a", 0, 1)])
    manager, coordinator = started(source)
    with OperatorHarness(SourceOperator(source)) as harness:
        coordinator.subtask_ready(0, 0)
        coordinator.subtask_failed(0, None)
        coordinator.handle_event(0, 0, harness.sent_events[0])
        assert manager.sent == []
        coordinator.handle_event(0, 1, harness.sent_events[0])
        assert len(manager.sent) == 1


def test_an_error_in_the_enumerator_fails_the_job_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, subtask: int, hostname: str | None) -> None:
        raise OSError("no folder")

    monkeypatch.setattr(NumbersEnumerator, "handle_split_request", fail)
    source = Numbers([])
    manager, coordinator = started(source)
    with OperatorHarness(SourceOperator(source)) as harness:
        coordinator.handle_event(0, 0, harness.sent_events[0])
    (failure,) = manager.failures
    assert str(failure) == (
        "the split enumerator of source 'numbers' failed in handle_split_request: OSError: no folder"
    )
    assert isinstance(failure.__cause__, OSError)


def test_call_async_runs_its_work_again_each_period() -> None:
    source = Numbers([])
    manager, coordinator = started(source)
    enumerator = coordinator._enumerator
    assert isinstance(enumerator, NumbersEnumerator)
    found: list[Any] = []
    enumerator.context.call_async(lambda: len(found), lambda result, error: found.append(result), 10, 100)
    coordinator.tick()
    assert found == []
    for now_ms in (10, 120, 230):
        manager.clock.move_to(now_ms)
        coordinator.tick()
    assert found == [0, 1, 2]
    assert manager.delays[-1] == pytest.approx(0.1)


def test_the_slowest_split_holds_the_watermark_until_it_is_released() -> None:
    source = Numbers([], per_split_watermarks=True)
    operator = SourceOperator(source, WatermarkStrategy.for_monotonous_timestamps())
    with OperatorHarness(operator) as harness:
        reader = operator._reader
        assert isinstance(reader, NumbersReader)
        reader.add_splits([("a", 5, 100), ("b", 50, 100)])
        harness.poll(4)
        harness.advance_time(200)
        assert harness.output.watermarks == [5]
        operator._records.release_output_for_split("a")
        harness.advance_time(400)
        assert harness.output.watermarks == [5, 50]


def test_a_wake_between_the_poll_and_the_sleep_is_not_lost() -> None:
    source = Numbers([])
    operator = SourceOperator(source)
    with OperatorHarness(operator) as harness:
        assert harness.poll() is SourceStatus.NOTHING
        reader = operator._reader
        assert isinstance(reader, NumbersReader)
        reader.context.wake()
        harness.run_mailbox()
        woken: list[bool] = []
        operator.on_available(lambda: woken.append(True))
        assert woken == [True]
        harness.poll()
        operator.on_available(lambda: woken.append(True))
        assert woken == [True]
        reader.context.wake_at(500)
        harness.advance_time(500)
        assert woken == [True, True]


def test_what_a_reader_emits_is_made_what_the_declared_type_says() -> None:
    source = Numbers([("a", 1, 3)])
    manager, coordinator = started(source)
    with OperatorHarness(SourceOperator(source, None, Types.DOUBLE())) as harness:
        manager.exchange(coordinator, harness)
        harness.poll()
        assert [type(value) for value in harness.values] == [float, float]


def test_an_error_in_a_reader_names_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, output: ReaderOutput) -> InputStatus:
        raise OSError("no file")

    monkeypatch.setattr(NumbersReader, "poll_next", fail)
    failed = pytest.raises(UserFunctionError, match="'Numbers' .* failed in reading: OSError: no file")
    with OperatorHarness(SourceOperator(Numbers([])), name="Numbers") as harness, failed:
        harness.poll()


def test_a_reader_that_forgets_to_say_how_its_poll_went_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NumbersReader, "poll_next", lambda self, output: None)
    failed = pytest.raises(
        UserFunctionError, match=r"in reading: TypeError: poll_next\(\) returns an InputStatus, not None"
    )
    with OperatorHarness(SourceOperator(Numbers([]))) as harness, failed:
        harness.poll()


def test_a_source_that_makes_nothing_is_told_what_it_should_have_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Numbers, "create_reader", lambda self, context: None)
    with pytest.raises(UserFunctionError, match=r"create_reader\(\) gives a SourceReader, not None"):
        OperatorHarness(SourceOperator(Numbers([])))


def test_a_record_at_which_its_assigner_fails_is_named() -> None:
    source = Numbers([("a", 1, 3)])
    manager, coordinator = started(source)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda number, at: 1 // (number - 2)
    )
    failed = pytest.raises(UserFunctionError, match=r"'Numbers' .* failed in record 2: ZeroDivisionError")
    with OperatorHarness(SourceOperator(source, strategy), name="Numbers") as harness, failed:
        manager.exchange(coordinator, harness)
        harness.poll()
