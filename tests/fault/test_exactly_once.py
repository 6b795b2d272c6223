"""EO1 to EO9: whatever dies, and at whatever moment, every record is counted and committed exactly once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.testing.cluster import DURABLE, MATRIX, FaultCluster, Job, Setup
from penstock.testing.spread import SpreadCluster
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]
Spread = Callable[[Job, Setup], SpreadCluster]

pytestmark = pytest.mark.soak
everywhere = pytest.mark.parametrize("setup", MATRIX, ids=str)
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)
in_one_region_or_two = pytest.mark.parametrize("name", ["count", "pipelines"])
"""Pipelines that nothing connects restart each alone, and share their checkpoints."""


@everywhere
def test_eo1_a_task_that_raises_after_a_checkpoint_loses_nothing(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.raise_once("numbers")
    view = cluster.wait_restarted()

    assert view.restored is not None and "wants number" in view.exceptions[0]
    goes_on_and_ends(cluster)


@everywhere
@in_one_region_or_two
def test_eo2_a_worker_killed_between_barriers_loses_nothing(clusters: Clusters, name: str, setup: Setup) -> None:
    cluster = clusters(Job(name), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_worker()
    view = cluster.wait_restarted()

    assert view.restored is not None
    goes_on_and_ends(cluster)


@everywhere
@in_one_region_or_two
def test_eo3_a_worker_killed_in_the_synchronous_part_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path
) -> None:
    worker_dies_at(clusters(Job(name), setup), Plan(tmp_path / "plan", Stop("task.snapshot.sync", nth=6)))


@everywhere
def test_eo4_a_worker_killed_while_it_uploads_loses_nothing(clusters: Clusters, setup: Setup, tmp_path: Path) -> None:
    step = "checkpoint.file.written" if setup.durable else "task.snapshot.upload"
    worker_dies_at(clusters(Job(), setup), Plan(tmp_path / "plan", Stop(step, nth=6)))


@everywhere
@in_one_region_or_two
def test_eo4_a_worker_killed_after_its_upload_before_it_acknowledges_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path
) -> None:
    worker_dies_at(clusters(Job(name), setup), Plan(tmp_path / "plan", Stop("task.acknowledge", nth=6)))


@everywhere
@in_one_region_or_two
@pytest.mark.parametrize("step", ["checkpoint.metadata.before", "checkpoint.metadata.written"])
def test_eo5_a_worker_killed_when_all_have_acknowledged_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path, step: str
) -> None:
    worker_dies_while_the_jobmanager_is_at(
        clusters(Job(name), setup), Plan(tmp_path / "plan", Stop(step, "hold", nth=3))
    )


@everywhere
@in_one_region_or_two
def test_eo6_a_worker_killed_when_the_checkpoint_is_complete_before_it_is_told_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path
) -> None:
    plan = Plan(tmp_path / "plan", Stop("journal.completed.written", "hold", nth=3))
    worker_dies_while_the_jobmanager_is_at(clusters(Job(name), setup), plan)


@everywhere
@in_one_region_or_two
@pytest.mark.parametrize("step", ["task.notified", "sink.commit.before", "sink.commit.after"])
def test_eo7_a_worker_killed_while_its_sink_commits_loses_and_doubles_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path, step: str
) -> None:
    worker_dies_at(clusters(Job(name), setup), Plan(tmp_path / "plan", Stop(step, nth=3)))


@everywhere
def test_eo2_splits_that_are_dealt_out_during_checkpoints_are_read_once(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("splits"), setup)
    cluster.start()
    cluster.wait_completed(2)
    for restarts in (1, 2):
        cluster.kill_worker(-1)
        cluster.wait_restarted(restarts)
        cluster.wait_completed()

    cluster.finish()


@everywhere
def test_eo8_a_killed_taskmanager_loses_nothing(spread: Spread, setup: Setup) -> None:
    cluster = spread(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_taskmanager()
    cluster.start_taskmanager()
    view = cluster.wait_restarted()

    assert view.restored is not None
    goes_on_and_ends(cluster)


@durable
def test_eo9_a_killed_jobmanager_is_succeeded_with_the_same_taskmanagers(spread: Spread, setup: Setup) -> None:
    cluster = spread(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_host()

    successor_finishes(cluster)


@durable
@in_one_region_or_two
@pytest.mark.parametrize(
    "step",
    [
        "checkpoint.trigger",
        "checkpoint.acknowledged",
        "checkpoint.metadata.before",
        "checkpoint.metadata.written",
        "journal.completed.before",
        "journal.completed.written",
        "checkpoint.notify",
    ],
)
def test_eo9_a_jobmanager_killed_at_any_step_of_a_checkpoint_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path, step: str
) -> None:
    cluster = clusters(Job(name), setup)
    # Of checkpoints the fifth, of acknowledgements one to the second checkpoint or the third.
    plan = Plan(tmp_path / "plan", Stop(step, nth=9 if step == "checkpoint.acknowledged" else 5))
    first = cluster.start(plan)
    plan.wait()
    first.wait()

    successor_finishes(cluster)


@durable
@in_one_region_or_two
@pytest.mark.parametrize(
    "step",
    ["task.snapshot.sync", "task.snapshot.upload", "task.acknowledge", "task.notified", "sink.commit.before",
     "sink.commit.after"],
)  # fmt: skip
def test_eo9_a_jobmanager_killed_while_a_worker_is_at_any_step_loses_nothing(
    clusters: Clusters, name: str, setup: Setup, tmp_path: Path, step: str
) -> None:
    cluster = clusters(Job(name), setup)
    plan = Plan(tmp_path / "plan", Stop(step, "hold", nth=3))
    cluster.start(plan)
    plan.wait()
    cluster.kill_host()

    successor_finishes(cluster)


def worker_dies_at(cluster: FaultCluster, plan: Plan) -> None:
    cluster.start(plan)
    plan.wait()
    view = cluster.wait_restarted()

    assert "was lost" in view.exceptions[0]
    goes_on_and_ends(cluster)


def worker_dies_while_the_jobmanager_is_at(cluster: FaultCluster, plan: Plan) -> None:
    """Only a thread of the JobManager is held, so it hears of the death meanwhile."""
    cluster.start(plan)
    plan.wait()
    cluster.kill_worker()
    cluster.wait("the failure is known", lambda view: view.restarts > 0)
    plan.release()
    cluster.wait_restarted()

    goes_on_and_ends(cluster)


def successor_finishes(cluster: FaultCluster) -> None:
    before = cluster.journal()
    cluster.start()
    view = cluster.wait_running()

    assert view.restored == max(completed.id for completed in before.retained)
    assert cluster.journal().epoch == before.epoch + 1
    goes_on_and_ends(cluster)


def goes_on_and_ends(cluster: FaultCluster) -> None:
    cluster.wait_completed()
    cluster.finish()
