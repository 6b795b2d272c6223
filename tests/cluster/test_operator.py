"""The operator on a real cluster: pods, kills, S3, and no more rights than the chart gives its service account.

Scenarios of a life in one test each, since every upgrade costs the time that pods take to come up. What is asserted is
what the jobs have committed, and what a person would see.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Namespace, Refused
from penstock.testing.kubernetes.cluster import Cluster
from penstock.testing.services import Minio
from penstock.testing.stages import NAME, Process, finish, reasons, stable, upgraded
from penstock.testing.steps import wait_until


@pytest.fixture
def stage(
    tmp_path: Path, cluster: Cluster, namespace: Namespace, image: str, cluster_minio: Minio
) -> Iterator[ClusterStage]:
    with ClusterStage(tmp_path, cluster, namespace, image, cluster_minio) as stage:
        yield stage


@pytest.fixture
def at_length(soak_s: float | None) -> None:
    """Of what all worlds have in common the local one plays the rest every time, which takes seconds there."""
    if soak_s is None:
        pytest.skip("takes a minute; `make soak` plays it")


def test_a_job_is_started_upgraded_and_rescaled_and_ends_with_exact_counts(stage: ClusterStage) -> None:
    stage.apply(stage.manifest())
    stage.namespace.kubectl("wait", "--for=condition=Ready", "--timeout=100s", f"fj/{NAME}", timeout_s=110)
    first = stable(stage)
    assert first.status["jobStatus"]["state"] == "RUNNING"
    assert stage.namespace.kubectl("get", "fj", NAME, "--no-headers").split()[:3] == [NAME, "Stable", "RUNNING"]

    stage.apply(stage.manifest(args=stage.arguments(rate=250)))
    second = upgraded(stage, first)
    assert second.savepoints[0]["cause"] == "upgrade"
    told = reasons(stage)
    story = ["SpecChanged", "SavepointTriggered", "SavepointCompleted", "Upgraded"]
    assert [reason for reason in told if reason in story] == story

    stage.apply(stage.manifest(args=stage.arguments(rate=250), parallelism=2))
    stage.wait("it runs with parallelism 2", lambda seen: seen.stable and seen.status.get("parallelism") == 2)
    finish(stage)


def test_whatever_is_killed_the_counts_are_exact(stage: ClusterStage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)

    everything: tuple[Process, ...] = ("jobmanager", "taskmanager", "operator")
    for victims in (everything[1:2], everything[:1], everything):
        completed = _newest(stage)
        stage.kill(*victims)
        if "operator" in victims:
            stage.start_operator()
        wait_until(lambda: _newest(stage) > completed, 50, lambda: f"no checkpoint after {victims} were killed")  # noqa: B023

    assert stable(stage).status["jobStatus"]["jobId"] == before.status["jobStatus"]["jobId"]
    finish(stage)


def test_what_cannot_run_leaves_what_runs_alone_and_says_why(stage: ClusterStage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)

    nowhere = stage.manifest()
    nowhere["spec"]["image"] = "docker.io/local/nowhere:1"
    stage.apply(nowhere)
    seen = stage.wait("the image is told of", lambda seen: seen.observed and "ErrImageNeverPull" in seen.error)
    assert seen.revision == before.revision

    stage.apply(stage.manifest(args=["nonsense"]))
    seen = stage.wait("the script is told of", lambda seen: seen.observed and "jobs.py" in seen.error)
    assert seen.revision == before.revision
    assert seen.job_state == "RUNNING"

    stage.apply(stage.manifest())
    finish(stage)


@pytest.mark.soak
@pytest.mark.usefixtures("at_length")
def test_a_job_is_suspended_resumed_deleted_and_found_again(stage: ClusterStage) -> None:
    wanted = stage.manifest()
    stage.apply(wanted)
    stable(stage)
    stage.apply(stage.manifest(state="suspended"))
    stage.wait("it is suspended", lambda seen: seen.observed and seen.lifecycle == "Suspended")
    assert not stage.namespace.pods(**{"penstock.dev/job": NAME})

    stage.apply(wanted)
    stable(stage)
    wanted["spec"]["savepointNonce"] = 1
    stage.apply(wanted)
    stage.wait("a savepoint was taken", lambda seen: any(s["cause"] == "manual" for s in seen.savepoints))

    stage.delete()
    stage.wait_gone()
    stage.apply(wanted)
    stable(stage)
    finish(stage)


@pytest.mark.soak
@pytest.mark.usefixtures("at_length")
def test_the_operators_death_in_the_middle_of_an_upgrade_costs_nothing(stage: ClusterStage) -> None:
    stage.apply(stage.manifest())
    first = stable(stage)
    stage.apply(stage.manifest(args=stage.arguments(rate=250)))
    for step in ("Preparing", "Savepointing"):
        stage.wait(f"the upgrade is {step}", lambda seen, step=step: seen.step == step)  # type: ignore[misc]
        stage.kill("operator")
        stage.start_operator()
    second = upgraded(stage, first)
    assert len([s for s in second.savepoints if s["cause"] == "upgrade"]) == 1
    finish(stage)


def _newest(stage: ClusterStage) -> int:
    """The number of the newest checkpoint, as the JobManager tells it now."""
    seen = stable(stage)
    job = seen.status["jobStatus"]["jobId"]
    for pod in stage.pods("jobmanager"):
        try:
            told = stage.namespace.reach(f"pods/{pod}:8081", f"/v1/jobs/{job}/checkpoints")
        except Refused:
            return 0
        completed = (told.get("latest") or {}).get("completed")
        return int(completed["id"]) if completed else 0
    return 0
