"""The checkpoint service at work on a store."""

from random import Random

import pytest

from penstock.base.clock import SystemClock
from penstock.base.ids import CheckpointId, JobId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint.cadence import CheckpointSettings
from penstock.checkpoint.coordinator import Coordinator
from penstock.checkpoint.handles import FileHandle, KeyedHandle, OperatorSnapshot, StateFile, TaskSnapshot
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.plan import TaskShape
from penstock.checkpoint.protocol import JobEnded, Running, TasksFailed
from penstock.checkpoint.retention import ExternalizedRetention, Retention
from penstock.jobmanager.checkpoints import CheckpointService, JobDescription
from penstock.jobmanager.history import CheckpointHistory
from penstock.storage import MemoryStore

JOB = JobId("f" * 32)
TASK = SubtaskId(VertexId("task"), 0)
SHAPES = (TaskShape(TASK, (OperatorUid("operator"),), 1, 128, frozenset()),)
ONE = CheckpointId(1)


class Nobody:
    """Tasks that are told and say nothing."""

    def trigger(self, *_: object) -> None: ...
    def completed(self, checkpoint: CheckpointId) -> None: ...
    def aborted(self, checkpoint: CheckpointId) -> None: ...
    def release_coordinators(self, checkpoint: CheckpointId) -> None: ...
    def fail_job(self, reason: str) -> None: ...
    def deposed(self, reason: str) -> None: ...
    async def take_coordinators(self, checkpoint: CheckpointId) -> dict[OperatorUid, bytes]:
        return {}


class NobodyAsked:
    """Nobody wants savepoints."""

    def begun(self, *_: object) -> None: ...
    def savepoint_done(self, *_: object) -> None: ...
    def savepoint_failed(self, *_: object) -> None: ...
    def drop(self, *_: object) -> None: ...
    def delete_origin(self) -> None: ...


def service(
    store: MemoryStore, policy: ExternalizedRetention, history: CheckpointHistory | None = None
) -> CheckpointService:
    clock = SystemClock()
    journal = Journal(store, JOB, "me", clock=clock, rng=Random(1))
    journal.take_epoch()
    retention = Retention(1, (), first_id=ONE)
    coordinator = Coordinator(
        CheckpointSettings(interval_s=10.0), retention, externalized=policy, next_id=ONE, ids_below=CheckpointId(9)
    )
    return CheckpointService(
        JobDescription(job=JOB, name="job", fingerprint="f"),
        store,
        journal,
        coordinator,
        retention,
        Nobody(),
        NobodyAsked(),
        history or CheckpointHistory(10, clock.now_ms),
        clock,
        lambda address: store,
    )


@pytest.mark.parametrize("policy", ExternalizedRetention)
async def test_an_ended_job_leaves_nothing_in_the_store_that_nobody_needs(policy: ExternalizedRetention) -> None:
    store = MemoryStore(SystemClock())
    checkpoints = service(store, policy)
    checkpoints.feed(Running(checkpoints.now(), 0.0, SHAPES, frozenset(), None))
    path = f"{JOB}/chk-1/e1-c1-x-0"
    store.create(path, b"x")
    files = (StateFile("x", FileHandle(path, 1, "c"), shared=False),)
    handles = (KeyedHandle("hashmap", (0, 127), files),)
    operator = OperatorSnapshot(OperatorUid("operator"), 0, 1, 128, handles)
    # All have acknowledged: its metadata is on its way to the store when the job is cancelled.
    checkpoints.acknowledged(ONE, TaskSnapshot(TASK, 0, (operator,)), current=True)
    store.create(f"{JOB}/shared/e1-c1-of-a-task-that-was-cancelled-0", b"x")
    checkpoints.feed(TasksFailed(checkpoints.now()))
    checkpoints.feed(JobEnded(checkpoints.now(), "CANCELED"))
    await checkpoints.end_journaled()
    await checkpoints.end_cleaned()
    checkpoints.close()
    assert {entry.path.split("/")[1] for entry in store.list(f"{JOB}/")} == {"journal"}


async def test_a_checkpoint_given_up_because_tasks_end_has_not_failed() -> None:
    history = CheckpointHistory(10, SystemClock().now_ms)
    policy = ExternalizedRetention.DELETE_ON_CANCELLATION
    checkpoints = service(MemoryStore(SystemClock()), policy, history)
    checkpoints.feed(Running(checkpoints.now(), 0.0, SHAPES, frozenset(), None))
    assert history.counts["in_progress"] == 1
    checkpoints.feed(JobEnded(checkpoints.now(), "FINISHED"))
    checkpoints.close()
    assert set(history.counts.values()) == {0}
    assert not history.records
    assert history.latest_failed is None
