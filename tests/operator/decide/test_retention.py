"""What is kept of a job's state, by count, age and pin, and what is removed by whom; each test is one rule."""

from dataclasses import replace

import msgspec
from tests.operator.decide.looking import a_stable_world, idle, is_, starts
from tests.operator.decide.simulated import ROOT, World

from penstock_operator.decide import acts
from penstock_operator.decide.facts import SnapshotObject, StandbyState
from penstock_operator.model.spec import Checkpoints, History, Retention, Snapshots
from penstock_operator.model.status import LifecycleState

SUSPENDED = is_(LifecycleState.SUSPENDED)


def keeping(**retention: object) -> Checkpoints:
    return Checkpoints(dir="s3://bucket/checkpoints", savepoint_dir=ROOT, retention=Retention(**retention))  # type: ignore[arg-type]


def suspended(*, upgrade_mode: str = "last-state", **fields: object) -> World:
    world = a_stable_world(upgrade_mode=upgrade_mode, **fields)
    world.run(60)
    world.edit(state="suspended")
    assert world.run(60, SUSPENDED), world.status
    return world


def change(world: World, **fields: object) -> None:
    world.edit(msgspec.structs.replace(world.spec, **fields))


def disposals(world: World) -> list[acts.Dispose]:
    return [act for act in world.done if isinstance(act, acts.Dispose)]


def told(world: World) -> list[acts.RetainCheckpoints]:
    return [act for act in world.done if isinstance(act, acts.RetainCheckpoints)]


def dry_runs(world: World) -> list[str]:
    pairs = zip(world.events, world.sentences, strict=True)
    return [sentence for reason, sentence in pairs if reason == "RetentionDryRun"]


def test_old_checkpoints_of_a_suspended_job_go_in_the_store_but_not_what_it_goes_on_from() -> None:
    world = suspended(checkpoints=keeping(age="10 min"))
    newest = world.engine.journal.newest()
    assert len(world.engine.journal.lineage) == 3
    world.run(400)
    assert len(world.engine.journal.lineage) == 3, "they are not old yet"
    writes = world.writes
    world.run(800)
    assert world.engine.journal.lineage == [newest]
    assert {act.revision for act in disposals(world)} == {""} and world.writes == writes
    world.edit(state="running")
    assert world.run(120, is_(LifecycleState.STABLE)), world.status


def test_after_a_stop_with_a_savepoint_all_old_checkpoints_go() -> None:
    world = suspended(upgrade_mode="savepoint", checkpoints=keeping(age="10 min"))
    world.run(1_500)
    assert world.engine.journal.lineage == [] and world.engine.journal.stopped is not None


def test_fewer_checkpoints_are_kept_of_a_suspended_job_as_soon_as_its_spec_says_so() -> None:
    world = suspended()
    change(world, checkpoints=keeping(count=1))
    assert world.run(15, lambda w: len(w.engine.journal.lineage) == 1), world.engine.journal.lineage


def test_another_count_is_heeded_at_once_without_an_upgrade_and_by_whoever_comes_after() -> None:
    world = a_stable_world()
    before = world.running()
    world.run(60)
    for count in (1, 5):
        change(world, checkpoints=keeping(count=count))
        assert world.run(40, lambda w, count=count: len(w.engine.journal.lineage) == count), world.engine.journal
    assert world.running() == before and len(starts(world)) == 1
    assert [(act.count, act.pinned) for act in told(world)] == [(1, ()), (5, ())]


def test_a_pinned_checkpoint_stays_however_old_it_is() -> None:
    world = suspended(checkpoints=keeping(age="10 min"))
    oldest, newest = world.engine.journal.lineage[0], world.engine.journal.lineage[-1]
    change(world, checkpoints=keeping(age="10 min", count=1, pin=(oldest,)))
    world.run(1_500)
    assert world.engine.journal.lineage == [oldest, newest]


def test_a_pinned_checkpoint_of_a_running_job_stays_and_its_jobmanager_knows_without_an_upgrade() -> None:
    world = a_stable_world(checkpoints=keeping(count=2))
    pinned = world.engine.journal.lineage[0]
    change(world, checkpoints=keeping(count=2, pin=(f"{pinned}/",)))
    assert world.run(10, lambda w: len(told(w)) == 1) and told(world)[0].pinned == (f"{pinned}/",)


