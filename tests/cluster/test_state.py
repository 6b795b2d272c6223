"""Scenarios 13 and 15: state is suspended, kept, found again, and disposed of."""

from tests.cluster.scenes import BILL, Scene

from penstock.testing.stages import NAME, finish, stable

GONE_S = 60.0


@BILL.scenario
def test_savepoints_come_and_go_and_a_suspended_or_deleted_job_goes_on(scene: Scene) -> None:
    with scene.stage() as stage:
        wanted = stage.manifest()
        wanted["spec"] |= {"savepointNonce": 1, "snapshots": {"history": {"count": 1}}, "deletionPolicy": "Retain"}
        stage.apply(wanted)
        before = stable(stage)
        wanted["spec"]["savepointNonce"] = 2
        stage.apply(wanted)
        seen = stage.wait("one was taken", lambda seen: any(one["cause"] == "manual" for one in seen.savepoints))
        manual = next(one["path"] for one in seen.savepoints if one["cause"] == "manual")
        assert stage.stored(manual)
        wanted["spec"]["snapshots"]["periodic"] = {"interval": "10 s"}
        stage.apply(wanted)
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
