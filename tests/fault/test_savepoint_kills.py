"""SP2, SP11 and disposal under SIGKILL at every step: nothing lost, nothing doubled, nothing left behind."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from penstock.testing.cluster import DURABLE, ONLY_WHEN_ASKED, FaultCluster, Job, Setup
from penstock.testing.steps import Plan, Stop

Clusters = Callable[[Job, Setup], FaultCluster]

durable = pytest.mark.parametrize("setup", DURABLE, ids=str)

TAKING = [
    "savepoint.noted",
    "savepoint.trigger",
    "task.snapshot.sync",
    "task.snapshot.upload",
    "task.snapshot.uploaded",
    "task.acknowledge",
    "savepoint.metadata.before",
    "savepoint.metadata.written",
]
TABLES = [
    "savepoint.noted",
    "task.snapshot.sync",
    "task.snapshot.upload",
    "checkpoint.file.before",
    "checkpoint.file.written",
    "task.snapshot.uploaded",
    "savepoint.metadata.before",
    "savepoint.metadata.written",
]
"""Of a canonical savepoint; the third file of a worker is one of its tables."""
STOPPING = [
    *TAKING,
    "journal.savepointstopped.before",
    "journal.savepointstopped.written",
    "checkpoint.notify",
    "task.notified",
    "journal.finished.before",
    "journal.finished.written",
]
RESTORING = ["recovery.chosen", "restore.start.before", "journal.started.written", "jobmanager.deploy", "task.restored"]
CLAIMING = [
    "journal.originforgotten.before",
    "journal.originforgotten.written",
    "savepoint.dispose.before",
    "savepoint.dispose.files",
    "savepoint.disposed",
]
DISPOSING = ["savepoint.dispose.before", "savepoint.dispose.files", "savepoint.disposed"]

COUNTED = Job(options=ONLY_WHEN_ASKED)
"""So that the steps of snapshots which are counted are known: one checkpoint, then the savepoint."""


def sampled(steps: list[str]) -> list[object]:
    """All of them where everything is tried, one of them otherwise."""
    one = Random(f"{os.environ.get('PENSTOCK_SEED')} {steps}").choice(steps)
    return [step if step == one else pytest.param(step, marks=pytest.mark.soak) for step in steps]


def killed_at(step: str, folder: Path) -> Plan:
    """SIGKILL once the savepoint is at the step; a worker has two tasks, which each took a checkpoint before it."""
    nth = {
        "task.snapshot.sync": 3,
        "task.snapshot.upload": 3,
        "task.snapshot.uploaded": 3,
        "task.acknowledge": 3,
        "task.notified": 2,
    }
    nth |= {"checkpoint.notify": 2}
    return Plan(folder, Stop(step, nth=nth.get(step, 1)))


def with_a_checkpoint(cluster: FaultCluster, plan: Plan) -> None:
    cluster.start(plan)
    cluster.wait_running()
    answer = cluster.wait_answer(cluster.ask("checkpoint"))
    assert answer.failure is None, answer.failure


def succeed(cluster: FaultCluster, plan: Plan) -> None:
    """Wait for the death, and start a JobManager if that was what died; else until the JobManager knows of it."""
    plan.wait()
    if cluster.was_host(plan.pid()):
        cluster.start()
    else:
        cluster.wait("the death is known", lambda view: view.restarts > 0)


def check_nothing_incomplete(cluster: FaultCluster) -> None:
    """Every folder that is there is a whole savepoint, and no note says that there is more."""
    files = cluster.files_below(cluster.savepoints)
    folders = {path.partition("/")[0] for path in files}
    assert all(f"{folder}/_metadata" in files for folder in folders), files
    assert not cluster.files_below(f"{cluster.checkpoints}/{cluster.id}/savepoints")


@durable
@pytest.mark.parametrize("step", sampled(TAKING))
def test_a_death_while_a_savepoint_is_taken_loses_nothing_and_leaves_nothing(
    clusters: Clusters, setup: Setup, step: str, tmp_path: Path
) -> None:
    cluster, plan = clusters(COUNTED, setup), killed_at(step, tmp_path / "plan")
    with_a_checkpoint(cluster, plan)
    cluster.ask()
    succeed(cluster, plan)
    cluster.wait_restarted(0)
    cluster.savepoint()
    cluster.finish()
    check_nothing_incomplete(cluster)


@durable
@pytest.mark.parametrize("stop", ["suspend", "drain"])
@pytest.mark.parametrize("step", sampled(STOPPING))
def test_a_death_while_a_job_is_stopped_loses_nothing_and_doubles_nothing(
    clusters: Clusters, setup: Setup, step: str, stop: str, tmp_path: Path
) -> None:
    cluster, plan = clusters(COUNTED, setup), killed_at(step, tmp_path / "plan")
    with_a_checkpoint(cluster, plan)
    cluster.ask(stop=stop)
    succeed(cluster, plan)
    stopped = cluster.journal().stopped
    if stopped is None:
        cluster.wait_running_or_stopped()
        stopped = cluster.journal().stopped
    if stopped is None:
        cluster.finish()  # The stop has failed: the job goes on, and can come to its end.
        check_nothing_incomplete(cluster)
        return
    assert cluster.wait_exit() == 0
    assert cluster.journal().finished == "FINISHED"
    check_nothing_incomplete(cluster)
    with cluster.successor(tmp_path / "next", stopped.path) as other:
        other.start()
        other.finish()


@pytest.mark.parametrize("step", sampled(["task.snapshot.sync", "task.snapshot.upload", "task.acknowledge"]))
def test_a_death_while_unconnected_pipelines_are_drained_begins_both_again(
    clusters: Clusters, step: str, tmp_path: Path
) -> None:
    # Only one of them has lost a task; in the other one event time has ended.
    cluster = clusters(Job("pipelines", options=ONLY_WHEN_ASKED), Setup("hashmap", "file"))
    plan = killed_at(step, tmp_path / "plan")
    with_a_checkpoint(cluster, plan)
    cluster.ask(stop="drain")
    succeed(cluster, plan)
    cluster.wait_running_or_stopped()
    assert cluster.journal().stopped is None
    cluster.finish()
    check_nothing_incomplete(cluster)


@durable
@pytest.mark.parametrize("stop", [None, "suspend"])
@pytest.mark.parametrize("step", sampled(TABLES))
def test_a_death_while_tables_are_written_loses_nothing_and_leaves_nothing(
    clusters: Clusters, setup: Setup, step: str, stop: str | None, tmp_path: Path
) -> None:
    # No checkpoint before it: whatever files are written are the savepoint's.
    cluster = clusters(COUNTED, setup)
    plan = Plan(tmp_path / "plan", Stop(step, nth=3 if step.startswith("checkpoint.file") else 1))
    cluster.start(plan)
    cluster.wait_running()
    cluster.ask(format="canonical", stop=stop)
    succeed(cluster, plan)
    cluster.wait_running_or_stopped()
    assert cluster.journal().stopped is None, "every step is before that"
    savepoint = cluster.savepoint(format="canonical", stop="suspend")
    assert cluster.wait_exit() == 0
    check_nothing_incomplete(cluster)
    backend = "hashmap" if setup.backend != "hashmap" else "rocksdb"
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.setup = Setup(backend, setup.storage)
        other.start()
        other.finish()


@durable
@pytest.mark.parametrize("step", sampled(RESTORING))
def test_a_death_while_a_job_is_restored_from_a_savepoint_loses_nothing(
    clusters: Clusters, setup: Setup, step: str, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    with cluster.successor(tmp_path / "next", savepoint) as other:
        plan = Plan(tmp_path / "plan", Stop(step))
        other.start(plan)
        succeed(other, plan)
        other.wait_completed()
        other.finish()


@durable
@pytest.mark.parametrize("step", sampled(CLAIMING))
def test_a_death_while_what_was_claimed_is_deleted_leaves_nothing_of_it(
    clusters: Clusters, setup: Setup, step: str, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    claim = {"execution.state-recovery.claim-mode": "CLAIM"}
    with cluster.successor(tmp_path / "next", savepoint, claim) as other:
        plan = Plan(tmp_path / "plan", Stop(step))
        other.start(plan)
        succeed(other, plan)
        other.wait_completed(3)
        other.wait("what was claimed is gone", lambda view: not cluster.files_below(savepoint))
        other.finish()


@durable
@pytest.mark.parametrize("step", sampled(DISPOSING))
def test_a_death_while_a_savepoint_is_disposed_of_is_finished_by_the_next_disposal(
    clusters: Clusters, setup: Setup, step: str, tmp_path: Path
) -> None:
    cluster, plan = clusters(Job(), setup), Plan(tmp_path / "plan", Stop(step))
    cluster.start(plan)
    cluster.wait_completed()
    savepoint = cluster.savepoint()
    cluster.ask("savepoint-disposal", savepoint)
    succeed(cluster, plan)
    cluster.wait_running()
    answer = cluster.wait_answer(cluster.ask("savepoint-disposal", savepoint))
    assert answer.failure is None or (step == "savepoint.disposed" and "is no savepoint" in answer.failure)
    assert not cluster.files_below(savepoint)
    cluster.finish()
