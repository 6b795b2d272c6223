"""A task of a job that was stopped only commits what its state holds, and ends once it has."""

from collections.abc import Callable
from typing import Any, cast

from penstock.base.ids import AttemptId, CheckpointId, SubtaskId, VertexId
from penstock.operators.chain import Chain
from penstock.operators.operator import Operator
from penstock.records.batch import Batch
from penstock.taskmanager.outputs import TaskOutput
from penstock.taskmanager.pace import Pacing
from penstock.taskmanager.snapshots import SnapshotTaker
from penstock.taskmanager.task import Task

ATTEMPT = AttemptId(SubtaskId(VertexId(0), 0), 0)
STOPPED = CheckpointId(5)


class Commits(Operator):
    """Has something to commit, unless told otherwise, until it hears that all stand."""

    def __init__(self, done: bool = False) -> None:
        self.done = done

    def process(self, batch: Batch, port: int) -> None:
        raise AssertionError("nothing is read")

    def notify_restored(self, checkpoint: CheckpointId) -> None:
        assert checkpoint == STOPPED
        self.done = True

    def drained(self) -> bool:
        return self.done


class Ends:
    """Where the task says that it has finished."""

    def __init__(self) -> None:
        self.finished_attempts: list[AttemptId] = []

    def finished(self, attempt: AttemptId) -> None:
        self.finished_attempts.append(attempt)


def started(operator: Operator, ends: Ends, steps: list[Callable[[], None]]) -> Task:
    nobody = cast(Any, None)
    task = Task(
        ATTEMPT,
        "sink",
        Chain([operator], [(None, None)], has_credit=lambda: True),
        None,
        TaskOutput(),
        SnapshotTaker(
            attempt=ATTEMPT, parallelism=1, operators=(), background=nobody, new_writer=nobody, report=nobody
        ),
        checkpointing=True,
        restored_finished=False,
        commit_only=True,
        pacing=Pacing(slice_s=0.004, snapshot_share=1 / 3, records_max=1000),
        log_fields={},
        call_soon=steps.append,
        connect=lambda: None,
        report=cast(Any, ends),
    )
    task.start()
    run(steps)
    return task


def run(steps: list[Callable[[], None]]) -> None:
    while steps:
        steps.pop(0)()


def test_it_waits_until_all_tasks_of_the_job_stand() -> None:
    ends, steps = Ends(), list[Callable[[], None]]()
    task = started(Commits(), ends, steps)
    assert ends.finished_attempts == []
    task.notify_restored(STOPPED)
    run(steps)
    assert ends.finished_attempts == [ATTEMPT]


def test_with_nothing_to_commit_it_ends_at_once_and_what_comes_later_does_no_harm() -> None:
    ends, steps = Ends(), list[Callable[[], None]]()
    task = started(Commits(done=True), ends, steps)
    assert ends.finished_attempts == [ATTEMPT]
    task.notify_restored(STOPPED)
    run(steps)
    assert ends.finished_attempts == [ATTEMPT]
