"""How long a task may hold the loop, and how many records it takes for that."""

import pytest

from penstock.taskmanager.pace import Pace, Pacing


def pacing(*timeouts_ms: int, duty: float = 0.25) -> Pacing:
    return Pacing.of(step_s=0.005, snapshot_duty=duty, records_max=1000, buffer_timeouts_ms=timeouts_ms)


def test_a_slice_ends_before_the_step_does_and_sooner_where_batches_are_sent_at_once() -> None:
    assert pacing(100, -1).slice_s == 0.004
    assert pacing(100, 0).slice_s == 0.001
    assert Pacing.of(step_s=0.0005, snapshot_duty=0.5, records_max=1, buffer_timeouts_ms=[0]).slice_s == 0.0004


def test_the_duty_of_snapshots_is_a_share_of_all_time() -> None:
    assert pacing().snapshot_share == 1 / 3
    assert pacing(duty=0.5).snapshot_share == 1
    assert pacing(duty=1.0).snapshot_share == float("inf")


def test_a_snapshot_begins_with_up_to_half_of_the_time() -> None:
    assert pacing().snapshot_s(0.004, spent_s=0.0) == 0.004
    assert pacing().snapshot_s(0.004, spent_s=0.06) == 0.004 / 3
    assert pacing(duty=0.1).snapshot_s(0.009, spent_s=0.0) == pytest.approx(0.003)
    assert pacing(duty=0.8).snapshot_s(0.004, spent_s=0.0) == pytest.approx(0.016)


def test_batches_grow_from_few_records_to_what_fits_a_slice() -> None:
    pace = Pace(pacing(100))
    assert pace.fitting() == 16
    for _ in range(20):
        pace.learn(1e-6, pace.fitting())
    assert 3900 <= pace.fitting() <= 4000
    assert pace.wanted() == 1000


def test_a_slow_record_shows_at_once() -> None:
    pace = Pace(pacing(100))
    for _ in range(20):
        pace.learn(1e-6, pace.fitting())
    pace.learn(0.01, 4000)
    assert pace.fitting() < 100
