"""What happens to a job that is edited, killed, suspended, failed or deleted; each test is one rule."""

import msgspec
from tests.operator.decide.looking import STABLE, a_stable_world, at, condition, idle, is_, starts
from tests.operator.decide.simulated import ROOT, World, a_spec

from penstock_operator.decide import acts
from penstock_operator.decide.facts import StandbyState, Trouble, Unknown
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import Checkpoints, Upgrade
from penstock_operator.model.status import LifecycleState, Status, Step


def test_last_state_goes_on_from_the_newest_checkpoint_without_a_savepoint() -> None:
    world = a_stable_world(upgrade_mode="last-state")
    world.edit(args=("--more",))
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert starts(world)[-1].origin.kind == "newest"
    assert not any(isinstance(act, acts.TriggerSavepoint) for act in world.done)


def test_last_state_needs_no_jobmanager_that_answers() -> None:
    world = a_stable_world(upgrade_mode="last-state")
    world.rest_up = False
    world.edit(args=("--more",))
    world.run(20)
    world.rest_up = True
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status


def test_stateless_starts_empty_and_only_when_asked() -> None:
    world = a_stable_world()
    world.edit(args=("--more",), upgrade_mode="stateless")
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert starts(world)[-1].origin.kind == "empty"


def test_a_script_that_raises_leaves_the_old_version_running() -> None:
    world = a_stable_world()
    old = world.running()
    world.edit(args=("raises",))
    assert world.run(60, lambda w: idle(w) and w.status.refused_generation == 2), world.status
    world.run(100)
    assert world.running() == old and len(world.children) == 1
    assert condition(world, "Degraded")[:2] == ("True", "ScriptFailed")
    assert condition(world, "StateCompatible")[0] == "False"
    assert condition(world, "Ready")[0] == "True"


def test_an_incompatible_state_leaves_the_old_version_running_and_says_why() -> None:
    world = a_stable_world()
    old = world.running()
    world.edit(args=("incompatible",))
    assert world.run(60, lambda w: idle(w) and w.status.refused_generation == 2), world.status
    world.run(100)
    assert world.running() == old
    assert condition(world, "StateCompatible") == ("False", "Incompatible", "state `seen` has no operator")


def test_a_bad_image_leaves_the_old_version_running() -> None:
    world = a_stable_world()
    old = world.running()
    world.edit(a_spec(image="bad"))
    assert world.run(90, lambda w: idle(w) and w.status.refused_generation == 2), world.status
    assert world.running() == old


def test_an_edit_after_a_refused_one_is_rolled_out() -> None:
    world = a_stable_world()
    world.edit(args=("raises",))
    assert world.run(60, lambda w: idle(w) and w.status.refused_generation == 2)
    world.edit(args=("fine",))
    assert world.run(120, lambda w: STABLE(w) and "r3" in w.running()[0]), world.status


def test_a_version_that_crashes_before_its_first_checkpoint_is_rolled_back_to_the_savepoint() -> None:
    world = a_stable_world()
    world.edit(args=("crashes",))
    assert world.run(300, is_(LifecycleState.ROLLED_BACK)), world.status
    assert starts(world)[-1].origin.path == world.status.savepoints[0].path
    assert world.revisions[world.running()[0]].spec.job.args == ()
    writes = world.writes
    world.run(600)
    assert world.writes - writes <= 4, "it is not tried again"


def test_a_version_that_fails_is_rolled_back() -> None:
    world = a_stable_world()
    world.edit(args=("fails",))
    assert world.run(300, is_(LifecycleState.ROLLED_BACK)), world.status


def test_without_rollback_a_failing_version_is_left_and_said_to_be_failed() -> None:
    world = a_stable_world()
    world.edit(a_spec("fails", upgrade=Upgrade(readiness_timeout="60 s", rollback=False)))
    assert world.run(300, lambda w: w.status.lifecycle_state is LifecycleState.FAILED), world.status
    world.edit(args=("fine",))
    assert world.run(300, STABLE), world.status


