"""RS: jobs at another parallelism than the one they had: while they run, and from what they left."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.testing.cluster import DURABLE, MATRIX, FaultCluster, Job, Setup
from penstock.testing.host import View
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]

BEFORE = (
    "rescale.begun",
    "rescale.checkpoint",
    "checkpoint.metadata.before",
    "journal.completed.before",
    "journal.completed.written",
    "checkpoint.notify",
    "rescale.switch",
    "rescale.stopped",
    "rescale.running",
    "journal.rescaled.before",
)
"""Steps at which the journal does not know of it yet."""
AFTER = ("journal.rescaled.written", "rescale.recorded")


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_running_job_goes_from_one_to_its_max_parallelism_and_back(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(parallelism=1, options={"pipeline.max-parallelism": "4"}), setup)
    cluster.start()
    cluster.wait_completed()
    cluster.rescale(4)
    cluster.wait_rescaled(4)
    cluster.wait_completed()
    cluster.rescale(1)
    view = cluster.wait_rescaled(1)
    assert view.restarts == 0
    assert set(view.tasks.values()) == {"RUNNING"}
    cluster.wait_completed()
    cluster.finish()


@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_rs1_a_jobmanager_that_dies_at_any_step_of_a_rescaling_is_succeeded_at_a_parallelism_that_is_recorded(
    clusters: Clusters, setup: Setup, tmp_path: Path, step: str
) -> None:
    # The only checkpoint is the one that the rescaling takes.
    cluster = clusters(Job(options={"execution.checkpointing.interval": "1 h"}), setup)
    plan = Plan(tmp_path / "plan", Stop(step))
    cluster.start(plan)
    cluster.wait_running()
    cluster.rescale(3)
    plan.wait()
    cluster.host.wait()
    cluster.start()
    view = cluster.wait_running()
    assert set(view.parallelism.values()) == {3 if step in AFTER else 2}
    cluster.rescale(4)
    cluster.wait_rescaled(4)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_worker_that_dies_while_the_new_parallelism_starts_brings_back_the_old_one(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options={"restart-strategy.type": "none"}), setup)
    plan = Plan(tmp_path / "plan", Stop("task.restored", nth=3))
    cluster.start(plan)
    cluster.wait_completed()
    cluster.rescale(3)
    plan.wait()

    def fell_back(view: View) -> bool:
        return view.status == "RUNNING" and view.rescales[-1:] != ("",) and set(view.parallelism.values()) == {2}

    view = cluster.wait("the old parallelism", fell_back)
    assert view.rescales[-1].startswith("EXCEPTION_OCCURRED it could not be brought to run, and runs at its")
    assert set(view.attempts.values()) == {2}
    cluster.wait_completed()
    cluster.rescale(3)
    cluster.wait_rescaled(3)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_a_checkpoint_that_fails_leaves_the_job_at_its_parallelism(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    options = {"execution.checkpointing.interval": "1 h"}
    cluster = clusters(Job(options=options), setup)
    cluster.start(Plan(tmp_path / "plan", Stop("checkpoint.metadata.before", "fail")))
    cluster.wait_running()
    cluster.rescale(3)
    view = cluster.wait("the rescaling has failed", lambda view: view.rescales[:1] > ("",))
    assert view.rescales[0].startswith("EXCEPTION_OCCURRED the checkpoint before it failed")
    assert set(view.parallelism.values()) == {2}
    assert set(view.attempts.values()) == {0}
    cluster.rescale(3)
    cluster.wait_rescaled(3)
    cluster.finish()


@pytest.mark.parametrize("setup", MATRIX, ids=str)
def test_rs1_slots_that_never_come_are_named_and_the_job_goes_on(clusters: Clusters, setup: Setup) -> None:
    options = {"taskmanager.numberOfTaskSlots": "2", "slot.request.timeout": "200 ms"}
    cluster = clusters(Job(options=options), setup)
    cluster.start()
    cluster.wait_running()
    cluster.rescale(5)
    view = cluster.wait("the rescaling has failed", lambda view: view.rescales[:1] > ("",))
    assert "not enough slots: it needs 5, 3 of them are missing (2 registered)" in view.rescales[0]
    assert set(view.attempts.values()) == {0}
    cluster.finish()
