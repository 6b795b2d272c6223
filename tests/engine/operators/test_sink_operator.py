"""Sinks: two-phase commit through checkpoints, failures and the end of input."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from penstock.base.errors import UserFunctionError
from penstock.operators.sink_api import (
    CommitRequest,
    Committer,
    PrecommittingSinkWriter,
    Sink,
    SinkWriter,
    TwoPhaseCommittingSink,
    WriterInitContext,
)
from penstock.operators.sink_operator import SinkOperator
from penstock.taskmanager.task import FINAL_CHECKPOINT
from penstock.testing.operators import OperatorHarness


class Ledger(TwoPhaseCommittingSink[Any, list[Any]]):
    """Committables are lists of records; `visible` is what was committed, `story` all that happened."""

    def __init__(self, blocking: bool = False) -> None:
        self.visible: list[Any] = []
        self.story: list[Any] = []
        self.refuse: dict[str, Any] = {}
        self.blocking = blocking

    def create_writer(self, context: WriterInitContext) -> "LedgerWriter":
        return LedgerWriter(self)

    def create_committer(self, context: WriterInitContext) -> "LedgerCommitter":
        return LedgerCommitter(self)


class LedgerWriter(PrecommittingSinkWriter[Any, list[Any]]):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.open: list[Any] = []

    def write(self, element: Any, context: SinkWriter.Context) -> None:
        self.open.append(element)
        self.ledger.story.append(("write", element, context.timestamp()))

    def flush(self, end_of_input: bool) -> None:
        self.ledger.story.append(("flush", end_of_input))

    def prepare_commit(self) -> Sequence[list[Any]]:
        prepared, self.open = self.open, []
        return [prepared] if prepared else []


class LedgerCommitter(Committer[list[Any]]):
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.blocking = ledger.blocking

    def commit(self, requests: Sequence[CommitRequest[list[Any]]]) -> None:
        for request in requests:
            refusal = self.ledger.refuse.get(str(request.get_committable()))
            if refusal is not None:
                refusal(request)
            else:
                self.ledger.visible.extend(request.get_committable())


def test_output_becomes_visible_when_its_checkpoint_is_confirmed() -> None:
    ledger = Ledger()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a", "b"], [1, 2])
        harness.snapshot(1)
        harness.process(["c"])
        assert ledger.visible == []
        harness.complete(1)
        assert ledger.visible == ["a", "b"]
    assert ledger.story[:3] == [("write", "a", 1), ("write", "b", 2), ("flush", False)]


def test_a_confirmation_speaks_for_the_checkpoints_before_it_but_not_for_later_ones() -> None:
    ledger = Ledger()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        for checkpoint in (1, 2, 3):
            harness.process([checkpoint])
            harness.snapshot(checkpoint)
        harness.complete(2)
        assert ledger.visible == [1, 2]


@pytest.fixture
def restored() -> Iterator[tuple[Ledger, OperatorHarness]]:
    """From checkpoint 5, which holds what was made in 4, too."""
    ledger = Ledger()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.snapshot(4)
        harness.process(["b"])
        snapshot = harness.snapshot(5)
        harness.process(["lost"])
    with OperatorHarness(SinkOperator(ledger), restore=snapshot) as harness:
        yield ledger, harness


def test_a_restored_sink_commits_what_the_checkpoint_held_when_all_tasks_of_the_job_stand(
    restored: tuple[Ledger, OperatorHarness],
) -> None:
    ledger, harness = restored
    harness.run_mailbox()
    assert ledger.visible == []  # Others may not be able to read their state.
    harness.restored(5)
    assert ledger.visible == ["a", "b"]


def test_what_a_checkpoint_held_that_others_fell_back_behind_is_committed_with_the_next_one(
    restored: tuple[Ledger, OperatorHarness],
) -> None:
    ledger, harness = restored
    harness.restored(4)
    assert ledger.visible == ["a"]
    harness.process(["c"])
    harness.snapshot(9)
    assert ledger.visible == ["a"]
    harness.complete(9)
    assert ledger.visible == ["a", "b", "c"]


def test_that_all_stand_is_said_anew_after_each_restart_and_commits_nothing_twice(
    restored: tuple[Ledger, OperatorHarness],
) -> None:
    ledger, harness = restored
    for checkpoint in (5, 5, 4):
        harness.restored(checkpoint)
    harness.process(["c"])
    harness.snapshot(9)
    harness.restored(5)
    assert ledger.visible == ["a", "b"]


def test_a_restored_sink_is_not_drained_before_what_it_restored_is_committed(
    restored: tuple[Ledger, OperatorHarness],
) -> None:
    _, harness = restored
    assert not harness.operator.drained()
    harness.restored(4)
    assert not harness.operator.drained()
    harness.restored(5)
    assert harness.operator.drained()


def test_what_the_end_of_input_left_to_commit_is_restored_as_of_the_checkpoint_that_held_it() -> None:
    ledger = Ledger()
    ledger.refuse["['a']"] = lambda request: request.retry_later()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.finish()
        harness.snapshot(FINAL_CHECKPOINT)
        harness.complete(FINAL_CHECKPOINT)
        savepoint = harness.snapshot(5)
    ledger.refuse.clear()
    with OperatorHarness(SinkOperator(ledger), restore=savepoint) as harness:
        harness.restored(4)
        assert ledger.visible == []
        harness.restored(5)
        assert ledger.visible == ["a"]


def test_an_aborted_checkpoints_output_goes_with_the_next_one() -> None:
    ledger = Ledger()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.snapshot(1)
        harness.abort(1)
        harness.process(["b"])
        harness.snapshot(2)
        harness.complete(2)
        assert ledger.visible == ["a", "b"]


def test_at_the_end_of_input_the_last_checkpoint_commits_the_rest() -> None:
    ledger = Ledger()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.finish()
        harness.snapshot(2**63 - 1)
        harness.complete(2**63 - 1)
        assert ledger.visible == ["a"]
        assert harness.operator.drained()
    assert ("flush", True) in ledger.story


def test_blocking_commits_run_in_the_background_one_at_a_time_and_in_order() -> None:
    ledger = Ledger(blocking=True)
    with OperatorHarness(SinkOperator(ledger)) as harness:
        for checkpoint in (1, 2, 3):
            harness.process([checkpoint])
            harness.snapshot(checkpoint)
            harness.operator.notify_checkpoint_complete(checkpoint)  # type: ignore[arg-type]
        assert len(harness.background.waiting) == 1
        assert not harness.operator.drained()
        held = harness.snapshot(4)
        harness.background.run_all()
        assert ledger.visible == [1, 2, 3]
        assert harness.operator.drained()
    again = Ledger()
    with OperatorHarness(SinkOperator(again), restore=held) as harness:
        harness.restored(4)
        assert again.visible == [1, 2, 3]


def test_what_is_to_be_retried_is_committed_later() -> None:
    ledger = Ledger()
    ledger.refuse["['a']"] = lambda request: request.retry_later()
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.snapshot(1)
        harness.complete(1)
        assert not harness.operator.drained()
        ledger.refuse.clear()
        harness.advance_time(10_000)
        assert ledger.visible == ["a"]
        assert harness.operator.drained()


def test_already_committed_and_known_failures_do_not_hold_up_the_rest() -> None:
    ledger = Ledger()
    ledger.refuse["['a']"] = lambda request: request.signal_already_committed()
    ledger.refuse["['b']"] = lambda request: request.signal_failed_with_known_reason(ValueError("gone"))
    with OperatorHarness(SinkOperator(ledger)) as harness:
        for number, value in enumerate("abc", 1):
            harness.process([value])
            harness.snapshot(number)
        harness.complete(3)
        assert ledger.visible == ["c"]
        assert harness.operator.drained()


@pytest.mark.parametrize("blocking", [False, True])
def test_an_unknown_failure_of_a_commit_fails_the_task(blocking: bool) -> None:
    ledger = Ledger(blocking)
    ledger.refuse["['a']"] = lambda request: request.signal_failed_with_unknown_reason(ValueError("broken"))
    with OperatorHarness(SinkOperator(ledger)) as harness:
        harness.process(["a"])
        harness.snapshot(1)
        with pytest.raises(UserFunctionError, match="ValueError: broken"):
            harness.complete(1)


class Total(Sink[int]):
    """A writer with state and no commits."""

    def create_writer(self, context: WriterInitContext) -> "TotalWriter":
        return TotalWriter(0)

    def restore_writer(self, context: WriterInitContext, state: Sequence[int]) -> "TotalWriter":
        return TotalWriter(sum(state))


class TotalWriter(SinkWriter[int]):
    def __init__(self, total: int) -> None:
        self.total = total

    def write(self, element: int, context: SinkWriter.Context) -> None:
        self.total += element

    def flush(self, end_of_input: bool) -> None:
        return None

    def snapshot_state(self, checkpoint_id: int) -> Sequence[int]:
        return [self.total]


def test_a_writers_state_comes_back() -> None:
    with OperatorHarness(SinkOperator(Total())) as harness:
        harness.process([1, 2])
        snapshot = harness.snapshot(1)
    operator = SinkOperator(Total())
    with OperatorHarness(operator, restore=snapshot):
        assert isinstance(operator._writer, TotalWriter)
        assert operator._writer.total == 3


def test_an_error_in_write_names_the_record() -> None:
    failed = pytest.raises(UserFunctionError, match="failed in record 'x'")
    with OperatorHarness(SinkOperator(Total())) as harness, failed:
        harness.process([1, "x", 2])


def test_a_committable_that_cannot_be_pickled_is_named_down_to_the_attribute() -> None:
    failed = pytest.raises(UserFunctionError, match=r"failed in snapshot_state: .* list\[0\]\['lock'\]: cannot pickle")
    with OperatorHarness(SinkOperator(Ledger())) as harness, failed:
        harness.process([{"lock": threading.Lock()}])
        harness.snapshot(1)


@pytest.mark.parametrize(("call", "wanted"), [("create_writer", "SinkWriter"), ("create_committer", "Committer")])
def test_a_sink_that_makes_nothing_is_told_what_it_should_have_made(
    monkeypatch: pytest.MonkeyPatch, call: str, wanted: str
) -> None:
    monkeypatch.setattr(Ledger, call, lambda self, context: None)
    with pytest.raises(UserFunctionError, match=rf"failed in opening the sink: TypeError: {call}\(\) gives a {wanted}"):
        OperatorHarness(SinkOperator(Ledger()))