def test_with_no_room_for_both_the_old_version_is_stopped_first() -> None:
    world = a_stable_world()
    world.room = 1
    world.edit(args=("--more",))
    assert world.run(240, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert "NoRoomForBoth" in world.events
    assert starts(world)[-1].origin.path is not None


def test_with_no_room_a_new_version_that_cannot_start_is_rolled_back() -> None:
    world = a_stable_world()
    world.room = 1
    world.edit(args=("raises",))
    assert world.run(400, is_(LifecycleState.ROLLED_BACK)), world.status


def test_a_failing_savepoint_is_tried_again_and_then_given_up_with_the_old_version_running() -> None:
    world = a_stable_world()
    world.engine.failing_savepoints = 2
    world.edit(args=("--more",))
    assert world.run(240, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    world.engine.failing_savepoints = 100
    world.edit(args=("--again",))
    assert world.run(400, lambda w: idle(w) and w.status.refused_generation == 3), world.status
    assert "r2" in world.running()[0]


def test_the_next_version_does_not_wait_for_the_end_of_a_job_that_the_journal_says_was_stopped() -> None:
    world = a_stable_world()
    world.engine.end_ms = 3_600_000
    world.edit(args=("--more",))
    assert world.run(60, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert starts(world)[-1].origin.path == world.status.savepoints[0].path


def test_a_job_that_cannot_be_asked_for_a_savepoint_goes_on_from_its_newest_checkpoint() -> None:
    world = a_stable_world()
    world.edit(args=("--more",))
    assert world.run(60, at(Step.SAVEPOINTING))
    world.children[world.status.active_revision].manager.job_state = "FAILED"
    assert world.run(200, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert "SavepointSkipped" in world.events


def test_a_damaged_savepoint_is_not_started_from_and_waits_for_the_store_or_a_person() -> None:
    world = a_stable_world()
    world.edit(args=("--more",))
    world.engine.damaging_savepoints = True
    world.run(60)
    assert at(Step.VERIFYING)(world) and condition(world, "Degraded")[1] == "SavepointDamaged"
    assert world.running() == []
    world.edit(upgrade_mode="stateless")
    assert world.run(200, STABLE), world.status


def test_suspended_and_resumed_goes_on_from_the_savepoint() -> None:
    world = a_stable_world()
    world.edit(state="suspended")
    assert world.run(120, is_(LifecycleState.SUSPENDED)), world.status
    assert not world.children
    writes = world.writes
    world.run(1000)
    assert world.writes == writes
    world.edit(state="running")
    assert world.run(120, STABLE), world.status
    assert len(world.running()) == 1


def test_lost_processes_are_made_again() -> None:
    world = a_stable_world()
    world.lose_children()
    world.run(5)
    assert world.run(60, lambda w: len(w.running()) == 1), world.status
    assert "ProcessesLost" in world.events


def test_why_a_stable_job_does_not_come_back_is_told_and_what_it_needs_is_applied_again() -> None:
    world = a_stable_world()
    done = len(world.done)
    world.trouble = Trouble.CONFIG
    assert world.run(5, lambda w: condition(w, "Degraded")[1] == "ConfigurationMissing"), world.status
    assert "the JobManager of r1-" in world.status.error and " cannot run: " in world.status.error
    world.run(60)
    deploys = [act for act in world.done[done:] if isinstance(act, acts.Deploy)]
    assert 5 <= len(deploys) <= 8, "without a hot loop"
    world.trouble = None
    assert world.run(60, lambda w: w.status.job_status.state == "RUNNING" and not w.status.error), world.status
    assert len(starts(world)) == 1


def test_a_damaged_checkpoint_is_told_with_the_data_that_it_concerns() -> None:
    world = a_stable_world()
    world.damaged = "checkpoint 9 is not whole"
    world.kill_jobmanager()
    world.run(60)
    assert world.events.count("CheckpointCorrupt") == 1
    (sentence,) = [s for s in world.sentences if s.startswith(world.damaged)]
    assert "the job goes on from s3://bucket/checkpoints/chk-" in sentence and "is read again" in sentence


def test_an_invalid_spec_leaves_the_job_running_and_recovery_on() -> None:
    world = a_stable_world()
    world.edit(args=("--more",))
    world.errors = (FieldError("spec.job.parallelism", "0", "at least 1"),)
    world.run(30)
    assert condition(world, "Degraded")[1] == "ValidationError"
    world.lose_children()
    world.run(30)
    assert len(world.running()) == 1 and "r1" in world.running()[0]


def test_of_more_errors_than_a_status_has_room_for_the_first_are_told() -> None:
    world = a_stable_world()
    world.edit(args=("--more",))
    world.errors = tuple(FieldError(f"spec.flinkConfiguration.{at}", "1", "a text") for at in range(20_000))
    world.run(5)
    assert condition(world, "Degraded")[2].endswith("; and 19980 more") and len(world.status.error) < 12_000


def test_what_the_spec_refers_to_and_cannot_be_seen_is_told_and_waited_for() -> None:
    world = World(a_spec())
    world.missing = Unknown("secrets is forbidden")
    world.run(30)
    assert condition(world, "Degraded")[1:] == (
        "ReferencesUnknown",
        "it cannot be seen whether what the spec refers to exists: secrets is forbidden",
    )
    world.missing = ()
    assert world.run(120, STABLE), world.status


def test_a_paused_job_is_watched_and_left_alone() -> None:
    world = a_stable_world()
    world.paused = True
    world.edit(args=("--more",))
    done = len(world.done)
    world.run(100)
    assert len(world.done) == done
    assert condition(world, "Progressing")[1] == "Paused"


def test_a_status_that_was_emptied_is_found_again() -> None:
    world = a_stable_world()
    old = world.running()
    world.status = Status()
    assert world.run(120, STABLE), world.status
    assert world.running() == old and len(starts(world)) == 1


def test_a_parallelism_is_changed_in_place() -> None:
    world = a_stable_world()
    old = world.running()
    world.edit(parallelism=4)
    assert world.run(60, lambda w: w.status.parallelism == 4 and idle(w)), world.status
    assert world.running() == old and len(starts(world)) == 1


def test_scaling_that_does_not_work_becomes_an_upgrade() -> None:
    world = a_stable_world()
    world.rescaling_works = False
    world.edit(parallelism=4)
    assert world.run(240, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status


def test_scaling_that_is_refused_becomes_an_upgrade_at_once() -> None:
    world = a_stable_world("unscalable")
    world.edit(parallelism=4)
    assert world.run(5, lambda w: "ScalingFailed" in w.events), world.events
    assert any(sentence.endswith("upgraded: it cannot be") for sentence in world.sentences)
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status


def test_an_edit_while_the_new_version_is_prepared_replaces_it() -> None:
    world = a_stable_world()
    world.edit(args=("one",))
    assert world.run(60, at(Step.PREPARING))
    world.edit(args=("two",))
    assert world.run(120, lambda w: STABLE(w) and "r3" in w.running()[0]), world.status
    assert len(starts(world)) == 2


def test_an_edit_after_the_savepoint_was_asked_for_follows_the_upgrade() -> None:
    world = a_stable_world()
    world.edit(args=("one",))
    assert world.run(60, at(Step.SAVEPOINTING))
    world.edit(args=("two",))
    assert world.run(240, lambda w: STABLE(w) and "r3" in w.running()[0]), world.status


def test_processes_on_a_machine_that_nobody_hears_of_hold_up_an_upgrade_for_a_minute_and_it_is_said() -> None:
    world = a_stable_world(upgrade_mode="last-state")
    world.lose_node()
    world.edit(args=("--more",))
    assert world.run(50, at(Step.STOPPING)), world.status
    world.run(30)
    assert at(Step.STOPPING)(world), "what may still run is waited for"
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert world.events.count("ProcessesUnheardOf") == 1
    assert any("on node one should have ended" in sentence for sentence in world.sentences)


def test_a_first_deployment_that_cannot_start_is_mended_by_an_edit() -> None:
    for broken in (a_spec("raises"), a_spec(image="bad"), a_spec("fails"), a_spec("crashes")):
        world = World(broken)
        world.run(120)
        assert condition(world, "Degraded")[0] == "True", broken
        world.edit(a_spec())
        assert world.run(200, STABLE), world.status


def test_a_first_deployment_whose_processes_crash_says_so_at_once() -> None:
    world = World(a_spec(image="bad"))
    assert world.run(5, lambda w: any(c.reason == "ImageUnusable" for c in w.status.conditions)), world.status
    assert condition(world, "Degraded")[:2] == ("True", "ImageUnusable") and world.status.error


def test_a_bounded_job_finishes_and_is_run_again_when_its_spec_changes() -> None:
    world = World(a_spec("bounded"))
    assert world.run(120, is_(LifecycleState.FINISHED)), world.status
    world.run(600)
    assert len(starts(world)) == 1
    world.edit(args=("bounded", "again"))
    assert world.run(20, lambda w: len(starts(w)) == 2)
    assert world.run(120, is_(LifecycleState.FINISHED)), world.status


def test_a_job_that_ends_while_a_new_version_is_prepared_is_not_run_again_whatever_its_state_would_come_from() -> None:
    for mode in ("savepoint", "last-state"):
        world = a_stable_world(upgrade_mode=mode)
        world.edit(args=("--more",))
        assert world.run(60, at(Step.PREPARING)), world.status
        manager = world.children[world.running()[0]].manager
        manager.state, manager.job_state, world.engine.journal.finished = StandbyState.ENDED, "FINISHED", "FINISHED"
        assert world.run(60, is_(LifecycleState.FINISHED)), world.status
        assert condition(world, "Degraded")[:2] == ("True", "JobFinished"), mode
        assert len(starts(world)) == 1, mode


def test_the_end_of_a_bounded_job_is_seen_soon_and_told_without_what_failed_before() -> None:
    world = World(a_spec("bounded", upgrade=Upgrade(stable_checkpoints=1)))
    assert world.run(60, lambda w: w.running() and not w.status.savepoints)
    world.kill_workers()
    assert world.run(60, STABLE), world.status
    assert world.run(60, lambda w: not w.running())
    assert world.run(6, is_(LifecycleState.FINISHED)), world.status
    assert [s for s in world.sentences if "end" in s][-1].endswith("came to its end"), world.sentences


def test_state_that_is_known_and_not_found_is_not_replaced_by_nothing() -> None:
    world = a_stable_world()
    world.edit(state="suspended", upgrade_mode="last-state")
    assert world.run(120, is_(LifecycleState.SUSPENDED))
    journal = world.engine.journal
    journal.lineage.clear()
    journal.origin = ""
    world.edit(state="running")
    world.run(60)
    assert condition(world, "Degraded")[1] == "StateMissing" and not world.running()
    world.edit(allow_empty_state=True)
    world.engine.published = 0
    assert world.run(120, STABLE), world.status


def test_deletion_takes_a_savepoint_and_leaves_the_state() -> None:
    world = a_stable_world()
    world.delete()
    world.run(60)
    assert world.gone and world.engine.journal.stopped is not None and not world.children


def test_deletion_never_waits_longer_than_its_deadline() -> None:
    for policy in ("Savepoint", "Retain", "Delete"):
        world = a_stable_world(deletion_policy=policy)
        world.rest_up = world.engine.store_up = False
        world.delete()
        world.run(400)
        assert world.gone, policy


def test_deletion_policy_delete_leaves_nothing_in_the_store() -> None:
    world = a_stable_world(deletion_policy="Delete")
    world.delete()
    world.run(60)
    assert world.gone and world.engine.journal.epoch == 0


def test_deletion_of_an_unhealthy_or_stopped_or_new_job_ends() -> None:
    for spec in (a_spec("raises"), a_spec("crashes"), a_spec(state="suspended"), a_spec("bounded")):
        world = World(spec)
        world.run(40)
        world.delete()
        world.run(150)
        assert world.gone, spec.job


def test_deletion_in_the_middle_of_an_upgrade_uses_the_savepoint_that_was_asked_for() -> None:
    for step in (Step.PREPARING, Step.SAVEPOINTING, Step.SETTLING):
        world = a_stable_world()
        world.edit(args=("--more",))
        assert world.run(60, at(step))
        world.delete()
        world.run(100)
        assert world.gone and not world.children
        assert world.engine.journal.stopped is not None, step


def test_a_clock_that_is_set_back_holds_nothing_up() -> None:
    world = a_stable_world()
    world.edit(args=("--more",))
    assert world.run(60, at(Step.PREPARING))
    world.skew = -10_000_000
    assert world.run(200, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status


def test_a_job_that_moves_its_checkpoints_elsewhere_is_told_where_its_state_was() -> None:
    world = a_stable_world(upgrade_mode="last-state")
    elsewhere = Checkpoints(dir="s3://other/checkpoints", savepoint_dir=ROOT)
    world.edit(a_spec(upgrade_mode="last-state", checkpoints=elsewhere))
    assert world.run(120, lambda w: STABLE(w) and "r2" in w.running()[0]), world.status
    assert (starts(world)[-1].origin.path or "").startswith("s3://bucket/checkpoints/chk-")


def test_what_happens_to_a_job_is_told_once() -> None:
    world = a_stable_world()
    world.events.clear()
    world.kill_workers()
    world.run(120)
    assert world.events.count("TaskManagerLost") == 1 and world.events.count("JobRestarted") == 1
    world.kill_jobmanager()
    world.run(120)
    assert world.events.count("JobManagerLost") == 1 and world.events.count("Restored") >= 1
    assert len(world.running()) == 1


def test_a_job_is_told_to_be_restored_wherever_on_its_way_back_it_was_seen() -> None:
    for state in ("RECONCILING", "CREATED", "RESTARTING"):
        world = a_stable_world()
        assert world.status.job_status is not None
        seen = msgspec.structs.replace(world.status.job_status, state=state)
        world.status = msgspec.structs.replace(world.status, job_status=seen)
        before = world.events.count("Restored")
        world.run(70)
        assert world.events.count("Restored") == before + 1, state
