"""What is remembered of checkpoints: so many, each with the tasks that the job had then, and every end counted."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.base.ids import CheckpointId, SubtaskId, VertexId
from penstock.checkpoint.handles import SnapshotStats, TaskSnapshot
from penstock.jobmanager.history import CheckpointHistory
from penstock.records.batch import SavepointOptions

MAP, SINK = VertexId("map"), VertexId("sink")


def tasks(parallelism: int) -> frozenset[SubtaskId]:
    return frozenset(SubtaskId(vertex, index) for vertex in (MAP, SINK) for index in range(parallelism))


def test_a_checkpoint_keeps_the_tasks_of_its_time_when_the_job_is_rescaled() -> None:
    history = CheckpointHistory(5, lambda: 0)
    history.tasks = tasks(4)
    history.begun(CheckpointId(1), 0)
    history.tasks = tasks(2)
    history.begun(CheckpointId(2), 0)
    assert [len(record.subtasks_of(MAP)) for record in history.records.values()] == [4, 2]
    assert [task.index for task in history.records[CheckpointId(1)].subtasks_of(SINK)] == [0, 1, 2, 3]


def test_while_a_savepoint_is_written_its_bytes_are_what_each_task_has_said_last() -> None:
    history = CheckpointHistory(5, lambda: 0)
    history.tasks = tasks(1)
    history.begun(CheckpointId(1), 0, SavepointOptions("/savepoints/one"))
    for vertex, written in ((MAP, 10), (MAP, 30), (SINK, 5)):
        history.progress(CheckpointId(1), SubtaskId(vertex, 0), written)
    record = history.records[CheckpointId(1)]
    assert record.checkpointed_bytes == 35
    # What a task has written in the end is said with its acknowledgement.
    written = SnapshotStats(checkpointed_bytes=40)
    history.acknowledged(CheckpointId(1), TaskSnapshot(SubtaskId(MAP, 0), 0, (), stats=written))
    assert record.checkpointed_bytes == 45


@given(st.lists(st.tuples(st.sampled_from(["begun", "completed", "failed"]), st.integers(1, 12)), max_size=60))
def test_every_checkpoint_is_counted_once_in_one_state_however_few_are_remembered(moves: list[tuple[str, int]]) -> None:
    history = CheckpointHistory(2, lambda: 0)
    begun: set[int] = set()
    under_way: set[int] = set()
    for move, number in moves:
        checkpoint = CheckpointId(number)
        if move == "begun" and number not in begun:
            history.begun(checkpoint, 0)
            begun.add(number)
            under_way.add(number)
        elif move == "completed":
            history.completed(checkpoint, 1)
            under_way.discard(number)
        elif move == "failed":
            history.failed(checkpoint, 1, "because")
            under_way.discard(number)
    counts = history.counts
    assert counts["total"] == len(begun)
    assert counts["in_progress"] == len(under_way)
    assert counts["completed"] + counts["failed"] == len(begun) - len(under_way)
    assert under_way <= set(history.records)
    assert len(history.records) <= max(2, len(under_way))