def test_a_pin_holds_whoever_runs_the_job_and_until_it_is_taken_away() -> None:
    world = a_stable_world(checkpoints=keeping(count=2))
    pinned = world.engine.journal.lineage[0]
    change(world, checkpoints=keeping(count=2, pin=(pinned,)))
    world.run(60)
    assert pinned in world.engine.journal.lineage and len(world.engine.journal.lineage) == 3
    change(world, checkpoints=keeping(count=2, pin=(pinned,)), restart_nonce=1)
    assert world.run(120, is_(LifecycleState.STABLE)), world.status
    assert len(told(world)) == 1, "the next one was started with it"
    change(world, checkpoints=keeping(count=2))
    assert world.run(60, lambda w: pinned not in w.engine.journal.lineage)


def test_a_jobmanager_that_knows_no_pins_is_told_none() -> None:
    world = a_stable_world(checkpoints=keeping(count=2))
    world.children[world.running()[0]].manager.pinned = None
    change(world, checkpoints=keeping(count=1, pin=("s3://bucket/checkpoints/chk-1",)))
    assert world.run(30, lambda w: len(told(w)) == 1) and told(world)[0].pinned is None
    world.run(60)
    assert len(told(world)) == 1


def test_pinned_savepoints_stay_when_all_else_goes_with_the_job() -> None:
    world = a_stable_world(savepoint_nonce=1, deletion_policy="Delete")
    change(world, savepoint_nonce=2)
    assert world.run(60, lambda w: len(w.status.savepoints) == 1 and idle(w))
    path = world.status.savepoints[0].path
    change(world, checkpoints=keeping(pin=(f"{path}/_metadata",)))
    world.run(10)
    world.delete()
    world.run(60)
    purges = [act for act in world.done if isinstance(act, acts.Purge)]
    assert purges and all(path not in act.savepoints for act in purges)


def test_a_snapshot_whose_savepoint_is_pinned_goes_without_it() -> None:
    world = a_stable_world()
    world.snapshots["s"] = replace(a_checkpoint_object(), kind="savepoint")
    assert world.run(60, lambda w: w.snapshots["s"].phase == "Completed" and w.snapshots["s"].finalizer)
    path = world.snapshots["s"].path
    change(world, checkpoints=keeping(pin=(path,)))
    world.run(10)
    world.snapshots["s"] = replace(world.snapshots["s"], deleting=True)
    assert world.run(30, lambda w: "s" not in w.snapshots)
    assert path in world.engine.sound and disposals(world) == []


def test_a_savepoint_stays_for_as_long_as_any_object_stands_for_it() -> None:
    world = a_stable_world()
    world.snapshots["s"] = replace(a_checkpoint_object(), kind="savepoint")
    assert world.run(60, lambda w: w.snapshots["s"].phase == "Completed" and w.snapshots["s"].finalizer)
    path = world.snapshots["s"].path
    again = replace(a_checkpoint_object(), name="again", kind="savepoint", already_exists=True, directory=path)
    world.snapshots["again"] = again
    world.snapshots["s"] = replace(world.snapshots["s"], deleting=True)
    assert world.run(30, lambda w: "s" not in w.snapshots and w.snapshots["again"].phase == "Completed")
    assert path in world.engine.sound and disposals(world) == []
    world.snapshots["again"] = replace(world.snapshots["again"], deleting=True)
    assert world.run(30, lambda w: "again" not in w.snapshots)
    assert path not in world.engine.sound


def test_a_dry_run_removes_nothing_and_tells_what_would_go_of_a_running_job() -> None:
    world = a_stable_world(savepoint_nonce=1, snapshots=Snapshots(history=History(count=1)))
    for nonce in (2, 3):
        change(world, savepoint_nonce=nonce, checkpoints=keeping(count=2, dry_run=True))
        assert world.run(60, lambda w, nonce=nonce: len(w.status.savepoints) == nonce - 1 and idle(w))
    world.run(60)
    kept, before = list(world.engine.journal.lineage), len(dry_runs(world))
    assert len(kept) > 5 and len(world.status.savepoints) == 2
    change(world, checkpoints=keeping(count=1, dry_run=True))
    world.run(2)
    said = dry_runs(world)[before:]
    assert all(any(path in each for each in said) for path in (*kept[:-1], world.status.savepoints[1].path)), said
    assert disposals(world) == [] and not any(kept[-1] in each for each in said)
    change(world, checkpoints=keeping(count=1))
    assert world.run(60, lambda w: len(w.engine.journal.lineage) == 1 and len(w.status.savepoints) == 1)


