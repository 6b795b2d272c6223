"""The coordinator: events in, commands out."""

import pytest

from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint import protocol as p
from penstock.checkpoint.cadence import CheckpointSettings, Failure
from penstock.checkpoint.coordinator import Coordinator
from penstock.checkpoint.handles import FileHandle, KeyedHandle, OperatorSnapshot, StateFile, StateInfo, TaskSnapshot
from penstock.checkpoint.plan import TaskShape, plan_for
from penstock.checkpoint.retention import ExternalizedRetention, Retained, Retention
from penstock.records.batch import SavepointOptions, StopMode

SOURCE, SINK = SubtaskId(VertexId("source"), 0), SubtaskId(VertexId("sink"), 0)
SHAPES = (
    TaskShape(SOURCE, (OperatorUid("source"),), 1, 128, frozenset()),
    TaskShape(SINK, (OperatorUid("sink"),), 1, 128, frozenset({SOURCE}), "Sink: files"),
)
BOTH = frozenset({SOURCE, SINK})
ONE, TWO, THREE = CheckpointId(1), CheckpointId(2), CheckpointId(3)


class Driver:
    """A coordinator over a job whose tasks run since second 0, with a checkpoint due every 10 s."""

    def __init__(self, *, coordinators: bool = False, **settings: object) -> None:
        self.coordinator = Coordinator(
            CheckpointSettings(interval_s=10.0, **settings),  # type: ignore[arg-type]
            Retention(1, (), first_id=ONE),
            externalized=ExternalizedRetention.NO_EXTERNALIZED_CHECKPOINTS,
            next_id=ONE,
            ids_below=CheckpointId(5),
        )
        uids = frozenset({OperatorUid("source")}) if coordinators else frozenset()
        self.on(p.Running(0.0, 0.0, SHAPES, uids, None))

    def on(self, event: p.Event) -> list[p.Command]:
        return self.coordinator.on(event)

    def acknowledge(self, task: SubtaskId, checkpoint: CheckpointId, *old: str, now: float = 1.0) -> list[p.Command]:
        new = StateFile("t", FileHandle(f"j/shared/e1-c{checkpoint}-{task.vertex}-0", 1, "c"), shared=True)
        files = (*(StateFile("o", FileHandle(path, 1, "c"), shared=True) for path in old), new)
        operator = OperatorSnapshot(OperatorUid(task.vertex), 0, 1, 128, (KeyedHandle("b", (0, 127), files),))
        return self.on(p.Acknowledged(now, checkpoint, TaskSnapshot(task, 0, (operator,))))

    def gather(self, checkpoint: CheckpointId) -> list[p.Command]:
        self.acknowledge(SOURCE, checkpoint)
        return self.acknowledge(SINK, checkpoint)

    def complete(self, checkpoint: CheckpointId, now: float = 1.0) -> list[p.Command]:
        self.gather(checkpoint)
        self.on(p.MetadataWritten(now, checkpoint, f"j/chk-{checkpoint}/_metadata", "c"))
        return self.on(p.Journaled(now, checkpoint))


