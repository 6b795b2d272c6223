"""Scenarios 1 to 4, 9, 10, 17 and 20: a changed spec goes on from the old one's state, or the old one runs on."""

from typing import Any

from tests.cluster.scenes import BILL, Scene

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.stages import NAME, Manifest, Seen, finish, reasons, stable, upgraded

BROKEN = """
from penstock.testing import jobs

class Broken(jobs.Count):
    def open(self, runtime_context):
        super().open(runtime_context)
        raise ValueError("this version is no good")

jobs.Count = Broken
jobs.main()
"""


@BILL.scenario
def test_a_job_is_started_upgraded_rescaled_and_after_its_end_run_again(scene: Scene) -> None:
    with scene.stage() as stage:
        stage.apply(_with_two_slots(stage, parallelism=2))
        stage.namespace.kubectl("wait", "--for=condition=Ready", "--timeout=100s", f"fj/{NAME}", timeout_s=110)
        first = stable(stage)
        assert first.status["jobStatus"]["state"] == "RUNNING"
        assert stage.namespace.kubectl("get", "fj", NAME, "--no-headers").split()[:3] == [NAME, "Stable", "RUNNING"]

        faster = stage.arguments(rate=150)
        stage.apply(_with_two_slots(stage, args=faster, parallelism=2))
        second = upgraded(stage, first)
        assert second.savepoints[0]["cause"] == "upgrade"
        story = ["SpecChanged", "SavepointTriggered", "SavepointCompleted", "Upgraded"]
        assert [reason for reason in reasons(stage) if reason in story] == story

        for parallelism in (4, 1):
            stage.apply(_with_two_slots(stage, args=faster, parallelism=parallelism))
            seen = stage.wait(
                f"it runs with parallelism {parallelism}",
                lambda seen, wanted=parallelism: seen.stable and seen.status.get("parallelism") == wanted,  # type: ignore[misc]
            )
            assert seen.revision == second.revision
        finish(stage)

        stage.output += "-again"
        stage.apply(_with_two_slots(stage, upgradeMode="stateless"))
        stage.wait("it runs again", lambda seen: seen.stable and seen.job_state == "RUNNING")
        finish(stage)


@BILL.scenario
def test_last_state_needs_no_jobmanager(scene: Scene) -> None:
    with scene.stage() as stage:
        stage.apply(stage.manifest(upgradeMode="last-state"))
        before = stable(stage)
        stage.kill("jobmanager")
        stage.apply(stage.manifest(upgradeMode="last-state", args=stage.arguments(rate=150)))
        after = upgraded(stage, before)
        assert [one for one in after.savepoints if one["cause"] == "upgrade"] == []
        finish(stage)


@BILL.scenario
def test_what_cannot_run_leaves_what_runs_alone_and_says_why(scene: Scene) -> None:
    with scene.stage() as stage:
        stage.apply(stage.manifest())
        before = stable(stage)

        _is_refused(stage)

        nowhere = stage.manifest()
        nowhere["spec"] |= {"image": "docker.io/local/nowhere:1", "imagePullPolicy": "Never"}
        stage.apply(nowhere)
        stage.wait("the image is told of", lambda seen: seen.observed and "ErrImageNeverPull" in seen.error)

        stage.apply(stage.manifest(args=["nonsense"]))
        stage.wait("the script is told of", lambda seen: seen.observed and "jobs.py" in seen.error)

        stage.apply(stage.manifest(args=["connect", *stage.arguments()[1:]]))
        stage.wait("the state is told of", lambda seen: seen.observed and _does_not_fit(seen))

        stage.apply(stage.manifest())
        after = stable(stage)
        assert (after.revision, after.job_state) == (before.revision, "RUNNING")
        assert "SavepointTriggered" not in reasons(stage)
        finish(stage)


@BILL.scenario
def test_a_version_that_fails_after_the_stop_is_rolled_back(scene: Scene) -> None:
    with scene.stage() as stage:
        stage.apply(stage.manifest())
        before = stable(stage)
        failing = stage.manifest(script=None, source={"inline": BROKEN})
        failing["spec"]["flinkConfiguration"]["restart-strategy.type"] = "none"
        stage.apply(failing)
        seen = stage.wait("it was rolled back", lambda seen: seen.lifecycle == "RolledBack" and seen.operation is None)
        assert seen.status["refusedGeneration"] == seen.generation
        revisions = {one["name"]: one for one in seen.status["revisions"]}
        assert before.revision in revisions
        assert revisions[seen.revision]["origin"]["path"] == seen.savepoints[0]["path"]
        told = reasons(stage)
        assert {"SavepointCompleted", "RollingBack", "RolledBack"} <= set(told)
        finish(stage)


def _does_not_fit(seen: Seen) -> bool:
    """It says so of this version, and not of the one before, whose script could not be run."""
    condition = seen.condition("StateCompatible")
    return condition["status"] == "False" and "nonsense" not in condition["message"]


def _is_refused(stage: ClusterStage) -> None:
    """Every error at once: by the API server what the schema can say, by the operator what it cannot."""
    wrong = stage.manifest(parallelism=0, upgradeMode="sometimes")
    wrong["spec"]["taskManager"]["slots"] = 0
    stage.apply(wrong)
    for field in ("spec.job.parallelism", "spec.job.upgradeMode", "spec.taskManager.slots"):
        assert field in stage.refusal()

    forbidden = stage.manifest()
    forbidden["spec"]["flinkConfiguration"] |= {"rest.port": "1", "jobmanager.rpc.port": "2"}
    stage.apply(forbidden)
    for key in ("rest.port", "jobmanager.rpc.port"):
        assert key in stage.refusal()


def _with_two_slots(stage: ClusterStage, **job: Any) -> Manifest:
    manifest = stage.manifest(**job)
    manifest["spec"]["taskManager"]["slots"] = 2
    return manifest
