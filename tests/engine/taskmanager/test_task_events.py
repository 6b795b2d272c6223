"""What a source is told, and when, relative to the barriers of checkpoints."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from penstock.base.ids import AttemptId, CheckpointId, SubtaskId, VertexId
from penstock.operators.chain import Chain
from penstock.operators.operator import SnapshotContext, SourceDriver, SourceStatus
from penstock.records.batch import Barrier, BarrierOptions
from penstock.taskmanager.outputs import TaskOutput
from penstock.taskmanager.pace import Pacing
from penstock.taskmanager.reporting import TaskReporter
from penstock.taskmanager.snapshots import SnapshotTaker
from penstock.taskmanager.task import Task

ATTEMPT = AttemptId(SubtaskId(VertexId(0), 0), 0)


class Source(SourceDriver):
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.story: list[str] = []

    def poll(self, records_max: int) -> SourceStatus:
        return SourceStatus.NOTHING

    def on_available(self, wake: Callable[[], None]) -> None:
        """There never is anything."""

    def drain(self) -> None:
        self.story.append("drained")

    def handle_event(self, event: bytes) -> None:
        self.story.append(event.decode())

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        self.story.append(f"checkpoint {snapshot.checkpoint}")


class Loop:
    """Runs the task's steps when the test says so, and what would go to a thread at once."""

    def __init__(self) -> None:
        self.steps: list[Callable[[], None]] = []

    def call_soon(self, step: Callable[[], None]) -> None:
        self.steps.append(step)

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Nothing is written here."""

    def turn(self) -> None:
        while self.steps:
            self.steps.pop(0)()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def task(loop: Loop, source: Source) -> Task:
    chain = Chain([source], [(None, None)], has_credit=lambda: True)
    nobody = cast(Any, None)
    taker = SnapshotTaker(
        attempt=ATTEMPT, parallelism=1, operators=(), background=loop, new_writer=nobody, report=nobody
    )
    task = Task(
        ATTEMPT,
        "source",
        chain,
        None,
        TaskOutput(),
        taker,
        checkpointing=True,
        restored_finished=False,
        commit_only=False,
        pacing=Pacing(slice_s=0.004, snapshot_share=1 / 3, records_max=1000),
        log_fields={},
        call_soon=loop.call_soon,
        connect=lambda: None,
        report=cast(TaskReporter, None),
    )
    task.start()
    loop.turn()
    return task


def barrier(checkpoint: int) -> Barrier:
    return Barrier(CheckpointId(checkpoint), 0, BarrierOptions())


def test_an_event_behind_a_barrier_is_not_in_its_checkpoint(task: Task, source: Source, loop: Loop) -> None:
    task.handle_event(0, b"before")
    task.trigger(barrier(1))
    task.handle_event(0, b"behind the first")
    task.trigger(barrier(2))
    task.handle_event(0, b"behind the second")
    loop.turn()
    assert source.story == ["before", "checkpoint 1", "behind the first", "checkpoint 2", "behind the second"]


def test_an_event_without_a_barrier_in_front_of_it_is_told_at_once(task: Task, source: Source) -> None:
    task.handle_event(0, b"now")
    assert source.story == ["now"]
