"""FH1 to FH6: checkpoints that fail, and what becomes of the job."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.testing.cluster import DURABLE, MATRIX, FaultCluster, Job, Setup
from penstock.testing.host import View
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]

pytestmark = pytest.mark.soak
everywhere = pytest.mark.parametrize("setup", MATRIX, ids=str)
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)

TOLERANT_OF_2 = {"execution.checkpointing.tolerable-failed-checkpoints": "2"}


@everywhere
def test_fh1_as_many_failed_checkpoints_as_are_tolerated_do_not_fail_the_job(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options=TOLERANT_OF_2), setup)
    plan = Plan(tmp_path / "plan", Stop("checkpoint.metadata.before", "fail", nth=2, times=2))
    cluster.start(plan)
    plan.wait(times=2)
    view = cluster.wait_completed()

    assert [checkpoint.id for checkpoint in view.failed] == [2, 3]
    assert view.restarts == 0
    cluster.finish()


@everywhere
def test_fh1_one_failed_checkpoint_more_than_is_tolerated_fails_the_job(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options=TOLERANT_OF_2), setup)
    plan = Plan(tmp_path / "plan", Stop("checkpoint.metadata.before", "fail", nth=2, times=3))
    cluster.start(plan)
    view = cluster.wait_restarted()

    assert view.restored == 1
    assert "Exceeded checkpoint tolerable failure threshold" in view.exceptions[0]
    cluster.finish()


@everywhere
def test_fh2_a_checkpoint_expires_and_an_acknowledgement_that_comes_late_is_ignored(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options={"execution.checkpointing.timeout": "1500 ms"}), setup)
    plan = Plan(tmp_path / "plan", Stop("task.snapshot.uploaded", "hold", nth=4))
    cluster.start(plan)
    plan.wait()
    cluster.wait("a checkpoint has expired", expired)
    plan.release()
    view = cluster.wait_completed(2)

    assert [checkpoint.failure for checkpoint in view.failed if expired_one(checkpoint.failure)]
    assert not {checkpoint.id for checkpoint in view.failed} & set(view.completed)
    assert view.restarts == 0
    cluster.finish()


@durable
@pytest.mark.parametrize("step", ["checkpoint.file.before", "checkpoint.file.written", "task.snapshot.uploaded"])
def test_fh3_a_store_that_fails_while_a_task_writes_costs_the_checkpoint_and_nothing_else(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    one_failure_costs_the_checkpoint(clusters(Job(), setup), Plan(tmp_path / "plan", Stop(step, "fail", nth=4)))


@everywhere
@pytest.mark.parametrize("step", ["checkpoint.metadata.before", "checkpoint.metadata.written"])
def test_fh3_a_store_that_fails_at_the_metadata_costs_the_checkpoint_and_nothing_else(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    one_failure_costs_the_checkpoint(clusters(Job(), setup), Plan(tmp_path / "plan", Stop(step, "fail", nth=3)))


@everywhere
def test_fh4_the_minimum_pause_is_kept(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(options={"execution.checkpointing.min-pause": "250 ms"}), setup)
    cluster.start()
    view = cluster.wait_completed(4)

    for one, other in pairwise(view.checkpoints):
        assert one.end_ms is not None and other.trigger_ms - one.end_ms >= 249
    cluster.finish()


@everywhere
def test_fh4_no_more_checkpoints_are_under_way_than_allowed(clusters: Clusters, setup: Setup, tmp_path: Path) -> None:
    cluster = clusters(Job(options={"execution.checkpointing.max-concurrent-checkpoints": "2"}), setup)
    plan = Plan(tmp_path / "plan", Stop("task.snapshot.uploaded", "hold", nth=4))
    cluster.start(plan)
    plan.wait()
    cluster.wait("two are under way", lambda view: len(under_way(view)) == 2)
    third = max(checkpoint.id for checkpoint in cluster.view().checkpoints) + 1
    plan.release()
    view = cluster.wait("the next one begins", lambda view: any(c.id == third for c in view.checkpoints))

    ends = [c.end_ms for c in view.checkpoints if c.end_ms is not None]
    began = next(c.trigger_ms for c in view.checkpoints if c.id == third)
    assert any(held_end_ms <= began for held_end_ms in ends[-2:])
    cluster.finish()


@everywhere
def test_fh4_the_first_checkpoint_begins_within_the_interval(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(options={"execution.checkpointing.interval": "400 ms"}), setup)
    cluster.start()
    view = cluster.wait("five have begun", lambda view: len(view.checkpoints) >= 5)

    # They follow each other at a fixed rate, so each tells when the first was due; with one the machine was in time.
    due_ms = min(checkpoint.trigger_ms - 400 * number for number, checkpoint in enumerate(view.checkpoints))
    assert 0 <= due_ms - view.running_since_ms <= 400 + 100
    cluster.finish()


@everywhere
def test_fh5_a_newer_barrier_ends_the_alignment_of_a_checkpoint_that_was_given_up(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job("connect", options={"execution.checkpointing.timeout": "1 s"}), setup)
    plan = Plan(tmp_path / "plan", Stop("task.snapshot.sync", "hold", nth=6))
    cluster.start(plan)
    plan.wait()
    # One worker is held before its barriers; the other's tasks align on a checkpoint that will never come to them.
    cluster.wait("a checkpoint has expired", expired)
    plan.release()
    view = cluster.wait_completed(2)

    assert view.restarts == 0
    cluster.finish()


@everywhere
def test_fh6_each_task_is_told_once_what_became_of_a_checkpoint(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    plan = Plan(tmp_path / "plan", Stop("checkpoint.metadata.before", "fail", nth=3, times=2))
    cluster.start(plan)
    plan.wait(times=2)
    cluster.wait_completed(2)
    cluster.finish()

    told = cluster.told("numbers")
    assert len(told) == cluster.job.parallelism
    failed = [checkpoint.id for checkpoint in cluster.view().failed]
    for lines in told.values():
        counts = Counter(lines)
        assert set(counts.values()) == {1}, f"told more than once: {counts}"
        assert {f"aborted {id}" for id in (3, 4)} <= set(counts) and {3, 4} <= set(failed)
        assert not {f"completed {id}" for id in failed} & set(counts)


def one_failure_costs_the_checkpoint(cluster: FaultCluster, plan: Plan) -> None:
    cluster.start(plan)
    plan.wait()
    cluster.wait("a checkpoint has failed", lambda view: bool(view.failed))
    view = cluster.wait_completed(2)

    assert "the test's plan fails step" in view.failed[0].failure
    assert view.restarts == 0
    cluster.finish()


def under_way(view: View) -> list[int]:
    return [checkpoint.id for checkpoint in view.checkpoints if checkpoint.status == "IN_PROGRESS"]


def expired(view: View) -> bool:
    return any(expired_one(checkpoint.failure) for checkpoint in view.failed)


def expired_one(failure: str) -> bool:
    return "no answer within" in failure
