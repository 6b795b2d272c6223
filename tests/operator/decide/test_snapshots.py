"""Savepoints of a running job, by nonce, from time to time and for objects of their own; each test is one rule."""

from dataclasses import replace

from tests.operator.decide.looking import STABLE, a_stable_world, is_
from tests.operator.decide.simulated import ROOT, World, a_spec

from penstock_operator.decide import acts
from penstock_operator.decide.facts import SnapshotObject
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import Checkpoints, History, Periodic, Snapshots
from penstock_operator.model.status import LifecycleState


def test_a_nonce_is_one_savepoint() -> None:
    world = a_stable_world(savepoint_nonce=1)
    assert not world.status.savepoints, "a nonce that was there from the beginning asks for nothing"
    world.edit(a_spec(savepoint_nonce=2))
    assert world.run(60, lambda w: len(w.status.savepoints) == 1), world.status
    world.run(100)
    assert [record.cause for record in world.status.savepoints] == ["manual"] and len(world.running()) == 1


def test_periodic_savepoints_come_and_the_oldest_go() -> None:
    snapshots = Snapshots(periodic=Periodic(interval="1 min"), history=History(count=2))
    world = a_stable_world(snapshots=snapshots)
    world.run(600)
    assert len(world.engine.sound) in (2, 3) and len(world.status.savepoints) in (2, 3)
    assert len(started_savepoints(world)) >= 8


def test_savepoints_by_cron() -> None:
    world = a_stable_world(snapshots=Snapshots(periodic=Periodic(cron="*/5 * * * *")))
    world.run(1_510)
    assert 4 <= len(world.status.savepoints) <= 6


def started_savepoints(world: World) -> set[str]:
    return {act.trigger_id for act in world.done if isinstance(act, acts.TriggerSavepoint)}


def test_savepoints_need_no_directory_of_their_own() -> None:
    world = a_stable_world(checkpoints=Checkpoints(dir="s3://bucket/checkpoints"))
    world.edit(args=("--more",))
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert not world.status.savepoints[0].path.startswith(ROOT)


def test_what_a_job_was_stopped_with_is_newer_than_what_is_heard_of_later() -> None:
    world = a_stable_world(savepoint_nonce=1)
    world.edit(a_spec(savepoint_nonce=2))
    assert world.run(60, lambda w: bool(w.status.pending)), world.status
    world.unheard = world.status.pending[0].trigger_id
    world.edit(state="suspended")
    assert world.run(60, lambda w: bool(w.status.savepoints)), world.status
    world.unheard = ""
    assert world.run(60, is_(LifecycleState.SUSPENDED)), world.status
    assert [record.cause for record in world.status.savepoints] == ["suspend", "manual"]


def test_a_snapshot_object_is_completed_and_its_data_go_with_it() -> None:
    world = a_stable_world()
    world.snapshots["s"] = SnapshotObject("s", "u", "savepoint", "", "", "", 0, 3, False, True, False, "")
    assert world.run(60, lambda w: w.snapshots["s"].phase == "Completed")
    assert world.snapshots["s"].finalizer and world.snapshots["s"].path in world.engine.sound
    world.edit(state="suspended")
    assert world.run(60, is_(LifecycleState.SUSPENDED))
    world.snapshots["s"] = replace(world.snapshots["s"], deleting=True)
    path = world.snapshots["s"].path
    world.run(120)
    assert "s" not in world.snapshots and path not in world.engine.sound


def test_a_snapshot_that_is_deleted_with_its_job_goes_with_its_data() -> None:
    world = a_stable_world(deletion_policy="Retain")
    world.snapshots["s"] = SnapshotObject("s", "u", "savepoint", "", "", "", 0, 3, False, True, False, "")
    assert world.run(60, lambda w: w.snapshots["s"].phase == "Completed")
    path = world.snapshots["s"].path
    world.snapshots["s"] = replace(world.snapshots["s"], deleting=True)
    world.delete()
    world.run(60)
    assert world.gone and "s" not in world.snapshots and path not in world.engine.sound


def test_a_snapshot_goes_with_its_data_although_its_job_cannot_be_started() -> None:
    world = World(a_spec())
    world.missing = (FieldError("spec.checkpoints.credentialsSecretRef.name", "s3", "a Secret"),)
    world.engine.sound["s3://x/savepoint-1"] = True
    world.snapshots["s"] = SnapshotObject(
        "s", "u", "savepoint", "Completed", "t", "s3://x/savepoint-1", 0, 3, True, True, True, ""
    )
    world.run(30)
    assert "s" not in world.snapshots and not world.engine.sound


def test_a_snapshot_of_a_job_that_was_created_again_is_held_again() -> None:
    world = a_stable_world()
    world.snapshots["s"] = SnapshotObject(
        "s", "u", "savepoint", "Completed", "t", "s3://x", 0, 3, False, True, False, ""
    )
    assert world.run(5, lambda w: w.snapshots["s"].finalizer)


def test_a_snapshot_object_waits_for_the_job_and_fails_after_its_retries() -> None:
    world = World(a_spec(state="suspended"))
    world.snapshots["s"] = SnapshotObject("s", "u", "savepoint", "", "", "", 0, 1, False, True, False, "")
    world.run(60)
    assert world.snapshots["s"].phase == "Pending"
    world.engine.failing_savepoints = 2
    world.edit(state="running")
    assert world.run(120, lambda w: w.snapshots["s"].phase == "Failed"), world.snapshots
    assert world.snapshots["s"].attempts == 1
