"""EO10 to EO12: other topologies, the other guarantee, and the end of bounded input."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.testing.cluster import DURABLE, MATRIX, ONLY_WHEN_ASKED, FaultCluster, Job, Setup
from penstock.testing.host import View
from penstock.testing.paced import FINISH
from penstock.testing.steps import Plan, Stop, wait_until

Clusters = Callable[[Job, Setup], FaultCluster]

pytestmark = pytest.mark.soak
everywhere = pytest.mark.parametrize("setup", MATRIX, ids=str)
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)
AT_LEAST_ONCE = {"execution.checkpointing.mode": "AT_LEAST_ONCE"}


@everywhere
@pytest.mark.parametrize("name", ["connect", "union", "broadcast"])
def test_eo10_several_inputs_lose_and_double_nothing_when_a_worker_dies(
    clusters: Clusters, setup: Setup, name: str
) -> None:
    cluster = clusters(Job(name), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_worker(-1)
    cluster.wait_restarted()
    cluster.wait_completed()

    cluster.finish()


@everywhere
@pytest.mark.parametrize("name", ["connect", "union", "broadcast"])
def test_eo10_several_inputs_lose_and_double_nothing_when_a_worker_dies_before_its_barrier(
    clusters: Clusters, setup: Setup, name: str, tmp_path: Path
) -> None:
    cluster = clusters(Job(name), setup)
    plan = Plan(tmp_path / "plan", Stop("task.snapshot.sync", nth=8))
    cluster.start(plan)
    plan.wait()
    cluster.wait_restarted()
    cluster.wait_completed()

    cluster.finish()


@everywhere
@pytest.mark.parametrize("name", ["count", "connect", "union"])
def test_eo11_at_least_once_may_double_but_loses_nothing(clusters: Clusters, setup: Setup, name: str) -> None:
    cluster = clusters(Job(name, options=AT_LEAST_ONCE), setup)
    cluster.start()
    cluster.wait_completed(2)

    cluster.kill_worker()
    cluster.wait_restarted()
    cluster.wait_completed()

    cluster.end()
    assert cluster.expectation().losses(cluster.committed()) == []


@everywhere
def test_eo12_the_last_checkpoint_of_a_bounded_job_commits_its_sinks(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(options=ONLY_WHEN_ASKED), setup)
    cluster.start()
    cluster.wait_running()

    cluster.finish()

    assert len(cluster.view().completed) >= 1


@everywhere
def test_eo12_a_restore_with_finished_tasks_emits_nothing_twice(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job("union"), setup)
    cluster.start()
    cluster.wait("a source has finished", some_finished)
    cluster.wait_completed(2)

    cluster.kill_worker()
    cluster.wait_restarted()
    cluster.wait_completed()

    cluster.finish()


@durable
def test_eo12_a_successor_restores_finished_tasks_without_emitting_anything_twice(
    clusters: Clusters, setup: Setup
) -> None:
    cluster = clusters(Job("union"), setup)
    cluster.start()
    cluster.wait("a source has finished", some_finished)
    cluster.wait_completed(2)

    cluster.kill_host()
    cluster.start()
    cluster.wait_running()
    cluster.wait_completed()

    cluster.finish()


@everywhere
@pytest.mark.parametrize("step", ["task.snapshot.upload", "sink.commit.before", "sink.commit.after"])
def test_eo12_a_worker_that_dies_in_the_last_checkpoint_loses_and_doubles_nothing(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    cluster = clusters(Job(numbers=800, options=ONLY_WHEN_ASKED), setup)
    plan = Plan(tmp_path / "plan", Stop(step))
    (cluster.gate / FINISH).touch()
    cluster.start(plan)
    plan.wait()

    cluster.finish()


@durable
@pytest.mark.parametrize(
    "step", ["checkpoint.metadata.written", "journal.completed.written", "journal.finished.before"]
)
def test_eo12_a_jobmanager_that_dies_at_the_end_is_succeeded_and_doubles_nothing(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    cluster = clusters(Job(numbers=800, options=ONLY_WHEN_ASKED), setup)
    plan = Plan(tmp_path / "plan", Stop(step))
    (cluster.gate / FINISH).touch()
    cluster.start(plan).wait()
    cluster.start()

    cluster.finish()


def some_finished(view: View) -> bool:
    return any(state == "FINISHED" for state in view.tasks.values())


@durable
def test_eo12_a_subtask_with_union_state_that_has_had_its_data_waits_for_the_others(
    clusters: Clusters, setup: Setup
) -> None:
    cluster = clusters(Job("uneven"), setup)
    cluster.start()
    torn = "only some of its subtasks have had all their data"
    wait_until(lambda: torn in cluster.log(), 30.0, lambda: f"no checkpoint is given up: {cluster.view()}")
    view = cluster.view()
    assert view.completed and "FINISHED" not in view.tasks.values()
    assert not view.failed, "it is no failure"

    cluster.rescale(3)
    refused = "the checkpoint before it failed: operator hold has union state 'names'"
    cluster.wait("no rescaling meanwhile", lambda view: any(refused in rescale for rescale in view.rescales))
    cluster.savepoint()  # It holds what all of them have.
    cluster.kill_worker()
    cluster.wait_restarted()
    cluster.finish()
