"""Regions of a restored job: to what they fall back from a damaged checkpoint, what they are told once all stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

from penstock.base.clock import SystemClock
from penstock.base.ids import AttemptId, JobId, OperatorUid, SubtaskId, TaskManagerId, VertexId, WorkerId
from penstock.common.configuration import Configuration
from penstock.graph.job_graph import ChainedOperator, JobGraph, JobVertex
from penstock.jobmanager.job import JobSpec
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.workers import TaskManager, Workers
from penstock.rpc.messages import (
    Deploy,
    Ended,
    ErrorReport,
    Initialized,
    RegisterTaskManager,
    RestoreCompleted,
    Start,
    ToWorker,
    WorkerMessage,
    WorkerReady,
    decode_worker,
)
from penstock.storage import MemoryStore
from penstock.testing.loops import run, turns, until
from penstock.testing.stored_jobs import StoredJob

JOB = JobId("0" * 32)
HOST, WORKER = TaskManagerId("tm"), WorkerId("tm/0.1")
ONE, TWO = SubtaskId(VertexId("one"), 0), SubtaskId(VertexId("two"), 0)
OPTIONS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "10",
    "restart-strategy.fixed-delay.delay": "1 ms",
}
DAMAGED = ErrorReport("penstock.base.errors.DamagedData", "a file is damaged", "")
BROKEN = ErrorReport("builtins.ValueError", "no", "")


class Link:
    """To the one TaskManager, which has one worker. Everything that is said to that is kept."""

    is_open = True

    def __init__(self) -> None:
        self.told: list[WorkerMessage] = []

    def send(self, message: ToWorker) -> None:
        self.told.append(decode_worker(message.body))

    def restored(self) -> dict[AttemptId, int | None]:
        """From which checkpoint each task that was deployed is restored."""
        deployed = [task for message in self.told if isinstance(message, Deploy) for task in message.tasks]
        return {task.attempt: task.restored_checkpoint for task in deployed}

    def confirmed(self) -> list[int]:
        return [message.checkpoint for message in self.told if isinstance(message, RestoreCompleted)]


def vertex(name: str, uid: str) -> JobVertex:
    operator = ChainedOperator(
        uid=OperatorUid(uid), uid_given=True, name=name, factory=b"", parent=None, tag=None, keyed=True, key_type=None,
        coordinator=None, bounded=False,
    )  # fmt: skip
    return JobVertex(
        id=VertexId(name), name=name, chain=(operator,), parallelism=1, max_parallelism=128,
        slot_sharing_group="default",
    )  # fmt: skip


def two_pipelines() -> JobGraph:
    return JobGraph(
        name="pipelines", vertices=(vertex("one", "count"), vertex("two", "other")), edges=(), configuration={},
        prelude=b"", files=(), python_path=(), fingerprint="fingerprint",
    )  # fmt: skip


def stored(checkpoints: int) -> MemoryStore:
    """What a JobManager that has died has left behind."""
    store = MemoryStore(SystemClock())
    job = StoredJob(lambda address: store, store.uri, JOB)
    job.start()
    for _ in range(checkpoints):
        job.complete()
    return store


@asynccontextmanager
async def led(store: MemoryStore) -> AsyncIterator[tuple[JobMaster, Link]]:
    """By a successor that has deployed all tasks, to its one worker."""

    def deposed(reason: str) -> None:
        raise AssertionError(reason)

    link, workers = Link(), Workers()
    taskmanager = TaskManager(HOST, RegisterTaskManager(HOST, "127.0.0.1", 1, 1, 1.0, 1), cast(Any, link), 0)
    workers.add(taskmanager)
    workers.ready(taskmanager, WorkerReady(WORKER, 0, 1, "127.0.0.1", 1))
    master = JobMaster(
        JobSpec(job=JOB, graph=two_pipelines(), configuration=Configuration.from_dict(OPTIONS)),
        store,
        lambda address: store,
        workers,
        owner="second",
        clock=SystemClock(),
        rng=Random(0),
        deliver=lambda payload: None,
        deposed=deposed,
    )
    try:
        await master.start()
        await until(lambda: len(link.restored()) == 2)
        yield master, link
        await turns()  # What has just been begun is under way, and can be called off.
    finally:
        master.close()


def initialized(master: JobMaster, *attempts: AttemptId) -> None:
    for attempt in attempts:
        master.on_worker(WORKER, Initialized(attempt))


def failed(master: JobMaster, attempt: AttemptId, error: ErrorReport) -> None:
    master.on_worker(WORKER, Ended(attempt, "FAILED", error))


def test_tasks_are_told_when_all_regions_stand_and_again_after_a_restart() -> None:
    async def scenario() -> None:
        async with led(stored(2)) as (master, link):
            assert link.restored() == {AttemptId(ONE, 0): 2, AttemptId(TWO, 0): 2}
            initialized(master, AttemptId(TWO, 0))
            assert link.told[-1] == Start((AttemptId(TWO, 0),))
            initialized(master, AttemptId(ONE, 0))
            assert link.told[-2:] == [Start((AttemptId(ONE, 0),)), RestoreCompleted(2)]

            failed(master, AttemptId(TWO, 0), BROKEN)
            await until(lambda: AttemptId(TWO, 1) in link.restored())
            initialized(master, AttemptId(TWO, 1))
            await until(lambda: link.confirmed() == [2, 2])

    run(scenario())


def test_tasks_restored_from_a_checkpoint_that_others_fell_back_behind_are_told_of_the_one_before() -> None:
    async def scenario() -> None:
        async with led(stored(2)) as (master, link):
            initialized(master, AttemptId(TWO, 0))
            failed(master, AttemptId(ONE, 0), DAMAGED)
            await until(lambda: link.restored().get(AttemptId(ONE, 1)) == 1)
            assert link.confirmed() == []
            initialized(master, AttemptId(ONE, 1))
            await until(lambda: link.confirmed() == [1])
            assert AttemptId(TWO, 1) not in link.restored()

    run(scenario())


def test_a_region_that_finds_late_what_made_another_fall_back_falls_back_no_further() -> None:
    async def scenario() -> None:
        async with led(stored(2)) as (master, link):
            failed(master, AttemptId(ONE, 0), DAMAGED)
            await until(lambda: link.restored().get(AttemptId(ONE, 1)) == 1)
            failed(master, AttemptId(TWO, 0), DAMAGED)
            await until(lambda: AttemptId(TWO, 1) in link.restored() or master.result.done())
            assert link.restored().get(AttemptId(TWO, 1)) == 1

    run(scenario())


def test_tasks_that_begin_without_state_are_told_nothing() -> None:
    async def scenario() -> None:
        async with led(stored(0)) as (master, link):
            initialized(master, AttemptId(ONE, 0), AttemptId(TWO, 0))
            await until(lambda: master.status.name == "RUNNING")
            assert link.confirmed() == []

    run(scenario())
