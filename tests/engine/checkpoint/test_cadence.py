"""When checkpoints are due, and how many failures are too many: Flink's rules."""

from penstock.base.ids import CheckpointId
from penstock.checkpoint.cadence import COUNTED, Cadence, CheckpointSettings, Failure, FailureCount


def cadence(**settings: float) -> Cadence:
    found = Cadence(CheckpointSettings(**settings))  # type: ignore[arg-type]
    found.started(100.0, chance=0.5)
    return found


def test_the_first_trigger_comes_at_a_random_moment_between_pause_and_interval() -> None:
    assert cadence(interval_s=10.0, min_pause_s=2.0).next_at(0) == 106.0


def test_triggers_come_at_a_fixed_rate_and_missed_ones_are_not_made_up_for() -> None:
    due = cadence(interval_s=10.0)
    assert not due.take(104.9, 0)
    assert due.take(106.0, 0)
    assert due.next_at(0) == 115.0
    assert due.take(141.0, 0)
    assert due.next_at(0) == 145.0


def test_no_more_than_the_allowed_number_is_under_way() -> None:
    due = cadence(interval_s=10.0, concurrent_max=2)
    assert due.next_at(2) is None
    assert not due.take(200.0, 2)
    assert due.take(200.0, 1)


def test_the_pause_counts_from_completion_and_allows_one_at_a_time() -> None:
    due = cadence(interval_s=10.0, min_pause_s=5.0, concurrent_max=4)
    assert not due.take(200.0, 1)
    due.completed(200.0)
    assert due.next_at(0) == 205.0
    assert not due.take(204.0, 0)
    assert due.take(205.0, 0)


def test_a_pause_longer_than_the_interval_replaces_it() -> None:
    due = cadence(interval_s=1.0, min_pause_s=30.0)
    assert due.take(130.0, 0)
    assert due.next_at(0) == 160.0


def test_what_is_asked_for_waits_for_neither_interval_nor_pause_but_for_its_turn() -> None:
    due = cadence(interval_s=10.0, min_pause_s=5.0)
    due.completed(100.0)
    due.asked()
    assert not due.take(100.0, 1)
    assert due.take(100.0, 0)
    assert not due.take(100.0, 0)


def test_without_an_interval_only_what_is_asked_for_is_due() -> None:
    due = cadence()
    assert due.next_at(0) is None
    due.asked()
    assert due.take(100.0, 0)


def test_nothing_is_due_while_the_job_does_not_run() -> None:
    due = cadence(interval_s=10.0)
    due.stopped()
    assert not due.take(1000.0, 0)


def test_the_failure_after_the_tolerated_ones_is_too_many_and_success_begins_anew() -> None:
    count = FailureCount(1)
    assert not count.failed(CheckpointId(1), Failure.EXPIRED)
    count.completed()
    assert not count.failed(CheckpointId(2), Failure.EXPIRED)
    assert count.failed(CheckpointId(3), Failure.DECLINED)


def test_a_checkpoint_counts_once_and_only_for_faults_of_checkpointing() -> None:
    count = FailureCount(1)
    for _ in range(3):
        assert not count.failed(CheckpointId(1), Failure.TASK_ERROR)
    for failure in set(Failure) - COUNTED:
        assert not count.failed(CheckpointId(2), failure)
    assert count.in_a_row == 1
