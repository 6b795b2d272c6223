"""Sends tasks to their workers, starts them, and ends them; kills the worker of one that does not end in time."""

import asyncio
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Final, final

import msgspec

from penstock.base.errors import DamagedData, PenstockError
from penstock.base.ids import AttemptId, SubtaskId, WorkerId
from penstock.base.steps import reached
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.coordinators import Coordinators
from penstock.jobmanager.deployments import Deployer
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.lifecycle_protocol import Event, Failure, GlobalFailure, TaskCanceled, TaskFailed, TaskStatus
from penstock.jobmanager.restoring import Restoring
from penstock.jobmanager.workers import Workers
from penstock.rpc.messages import Cancel, Deploy, KillWorker, LoadJob, OperatorEvent, Start

_CHANNELS_PER_EPOCH: Final = 1 << 32
"""So many channels fit below the next epoch's first one."""


@final
class TaskRunner:
    """Carries out the lifecycle's commands about tasks during one reign."""

    def __init__(
        self,
        load: LoadJob,
        graph: JobGraph,
        lifecycle: JobLifecycle,
        workers: Workers,
        coordinators: Coordinators,
        feed: Callable[[Event], None],
        *,
        cancellation_timeout_s: float,
    ) -> None:
        """`load` is sent to each worker once; `feed` tells the lifecycle; no timeout (0) waits for ever."""
        self._load = load
        self._lifecycle = lifecycle
        self._workers = workers
        self._coordinators = coordinators
        self._feed = feed
        self._cancellation_timeout_s = cancellation_timeout_s
        self._deployer = Deployer(graph, load.epoch * _CHANNELS_PER_EPOCH)
        self._loaded: set[WorkerId] = set()
        self._loading: set[WorkerId] = set()
        """Those that were told ahead, and have not answered yet."""
        self._whole_job_down = False
        self._loop = asyncio.get_running_loop()

    def workers_changed(self) -> None:
        """Workers that are gone will come again as new ones, which know nothing."""
        self._loaded &= set(self._workers.alive)
        self._loading &= self._loaded

    def prepare(self) -> int:
        """Have every worker load the job, also those that have no task of it yet; how many have."""
        for worker in self._workers.alive:
            self._load_into(worker, ahead=True)
        return len(self._loaded - self._loading)

    def loaded(self, worker: WorkerId) -> None:
        """It has the job, and all that its operators import."""
        self._loading.discard(worker)

    def reshape(self, graph: JobGraph) -> None:
        """The job's graph is this one now: workers are told before they are given tasks of it."""
        self._load = msgspec.structs.replace(self._load, graph=pickle.dumps(graph, 5))
        self._loaded.clear()
        self._loading.clear()
        self._deployer.reshape(graph)
        self._whole_job_down = True

    def whole_job_down(self) -> None:
        """Every task is being stopped: when they come again, so do the coordinators."""
        self._whole_job_down = True

    async def deploy(
        self, attempts: Mapping[AttemptId, WorkerId], restoring: Restoring, service: CheckpointService
    ) -> None:
        """Choose what to restore a region from, then have its tasks built."""
        # A coordinator can fail before any task was deployed: then these are first attempts still.
        if self._whole_job_down or any(attempt.attempt > 0 for attempt in attempts):
            try:
                await restoring.choose(service)
            except PenstockError as error:
                failure = Failure(str(error))
                if hopeless := isinstance(error, DamagedData):
                    self._feed(GlobalFailure(failure, final=True))
                for attempt in attempts:  # No worker has been told of them.
                    self._feed(TaskCanceled(attempt) if hopeless else TaskFailed(attempt, failure))
                return
            if self._whole_job_down:
                self._whole_job_down = False
                if not restoring.is_stopped:  # Otherwise nobody reads any more.
                    self._coordinators.start(restoring.assignment)
            else:
                failed = [attempt.subtask for attempt in attempts]
                self._coordinators.subtasks_failed(failed, restoring.plan.checkpoint)
        self._send(attempts, restoring)

    def start(self, attempts: Iterable[AttemptId]) -> None:
        """All tasks of a region are built: let them run."""
        attempts = tuple(attempts)
        by_worker: dict[WorkerId, list[AttemptId]] = {}
        for attempt in attempts:
            worker = self._worker_of(attempt)
            assert worker is not None, "what starts was deployed"
            by_worker.setdefault(worker, []).append(attempt)
        for worker, mine in by_worker.items():
            self._workers.send(worker, Start(tuple(mine)))
        for attempt in attempts:
            for hosted in self._coordinators.of(attempt.subtask):
                hosted.subtask_ready(attempt.subtask.index, attempt.attempt)

    def cancel(self, attempts: tuple[AttemptId, ...]) -> None:
        """Tell tasks to end; those of workers that are gone have ended already."""
        for attempt in attempts:
            worker = self._worker_of(attempt)
            if worker is None or not self._workers.send(worker, Cancel((attempt,))):
                self._loop.call_soon(self._feed, TaskCanceled(attempt))
        if self._cancellation_timeout_s > 0:
            self._loop.call_later(self._cancellation_timeout_s, self._kill_hanging, attempts)

    def send_event(self, subtask: SubtaskId, attempt: int | None, operator: int, payload: bytes) -> None:
        """From an operator's coordinator to its subtask; dropped if that, or the attempt it was for, does not run."""
        execution = self._lifecycle.executions.get(subtask)
        if execution is None or (attempt is not None and attempt != execution.attempt):
            return
        if execution.status is TaskStatus.RUNNING and execution.worker is not None:
            self._workers.send(execution.worker, OperatorEvent(execution.id, operator, payload))

    def _send(self, attempts: Mapping[AttemptId, WorkerId], restoring: Restoring) -> None:
        """To their workers, unless the region was given up or lost a worker meanwhile."""
        current = [attempt for attempt in attempts if self._has(attempt, TaskStatus.INITIALIZING)]
        if len(current) != len(attempts) or not set(attempts.values()) <= set(self._workers.alive):
            for attempt in attempts:
                if self._lifecycle.is_current(attempt):
                    self._feed(TaskCanceled(attempt))
            return
        restoring.deployed(attempts)
        deployments = self._deployer.deploy(
            attempts,
            self._workers.address,
            restoring.checkpoint,
            restoring.of,
            restoring.finished_before(attempts),
            commit_only=restoring.is_stopped,
        )
        for worker, tasks in deployments.items():
            self._load_into(worker)
            reached("jobmanager.deploy")
            self._workers.send(worker, Deploy(tuple(tasks)))

    def _load_into(self, worker: WorkerId, *, ahead: bool = False) -> None:
        if worker not in self._loaded:
            self._loaded.add(worker)
            if ahead:
                self._loading.add(worker)
            self._workers.send(worker, msgspec.structs.replace(self._load, ahead=ahead))

    def _kill_hanging(self, attempts: tuple[AttemptId, ...]) -> None:
        timeout_s = self._cancellation_timeout_s
        reason = f"a task did not stop within {timeout_s:g} s (task.cancellation.timeout)"
        for worker in {self._worker_of(attempt) for attempt in attempts if self._has(attempt, TaskStatus.CANCELING)}:
            home = None if worker is None else self._workers.home(worker)
            if worker is not None and home is not None:
                try:
                    home.connection.send(KillWorker(worker, reason))
                except PenstockError:
                    continue  # The TaskManager is gone, and its workers with it.

    def _worker_of(self, attempt: AttemptId) -> WorkerId | None:
        return self._lifecycle.executions[attempt.subtask].worker

    def _has(self, attempt: AttemptId, status: TaskStatus) -> bool:
        return self._lifecycle.is_current(attempt) and self._lifecycle.executions[attempt.subtask].status is status
