"""Scenario 14: a deletion does what its policy says and never hangs: a job runs, or fails, or has no JobManager."""

from collections.abc import Callable
from http import HTTPStatus

from tests.cluster.scenes import BILL, Scene

from penstock.testing.cluster_stage import ClusterStage
from penstock.testing.kubernetes.api import Refused
from penstock.testing.oracle import Expectation
from penstock.testing.stages import finish, stable
from penstock_operator.render.engine import STOP_GRACE_S

DEPLOYMENT = "apps/v1/Deployment"
GONE_S = 60.0


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
            _delete(stage, "Delete", way, published=True)
            assert stage.stored(stage.checkpoints) == stage.stored(stage.savepoints) == []
            lines = stage.committed()
            assert lines, "something was published"
            # Counted from nothing each time, and nothing twice.
            found = Expectation.of("count", stage.numbers, 1).differences(lines)
            assert not [difference for difference in found if "too often" in difference]
            stage.output += "-again"


@BILL.scenario
def test_a_pod_is_not_waited_for_because_a_process_of_it_does_not_listen_yet(scene: Scene) -> None:
    """As Python does not while it starts; what stands for it here never does."""
    deaf = {"name": "deaf", "image": scene.image, "command": ["sh", "-c", "while :; do sleep 1; done"]}
    with scene.stage() as stage:
        wanted = stage.manifest()
        wanted["spec"]["deletionPolicy"] = "Retain"
        wanted["spec"]["taskManager"]["podTemplate"] = {"spec": {"containers": [deaf]}}
        stage.apply(wanted)
        stage.pods("taskmanager")
        stage.delete()
        stage.wait_gone(STOP_GRACE_S - 10.0)


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


def _delete(stage: ClusterStage, policy: str, way: Callable[[ClusterStage], None], *, published: bool = False) -> None:
    """A job that was just started, and has published something if that is to be looked at."""
    wanted = stage.manifest()
    wanted["spec"] |= {"deletionPolicy": policy, "deletionTimeout": "20 s"}
    stage.apply(wanted)
    stable(stage)
    if published:
        stage.until(lambda: bool(stage.committed()), lambda: "nothing is published")
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
    (deployment,) = stage.namespace.all(
        DEPLOYMENT, {"penstock.dev/revision": seen.revision, "app.kubernetes.io/component": "jobmanager"}
    )
    stage.kill("jobmanager")
    stage.delete()
    try:
        stage.namespace.patch(DEPLOYMENT, deployment["metadata"]["name"], {"spec": {"replicas": 0}})
    except Refused as error:
        assert error.status == HTTPStatus.NOT_FOUND, error  # The operator has deleted it meanwhile.


WAYS = (_healthy, _failing, _without_a_jobmanager)