def kinds(commands: list[p.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def test_a_checkpoint_goes_from_sources_to_metadata_to_journal_to_tasks() -> None:
    driver = Driver()
    assert [p.checkpoint for p in driver.coordinator.pending] == [1]
    assert driver.acknowledge(SOURCE, ONE) == []
    assert kinds(driver.acknowledge(SINK, ONE)) == ["WriteMetadata"]
    (append,) = driver.on(p.MetadataWritten(1.0, ONE, "m", "c"))
    assert isinstance(append, p.AppendCompleted)
    assert driver.on(p.Journaled(1.0, ONE)) == [p.NotifyComplete(ONE, BOTH)]


def test_a_checkpoint_that_would_tear_union_state_apart_is_given_up_and_counts_as_no_failure() -> None:
    driver = Driver(tolerable_failures=0)
    info = StateInfo("names", "union")
    for task, ended in ((SOURCE, True), (SINK, False)):
        operator = OperatorSnapshot(OperatorUid("both"), 0, 1, 128, states=(info,), name="Both")
        commands = driver.on(p.Acknowledged(1.0, ONE, TaskSnapshot(task, 0, (operator,), data_ended=ended)))
    (aborted,) = commands
    assert isinstance(aborted, p.NotifyAborted) and aborted.failure is Failure.UNION_TORN
    assert aborted.reason.startswith("operator Both has union state 'names', and only some of its subtasks")


@pytest.mark.parametrize("coordinators", [False, True])
def test_a_checkpoint_asked_for_anew_is_that_once(coordinators: bool) -> None:
    driver = Driver(coordinators=coordinators)
    driver.on(p.CoordinatorsTaken(0.0, ONE, {}))
    driver.on(p.Asked(1.0, anew=True))
    commands = driver.complete(ONE) + driver.on(p.CoordinatorsTaken(2.0, TWO, {}))
    (trigger,) = [command for command in commands if isinstance(command, p.TriggerTasks)]
    assert trigger.checkpoint == TWO and trigger.anew
    driver.complete(TWO)
    commands = driver.on(p.Tick(20.0)) + driver.on(p.CoordinatorsTaken(20.0, THREE, {}))
    (trigger,) = [command for command in commands if isinstance(command, p.TriggerTasks)]
    assert trigger.checkpoint == THREE and not trigger.anew


def test_enumerators_give_their_state_before_any_barrier_starts() -> None:
    driver = Driver(coordinators=True)
    assert driver.coordinator.pending[0].awaiting == BOTH
    assert driver.on(p.CoordinatorsTaken(0.0, ONE, {})) == [p.TriggerTasks(ONE, frozenset({SOURCE}), None)]


def test_an_expired_checkpoint_is_aborted_once_and_late_answers_only_cost_their_files() -> None:
    driver = Driver(timeout_s=5.0, tolerable_failures=3)
    driver.acknowledge(SOURCE, ONE)
    aborted, deleted = driver.on(p.Tick(5.0))
    assert isinstance(aborted, p.NotifyAborted) and aborted.failure is Failure.EXPIRED
    assert aborted.reason == "no answer within 5 s from Sink: files (1/1)"
    assert deleted == p.DeleteFiles(("j/shared/e1-c1-source-0",))
    assert driver.on(p.Tick(6.0)) == []
    assert driver.acknowledge(SINK, ONE) == [p.DeleteFiles(("j/shared/e1-c1-sink-0",))]


def test_metadata_that_was_written_too_late_is_deleted() -> None:
    driver = Driver(timeout_s=5.0, tolerable_failures=3)
    driver.gather(ONE)
    driver.on(p.Tick(5.0))
    assert driver.on(p.MetadataWritten(6.0, ONE, "m", "c")) == [p.DeleteFiles(("m",))]


def test_what_is_being_journaled_neither_expires_nor_is_aborted_and_restoring_waits_for_it() -> None:
    driver = Driver(timeout_s=5.0)
    driver.gather(ONE)
    driver.on(p.MetadataWritten(1.0, ONE, "m", "c"))
    assert driver.on(p.TasksFailed(2.0)) == []
    assert driver.on(p.Tick(9.0)) == []
    assert driver.on(p.Journaled(9.0, ONE)) == [p.NotifyComplete(ONE, BOTH), p.RestoreNow()]


def test_a_failure_of_tasks_aborts_what_can_be_and_counts_against_nothing() -> None:
    driver = Driver(tolerable_failures=0)
    commands = driver.on(p.TasksFailed(1.0))
    assert kinds(commands) == ["NotifyAborted", "RestoreNow"]


@pytest.mark.parametrize("tolerable", [0, 1, 2])
def test_the_failure_after_the_tolerated_ones_fails_the_job(tolerable: int) -> None:
    driver = Driver(tolerable_failures=tolerable)
    for id in range(1, tolerable + 2):
        assert [p.checkpoint for p in driver.coordinator.pending] == [id]
        commands = driver.on(p.Declined(id * 10.0, CheckpointId(id), SINK, Failure.DECLINED, "no"))
        assert ("FailJob" in kinds(commands)) == (id == tolerable + 1)


@pytest.mark.parametrize(
    ("stop", "event", "expected"),
    [
        ("drain", p.TasksFailed(2.0), ["BeginAgain", "RestoreNow"]),
        ("drain", p.Declined(2.0, TWO, SINK, Failure.DECLINED, "no"), ["FailJob"]),
        ("drain", p.JobEnded(2.0, "CANCELED"), ["AppendFinished"]),
        ("suspend", p.TasksFailed(2.0), ["RestoreNow"]),
        ("suspend", p.Declined(2.0, TWO, SINK, Failure.DECLINED, "no"), []),
    ],
)
def test_tasks_that_have_drained_for_a_stop_that_failed_begin_again(
    stop: StopMode, event: p.Event, expected: list[str]
) -> None:
    driver = Driver()
    driver.complete(ONE)
    driver.on(p.SavepointAsked(2.0, p.SavepointOrder("ask", SavepointOptions("sp"), stop)))
    commands = kinds(driver.on(event))
    assert commands == ["NotifyAborted", "DropSavepoint", "SavepointFailed", *expected]


def test_a_checkpoint_that_completed_subsumes_the_older_ones() -> None:
    driver = Driver(concurrent_max=2)
    driver.on(p.Tick(10.0))
    driver.gather(TWO)
    aborted, append = driver.on(p.MetadataWritten(11.0, TWO, "m", "c"))
    assert isinstance(aborted, p.NotifyAborted) and aborted.failure is Failure.SUBSUMED
    assert isinstance(append, p.AppendCompleted)
    assert driver.acknowledge(SINK, ONE, now=12.0) == [p.DeleteFiles(("j/shared/e1-c1-sink-0",))]


def test_the_older_one_is_forgotten_before_its_files_are_deleted() -> None:
    driver = Driver()
    driver.complete(ONE)
    driver.on(p.Tick(10.0))
    assert kinds(driver.complete(TWO, now=10.0)) == ["NotifyComplete", "AppendForgotten"]
    (deleted,) = driver.on(p.Forgot(11.0, ONE))
    assert deleted == p.DeleteFiles(("j/chk-1/_metadata", "j/shared/e1-c1-sink-0", "j/shared/e1-c1-source-0"))


def with_two_retained() -> Coordinator:
    old, newest = (Retained(id, frozenset({f"j/chk-{id}/_metadata"}), frozenset()) for id in (ONE, TWO))
    coordinator = Coordinator(
        CheckpointSettings(interval_s=None),
        Retention(3, (old, newest), first_id=THREE),
        externalized=ExternalizedRetention.RETAIN_ON_CANCELLATION,
        next_id=THREE,
        ids_below=CheckpointId(7),
    )
    coordinator.on(p.Running(0.0, 0.0, SHAPES, frozenset(), TWO))
    return coordinator


def test_what_nobody_wants_is_forgotten_once_and_then_deleted_but_never_the_newest() -> None:
    coordinator = with_two_retained()
    assert coordinator.on(p.Unwanted(1.0, TWO)) == coordinator.on(p.Unwanted(1.0, THREE)) == []
    assert coordinator.on(p.Unwanted(1.0, ONE)) == [p.AppendForgotten(ONE)]
    assert coordinator.on(p.Unwanted(1.0, ONE)) == []
    assert coordinator.on(p.Forgot(2.0, ONE)) == [p.DeleteFiles(("j/chk-1/_metadata",))]


def test_what_is_pinned_is_not_forgotten_before_it_is_unpinned() -> None:
    coordinator = with_two_retained()
    assert coordinator.on(p.Keep(1.0, 1, frozenset({ONE}))) == coordinator.on(p.Unwanted(1.0, ONE)) == []
    assert coordinator.on(p.Keep(2.0, 1, frozenset())) == [p.AppendForgotten(ONE)]


def test_what_nobody_wants_goes_after_the_end_of_the_job_too() -> None:
    coordinator = with_two_retained()
    assert coordinator.on(p.JobEnded(1.0, "CANCELED")) == [p.AppendFinished("CANCELED")]
    coordinator.on(p.EndJournaled(2.0))
    assert coordinator.has_ended and coordinator.on(p.Unwanted(3.0, ONE)) == [p.AppendForgotten(ONE)]
    assert coordinator.on(p.Forgot(4.0, ONE)) == [p.DeleteFiles(("j/chk-1/_metadata",))]


def test_a_snapshot_that_builds_on_a_deleted_file_aborts_its_checkpoint_and_counts_against_nothing() -> None:
    driver = Driver(tolerable_failures=0)
    commands = driver.acknowledge(SOURCE, ONE, "j/shared/e1-c0-gone-0")
    aborted, deleted = commands
    assert isinstance(aborted, p.NotifyAborted) and aborted.failure is Failure.NOT_READY
    assert deleted == p.DeleteFiles(("j/shared/e1-c1-source-0",))


def test_a_task_that_ends_before_it_answers_aborts_the_checkpoint_and_the_next_one_begins_at_once() -> None:
    driver = Driver(tolerable_failures=0)
    aborted, trigger = driver.on(p.TaskEnded(1.0, SOURCE))
    assert isinstance(aborted, p.NotifyAborted) and aborted.failure is Failure.TASK_CLOSING
    assert trigger == p.TriggerTasks(TWO, frozenset({SINK}), None)
    (write,) = driver.acknowledge(SINK, TWO)
    assert isinstance(write, p.WriteMetadata)
    assert [shape.subtask for shape in write.ended] == [SOURCE]


def test_without_checkpoints_after_tasks_finish_the_first_end_is_the_end() -> None:
    driver = Driver(after_tasks_finish=False)
    assert kinds(driver.on(p.TaskEnded(1.0, SOURCE))) == ["NotifyAborted"]
    assert driver.coordinator.next_tick_at() is None


def test_an_id_beyond_what_was_reserved_is_not_used_before_more_are() -> None:
    driver = Driver(tolerable_failures=100)
    for id in range(1, 5):
        commands = driver.on(p.Declined(id * 10.0, CheckpointId(id), SINK, Failure.DECLINED, "no"))
    assert commands[-1] == p.ReserveIds(CheckpointId(9))
    assert driver.on(p.Tick(60.0)) == []
    assert driver.on(p.Reserved(60.0, CheckpointId(9))) == [p.TriggerTasks(CheckpointId(5), frozenset({SOURCE}), None)]


def test_a_reservation_that_is_refused_is_a_failed_checkpoint_and_not_tried_at_once_again() -> None:
    driver = Driver(tolerable_failures=4)
    for id in range(1, 5):
        driver.on(p.Declined(id * 10.0, CheckpointId(id), SINK, Failure.DECLINED, "no"))
    assert kinds(driver.on(p.ReserveRefused(41.0, "full"))) == ["FailJob"]


def test_the_end_of_the_job_is_journaled_before_its_checkpoints_are_dropped() -> None:
    driver = Driver()
    driver.complete(ONE)
    assert driver.on(p.JobEnded(2.0, "FINISHED")) == [p.AppendFinished("FINISHED")]
    assert driver.on(p.EndJournaled(2.0)) == [p.AppendForgotten(ONE)]
    assert kinds(driver.on(p.Forgot(2.0, ONE))) == ["DeleteFiles"]


def test_what_was_only_kept_to_build_on_is_deleted_at_the_end_of_the_job() -> None:
    driver = Driver()
    driver.complete(ONE)
    driver.on(p.Tick(10.0))
    driver.complete(TWO, now=10.0)
    driver.on(p.TasksFailed(11.0))
    driver.on(p.Running(11.0, 0.0, SHAPES, frozenset(), ONE))
    assert driver.on(p.Forgot(11.0, ONE)) == []
    driver.on(p.JobEnded(12.0, "FINISHED"))
    _, delete = driver.on(p.EndJournaled(12.0))
    assert isinstance(delete, p.DeleteFiles) and "j/chk-1/_metadata" in delete.paths


def test_a_deposed_coordinator_asks_for_nothing_more() -> None:
    driver = Driver()
    driver.gather(ONE)
    assert driver.on(p.Deposed()) == []
    assert driver.on(p.MetadataWritten(1.0, ONE, "m", "c")) == []
    assert driver.on(p.Tick(1000.0)) == []


def test_barriers_start_at_tasks_that_no_running_task_sends_to() -> None:
    tasks = {shape.subtask: shape for shape in SHAPES}
    assert plan_for(tasks, ()).trigger == {SOURCE}
    plan = plan_for(tasks, (SOURCE,))
    assert (plan.trigger, plan.running) == ({SINK}, {SINK})