def test_a_dry_run_removes_nothing_of_a_suspended_job_either() -> None:
    world = suspended(checkpoints=keeping(age="10 min"))
    change(world, checkpoints=keeping(count=1, age="10 min", dry_run=True))
    world.run(1_500)
    assert len(world.engine.journal.lineage) == 3 and len(set(dry_runs(world))) == 2
    assert disposals(world) == []


def test_checkpoints_of_a_job_that_was_canceled_are_removed_by_the_jobmanager_that_lingers() -> None:
    world = a_stable_world(checkpoints=keeping(age="10 min"))
    world.run(60)
    manager = world.children[world.running()[0]].manager
    manager.state, manager.job_state, world.engine.journal.finished = StandbyState.ENDED, "CANCELED", "CANCELED"
    assert world.run(30, is_(LifecycleState.FAILED)), world.status
    world.run(1_500)
    assert len(world.engine.journal.lineage) == 1, "the newest stays"
    assert {act.revision for act in disposals(world)} == {world.status.active_revision}


def test_old_checkpoints_of_a_running_job_are_removed_by_its_jobmanager() -> None:
    world = a_stable_world(checkpoints=keeping(age="2 min"))
    world.run(60)
    world.engine.checkpoints_stop = True
    world.run(600)
    assert len(world.engine.journal.lineage) == 1, "the newest stays"
    assert {act.revision for act in disposals(world)} == {world.status.active_revision}


def test_without_an_age_a_running_job_is_not_even_looked_at_for_it() -> None:
    world = a_stable_world()
    world.run(60)
    calls, passes = world.calls, world.passes
    world.run(4_000)
    assert world.calls - calls <= 2 * (world.passes - passes), "processes, and one question to its JobManager"


def test_with_the_store_away_nothing_is_removed_and_nothing_complained_of() -> None:
    world = suspended(checkpoints=keeping(age="10 min"))
    world.engine.store_up = False
    world.run(2_000)
    assert len(world.engine.journal.lineage) == 3 and not world.status.error
    world.engine.store_up = True
    world.run(500)
    assert len(world.engine.journal.lineage) == 1


def test_nothing_is_removed_behind_processes_that_are_just_being_made_again() -> None:
    """One that takes the epoch away from them holds up the job."""
    world = a_stable_world(checkpoints=keeping(age="2 min"), snapshots=Snapshots(history=History(count=1)))
    world.run(300)
    done = len(world.done)
    for _ in range(5):
        world.lose_children()
        world.run(120)
    assert all(act.revision for act in world.done[done:] if isinstance(act, acts.Dispose))


def test_savepoints_go_by_age_too() -> None:
    world = a_stable_world(savepoint_nonce=1, snapshots=Snapshots(history=History(age="5 min")))
    change(world, savepoint_nonce=2)
    assert world.run(60, lambda w: len(w.status.savepoints) == 1 and idle(w))
    world.run(500)
    assert world.status.savepoints == () and world.engine.sound == {}


def a_checkpoint_object() -> SnapshotObject:
    return SnapshotObject("s", "u", "checkpoint", "", "", "", 0, 3, False, True, False, "")


def test_a_checkpoint_object_takes_its_checkpoint_along_unless_the_job_needs_it() -> None:
    for needed in (True, False):
        for down in (True, False):
            world = a_stable_world(upgrade_mode="last-state")
            world.engine.checkpoints_stop = True
            world.snapshots["s"] = a_checkpoint_object()
            assert world.run(60, lambda w: w.snapshots["s"].phase == "Completed" and w.snapshots["s"].finalizer)
            path = world.snapshots["s"].path
            assert path in world.engine.journal.lineage
            if not needed:
                world.engine.take_checkpoint(world.children[world.running()[0]].manager)
            if down:
                world.edit(state="suspended")
                assert world.run(60, SUSPENDED)
            world.snapshots["s"] = replace(world.snapshots["s"], deleting=True)
            world.run(30)
            assert "s" not in world.snapshots
            assert (path in world.engine.journal.lineage) is needed, (needed, down)
