"""Scenarios 13, 14 and 15: state is suspended, kept, found again, and disposed of; a deletion never hangs."""

from collections.abc import Callable

from tests.cluster.scenes import BILL, Scene

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.oracle import Expectation
from penstock.testing.stages import NAME, finish, stable

DEPLOYMENT = "apps/v1/Deployment"
GONE_S = 60.0


@BILL.scenario
def test_savepoints_come_and_go_and_a_suspended_or_deleted_job_goes_on(scene: Scene) -> None:
    with scene.stage() as stage:
        wanted = stage.manifest()
        wanted["spec"] |= {
            "savepointNonce": 1,
            "snapshots": {"periodic": {"interval": "10 s"}, "history": {"count": 1}},
            "deletionPolicy": "Retain",
        }
        stage.apply(wanted)
        before = stable(stage)
        wanted["spec"]["savepointNonce"] = 2
        stage.apply(wanted)
        seen = stage.wait("one was taken", lambda seen: any(one["cause"] == "manual" for one in seen.savepoints))
        manual = next(one["path"] for one in seen.savepoints if one["cause"] == "manual")
        assert stage.stored(manual)
        stage.wait(
            "a periodic one has taken its place",
            lambda seen: bool(seen.savepoints) and manual not in [one["path"] for one in seen.savepoints],
        )
        assert not stage.stored(manual)
        assert seen.revision == before.revision

        del wanted["spec"]["snapshots"]
        wanted["spec"]["job"]["state"] = "suspended"
        stage.apply(wanted)
        seen = stage.wait("it is suspended", lambda seen: seen.observed and seen.lifecycle == "Suspended")
        assert seen.savepoints[0]["cause"] == "suspend"
        stage.until(lambda: not stage.namespace.pods(**{"penstock.dev/job": NAME}), lambda: "pods are left")

        wanted["spec"]["job"]["state"] = "running"
        stage.apply(wanted)
        stable(stage)
        stage.delete()
        stage.wait_gone(GONE_S)
        assert [key for key in stage.stored(stage.checkpoints) if key.endswith("/_metadata")], "it is retained"

        stage.apply(wanted)
        stable(stage)
        finish(stage)


@BILL.scenario
def test_a_deletion_with_a_savepoint_never_hangs_and_leaves_what_there_is(scene: Scene) -> None:
    with scene.stage() as stage:
        left = _delete_in_every_way(stage, "Savepoint")
        assert [bool(savepoints) for savepoints in left] == [True, True, True]
        assert left[0] == left[1] == left[2], "the failing ones had none taken"


@BILL.scenario
def test_a_deletion_that_retains_takes_no_savepoint_and_leaves_the_checkpoints(scene: Scene) -> None:
    with scene.stage() as stage:
        assert _delete_in_every_way(stage, "Retain") == [[], [], []]


@BILL.scenario
def test_a_deletion_that_deletes_leaves_nothing(scene: Scene) -> None:
    with scene.stage() as stage:
        for way in WAYS:
            _delete(stage, "Delete", way)
            assert stage.stored(stage.checkpoints) == stage.stored(stage.savepoints) == []
            lines = stage.committed()
            assert lines, "something was published"
            # Counted from nothing each time, without a gap up to where it was deleted.
            assert Expectation.of("count", len(lines), 1).differences(lines) == []
            stage.output += "-again"


def _delete_in_every_way(stage: ClusterStage, policy: str) -> list[list[str]]:
    """Each time it goes on from what was left; after each the savepoints that there are."""
    found = []
    for way in WAYS:
        _delete(stage, policy, way)
        found.append([key for key in stage.stored(stage.savepoints) if key.endswith("/_metadata")])
    stage.apply(stage.manifest())
    stable(stage)
    finish(stage)
    return found


def _delete(stage: ClusterStage, policy: str, way: Callable[[ClusterStage], None]) -> None:
    """A job that was just started."""
    wanted = stage.manifest()
    wanted["spec"] |= {"deletionPolicy": policy, "deletionTimeout": "20 s"}
    stage.apply(wanted)
    stable(stage)
    way(stage)
    stage.wait_gone(GONE_S)


def _healthy(stage: ClusterStage) -> None:
    stage.delete()


def _failing(stage: ClusterStage) -> None:
    stage.raise_always()
    stage.wait("it is restarted again and again", lambda seen: seen.status["checkpoints"].get("restarts", 0) > 1)
    stage.delete()


def _without_a_jobmanager(stage: ClusterStage) -> None:
    """Killed first, and not made again."""
    seen = stage.seen()
    assert seen is not None
    stage.kill("jobmanager")
    stage.delete()
    (deployment,) = stage.namespace.all(
        DEPLOYMENT, {"penstock.dev/revision": seen.revision, "app.kubernetes.io/component": "jobmanager"}
    )
    stage.namespace.patch(DEPLOYMENT, deployment["metadata"]["name"], {"spec": {"replicas": 0}})


WAYS = (_healthy, _failing, _without_a_jobmanager)
