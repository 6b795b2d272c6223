"""What becomes of a large snapshot when the next barrier comes before it is serialised."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from penstock.base.ids import AttemptId, CheckpointId, OperatorUid, SubtaskId, VertexId
from penstock.operators.chain import Chain
from penstock.operators.operator import SourceDriver, SourceStatus
from penstock.records.batch import Barrier, BarrierOptions
from penstock.state.backend import SnapshotForm
from penstock.state.operator_state import OperatorStateBackend
from penstock.taskmanager.outputs import TaskOutput
from penstock.taskmanager.pace import Pacing
from penstock.taskmanager.reporting import TaskReporter
from penstock.taskmanager.snapshots import OperatorStates, SnapshotTaker
from penstock.taskmanager.task import Task

ATTEMPT = AttemptId(SubtaskId(VertexId(0), 0), 0)


class Quiet(SourceDriver):
    """A source that has nothing."""

    def poll(self, records_max: int) -> SourceStatus:
        return SourceStatus.NOTHING

    def on_available(self, wake: Callable[[], None]) -> None:
        """There never is anything."""

    def drain(self) -> None:
        """There is nothing."""

    def handle_event(self, event: bytes) -> None:
        """Nobody sends any."""


class Large:
    """A snapshot that takes so many slices."""

    def __init__(self, checkpoint: CheckpointId, slices: int, story: list[str]) -> None:
        self.checkpoint, self.slices, self.story = checkpoint, slices, story

    def advance(self, budget_s: float) -> bool:
        assert budget_s < 1.0, "never all at once"
        self.story.append(f"slice of {self.checkpoint}")
        self.slices -= 1
        return self.slices <= 0

    def discard(self) -> None:
        self.story.append(f"{self.checkpoint} given up")


class Backend:
    """Keyed state of which the first snapshot takes long."""

    def __init__(self) -> None:
        self.story: list[str] = []

    def snapshot(self, checkpoint: CheckpointId, *, form: SnapshotForm) -> Large:
        self.story.append(f"barrier {checkpoint}")
        return Large(checkpoint, 3 if checkpoint == 1 else 1, self.story)

    def idle(self, budget_s: float) -> bool:
        return True

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        """The snapshot is told by the task."""

    def close(self) -> None:
        self.story.append("closed")


class Loop:
    """Runs one of the task's steps when the test says so."""

    def __init__(self) -> None:
        self.steps: list[Callable[[], None]] = []
        self.written = 0

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.written += 1

    def turn(self) -> None:
        if self.steps:
            self.steps.pop(0)()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def task(loop: Loop, backend: Backend) -> Task:
    nobody = cast(Any, None)
    operator = OperatorStateBackend(operator_name="op", uid="op", restore=(), infos=(), reader=nobody)
    states = OperatorStates(
        uid=OperatorUid("op"), name="op", max_parallelism=1, operator=operator, keyed=cast(Any, backend)
    )
    taker = SnapshotTaker(
        attempt=ATTEMPT, parallelism=1, operators=(states,), background=loop, new_writer=nobody, report=nobody
    )
    task = Task(
        ATTEMPT,
        "source",
        Chain([Quiet()], [(None, None)], has_credit=lambda: True),
        None,
        TaskOutput(),
        taker,
        checkpointing=True,
        restored_finished=False,
        commit_only=False,
        pacing=Pacing(slice_s=0.004, snapshot_share=1 / 3, records_max=1000),
        log_fields={},
        call_soon=loop.steps.append,
        connect=lambda: None,
        report=cast(TaskReporter, None),
    )
    task.start()
    loop.turn()
    return task


def begin(task: Task, loop: Loop, checkpoint: int) -> None:
    task.trigger(Barrier(CheckpointId(checkpoint), 0, BarrierOptions()))
    loop.turn()


def test_a_barrier_does_not_wait_for_a_snapshot_under_way(task: Task, backend: Backend, loop: Loop) -> None:
    begin(task, loop, 1)
    begin(task, loop, 2)
    assert backend.story.index("barrier 2") < len(backend.story) - 1 - backend.story[::-1].index("slice of 1")
    while loop.steps:
        loop.turn()
    assert [each for each in backend.story if each.startswith("slice")] == ["slice of 1"] * 3 + ["slice of 2"]
    assert loop.written == 2


def test_one_of_several_snapshots_is_given_up_alone(task: Task, backend: Backend, loop: Loop) -> None:
    begin(task, loop, 1)
    begin(task, loop, 2)
    task.notify_aborted(CheckpointId(1))
    while loop.steps:
        loop.turn()
    assert "1 given up" in backend.story
    assert backend.story[-1] == "slice of 2"
    assert loop.written == 1


def test_all_of_them_are_given_up_when_the_task_closes(task: Task, backend: Backend, loop: Loop) -> None:
    begin(task, loop, 1)
    begin(task, loop, 2)
    task.close()
    assert backend.story[-3:] == ["1 given up", "2 given up", "closed"]
