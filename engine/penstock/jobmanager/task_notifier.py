"""How checkpoints reach tasks and enumerators, and when a job that has had all its data gets its last one."""

from collections.abc import Callable, Iterable
from typing import final

from penstock.base.ids import AttemptId, CheckpointId, OperatorUid, SubtaskId, WorkerId
from penstock.jobmanager.coordinators import Coordinators
from penstock.jobmanager.lifecycle import Execution, JobLifecycle
from penstock.jobmanager.lifecycle_protocol import Event, Failure, GlobalFailure, RestartWithFailed, TaskStatus
from penstock.jobmanager.workers import Workers
from penstock.records.batch import BarrierOptions, SavepointOptions, StopMode
from penstock.rpc.messages import CheckpointAborted, CheckpointCompleted, RestoreCompleted, TriggerCheckpoint


@final
class TaskNotifier:
    """Implements `penstock.jobmanager.checkpoints.Notifier` over workers and coordinators."""

    def __init__(
        self,
        lifecycle: JobLifecycle,
        workers: Workers,
        coordinators: Coordinators,
        *,
        exactly_once: bool,
        ask: Callable[[], None],
        feed: Callable[[Event], None],
        deposed: Callable[[str], None],
    ) -> None:
        """`ask()` asks for a checkpoint at once; `feed` is the lifecycle's; `deposed(reason)` ends this process."""
        self._lifecycle = lifecycle
        self._workers = workers
        self._coordinators = coordinators
        self._exactly_once = exactly_once
        self._ask = ask
        self._feed = feed
        self._deposed = deposed
        self._data_ended: set[AttemptId] = set()
        self._last: CheckpointId | None = None
        """Begun when every task had had all its data: they end with it."""

    def data_ended(self, attempt: AttemptId) -> None:
        """The task only waits for its last checkpoint. When all do, nothing is gained by waiting for the interval."""
        self._data_ended.add(attempt)
        self._ask_for_last()

    def restored(self, checkpoint: CheckpointId) -> None:
        """All tasks stand, and this is what the job would be restored from now."""
        for worker in self._used_workers():
            self._workers.send(worker, RestoreCompleted(checkpoint))

    def reset(self) -> None:
        """Tasks failed: what they had read they will read again."""
        self._data_ended.clear()
        self._last = None

    def trigger(
        self,
        checkpoint: CheckpointId,
        timestamp_ms: int,
        tasks: Iterable[SubtaskId],
        savepoint: SavepointOptions | None,
        stop: StopMode | None,
        anew: bool,
    ) -> None:
        options = BarrierOptions(exactly_once=self._exactly_once, savepoint=savepoint, stop=stop, anew=anew)
        if self._last is None and self._all_data_ended():
            self._last = checkpoint
        by_worker: dict[WorkerId, list[AttemptId]] = {}
        for subtask in tasks:
            execution = self._lifecycle.executions[subtask]
            if execution.worker is not None:
                by_worker.setdefault(execution.worker, []).append(execution.id)
        for worker, attempts in by_worker.items():
            self._workers.send(worker, TriggerCheckpoint(checkpoint, timestamp_ms, tuple(attempts), options))

    def completed(self, checkpoint: CheckpointId) -> None:
        for worker in self._used_workers():
            self._workers.send(worker, CheckpointCompleted(checkpoint))
        self._coordinators.completed(checkpoint)

    def aborted(self, checkpoint: CheckpointId) -> None:
        for worker in self._used_workers():
            self._workers.send(worker, CheckpointAborted(checkpoint))
        if self._last == checkpoint:
            self._last = None
            self._ask_for_last()

    async def take_coordinators(self, checkpoint: CheckpointId) -> dict[OperatorUid, bytes]:
        return await self._coordinators.snapshot(checkpoint)

    def release_coordinators(self, checkpoint: CheckpointId) -> None:
        self._coordinators.release(checkpoint)

    def fail_job(self, reason: str) -> None:
        self._feed(GlobalFailure(Failure(reason)))

    def begin_again(self, reason: str) -> None:
        self._feed(RestartWithFailed(Failure(reason)))

    def deposed(self, reason: str) -> None:
        self._deposed(reason)

    def _running(self) -> list[Execution]:
        return [e for e in self._lifecycle.executions.values() if e.status is TaskStatus.RUNNING]

    def _all_data_ended(self) -> bool:
        running = self._running()
        return bool(running) and all(execution.id in self._data_ended for execution in running)

    def _ask_for_last(self) -> None:
        if self._last is None and self._all_data_ended():
            self._ask()

    def _used_workers(self) -> set[WorkerId]:
        return {e.worker for e in self._lifecycle.executions.values() if e.worker is not None}
