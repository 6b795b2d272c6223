"""Drives one job: feeds its lifecycle and its checkpoints with what happens, and carries out what they decide.

Runs on the JobManager's loop and never blocks it. Owns the job's state in this process: executions, channels,
coordinators, history. Ends with `result`.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Final, final

from msgspec.structs import replace

from penstock.base.clock import Clock
from penstock.base.errors import PeerLost
from penstock.base.ids import SubtaskId, WorkerId
from penstock.base.threads import in_daemon_thread
from penstock.base.tracebacks import users_traceback
from penstock.checkpoint.journal_state import JournalState
from penstock.checkpoint.protocol import Asked, Running, TaskEnded, TasksFailed
from penstock.common.job_status import JobStatus
from penstock.common.options import cluster
from penstock.jobmanager.asks import Asks
from penstock.jobmanager.assembly import Calls, Parts, Surroundings, assemble, reign_over
from penstock.jobmanager.coordinators import Coordinators
from penstock.jobmanager.ending import finish_clean_up, record_end
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.job import ExceptionEntry, JobResult, JobSpec
from penstock.jobmanager.keeping import Kept, Retaining
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.lifecycle_protocol import (
    AwaitSlots,
    CancelRequested,
    CancelTasks,
    CauseFound,
    Command,
    DeployRegion,
    Event,
    Failure,
    FellBack,
    GlobalFailure,
    RegionDown,
    Reshaped,
    RestartDue,
    ScheduleRestart,
    Shape,
    SlotsTimedOut,
    StartRegion,
    StatusChanged,
    TaskCanceled,
    TaskFailed,
    TaskFinished,
    TaskInitialized,
    TaskStatus,
    WorkersChanged,
)
from penstock.jobmanager.operations import Operation, Operations, SavepointRequest
from penstock.jobmanager.parallelism import parallelism_of, with_parallelism
from penstock.jobmanager.placement import required_slots
from penstock.jobmanager.regions import task_shapes
from penstock.jobmanager.reign import NOTHING_AHEAD, Ahead, Reign, Start
from penstock.jobmanager.rescaler import Rescaler
from penstock.jobmanager.settings import JobSettings, job_settings
from penstock.jobmanager.timeline import Timeline
from penstock.jobmanager.workers import Workers
from penstock.rpc.figures import TaskMetrics
from penstock.rpc.messages import (
    Acknowledged,
    DataEnded,
    Declined,
    Ended,
    Initialized,
    JobLoaded,
    MetricsReport,
    OperatorEvent,
    RestoredAhead,
    SavepointProgress,
    WorkerMessage,
)
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)


@final
class JobMaster:
    """The master of one job during one reign."""

    def __init__(
        self,
        spec: JobSpec,
        store: ObjectStore,
        open_root: Callable[[str], ObjectStore],
        workers: Workers,
        *,
        owner: str,
        clock: Clock,
        rng: Random,
        deliver: Callable[[bytes], None],
        deposed: Callable[[str], None],
        want_slots: Callable[[int], None] = lambda total: None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            spec: the job.
            store: its checkpoint folder.
            open_root: opens the folder of a savepoint or of another job's checkpoints.
            workers: registered workers; `workers_changed` is to be called when they change.
            owner: this JobManager's name in the journal.
            clock, rng: time and chance.
            deliver: takes what collect sinks gather.
            deposed: called when another JobManager leads the job: this process must end at once.
            want_slots: told how many slots the job needs in all, for whoever can start workers.
        """
        loop = asyncio.get_running_loop()
        self.job = spec.job
        self.graph = spec.graph
        self.configuration = spec.configuration
        self.settings: JobSettings = job_settings(spec.configuration)
        self.started_ms = clock.now_ms()
        """When it was told to start; before that, when it came to be."""
        self.result: asyncio.Future[JobResult] = loop.create_future()
        self.metrics: dict[SubtaskId, TaskMetrics] = {}
        self.exceptions: deque[ExceptionEntry] = deque(maxlen=self.settings.exceptions_max)
        self.status_ms: dict[JobStatus, int] = {JobStatus.CREATED: self.started_ms}
        self.history = CheckpointHistory(self.settings.history_max, clock.now_ms)
        self.operations = Operations(kept_s=self.settings.operations_kept_s, now_ms=clock.now_ms)
        self._asks = Asks(self.operations, self.job, store, open_root, self.settings)
        self.timeline = Timeline(spec.configuration.get(cluster.JM_ATTEMPTS_HISTORY))
        self._around = Surroundings(
            job=spec.job,
            configuration=spec.configuration,
            settings=self.settings,
            store=store,
            open_root=open_root,
            workers=workers,
            history=self.history,
            operations=self.operations,
            asks=self._asks,
            clock=clock,
            rng=rng,
        )
        self._calls = Calls(
            feed=self._feed,
            send_event=self._send_event,
            coordinator_failed=self._coordinator_failed,
            passed_over=lambda sentence: self._remember(Failure(sentence)),
            checkpoint=self.checkpoint,
            deliver=deliver,
            deposed=deposed,
            want_slots=want_slots,
        )
        self._owner = owner
        self._clock = clock
        self._rng = rng
        self._loop = loop
        self._begun = time.monotonic()
        self._parts: Parts | None = None
        """There from the beginning of the reign on."""
        self._starting = False
        self._cancel_early = False
        """It was cancelled while the reign was to begin."""
        self._events: deque[Event] = deque()
        self._feeding = False
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Life.

    async def start(self, start: Start = None, ahead: Ahead = NOTHING_AHEAD) -> None:
        """Take the epoch, choose the state to start from, ask for slots.

        After StoreUnavailable it may be called again.
        """
        around, graph, owner = self._around, self.graph, self._owner
        self.started_ms = self.status_ms[JobStatus.CREATED] = self._clock.now_ms()
        self._begun = time.monotonic()
        self._starting = True
        try:
            reign = await in_daemon_thread(lambda: reign_over(around, graph, owner, start, ahead), "begins the reign")
        finally:
            self._starting = False
        self._asks.reign = reign
        if reign.ended is not None:
            store, policy, open_root = around.store, self.settings.externalized, around.open_root
            await self._loop.run_in_executor(None, finish_clean_up, store, self.job, reign, policy, open_root)
            self._end(JobResult(JobStatus[reign.ended], None, 0))
            return
        self._begin(reign)

    def _begin(self, reign: Reign) -> None:
        program, self.graph = self.graph, reign.graph
        parts = assemble(self._around, reign, program, self._calls)
        parts.service.sweep()
        self._asks.attach(parts.service)
        if not parts.restoring.is_stopped:  # Otherwise nobody reads any more.
            parts.coordinators.start(parts.restoring.assignment)
        self._parts = parts
        self.history.tasks = frozenset(parts.lifecycle.executions)
        if self._cancel_early:
            self._feed(CancelRequested())
        self.workers_changed()

    def has_ended(self, status: JobStatus) -> None:
        """The job came to this end before, and nothing is to be started: for those who ask about it."""
        self._end(JobResult(status, None, 0))

    def checkpoint(self) -> None:
        """Take a checkpoint now."""
        if self._parts is not None:
            service = self._parts.service
            service.feed(Asked(service.now()))

    def savepoint(self, request: SavepointRequest) -> Operation:
        """Take a savepoint, or stop with one; the operation says what came of it."""
        return self._asks.savepoint(request)

    def take_checkpoint(self, trigger_id: str | None, *, anew: bool = False) -> Operation:
        """Take a checkpoint now, and follow what comes of it. `anew`: it refers to no file of earlier ones."""
        return self._asks.checkpoint(trigger_id, anew=anew)

    def dispose(self, path: str, trigger_id: str | None) -> Operation:
        """Delete the savepoint, or retained checkpoint, whose folder this is, unless the job needs it."""
        return self._asks.dispose(path, trigger_id)

    @property
    def journaled(self) -> JournalState | None:
        """What the journal says, as far as it is known here; None while this JobManager has not driven the job."""
        return self._asks.journaled

    @property
    def retaining(self) -> Retaining:
        """What is retained of the job's checkpoints, as things are."""
        return self._asks.retaining

    def keep(self, retained_max: int, pinned: tuple[str, ...] | None) -> bool:
        """Retain so many completed checkpoints from now on, and beside them what is pinned; None: the same as so far.
        False: the job does not run, or has ended."""
        return self._asks.keep(retained_max, pinned)

    async def kept(self, directory: str | None) -> tuple[list[Kept], list[Kept]]:
        """The job's retained checkpoints, and its savepoints below a folder (None: that of the configuration)."""
        return await self._asks.kept(directory)

    def cancel(self) -> None:
        """Cancel the job."""
        if self._parts is not None:
            self._feed(CancelRequested())
        elif self._starting:
            self._cancel_early = True
        else:
            self._end(JobResult(JobStatus.CANCELED, None, 0))

    def workers_changed(self) -> None:
        """Workers came or went."""
        parts = self._parts
        if parts is not None:
            parts.runner.workers_changed()
            self._feed(WorkersChanged(self._around.workers.alive, self._around.workers.fates))
            parts.rescaler.slots_changed(len(self._around.workers.alive))

    def close(self) -> None:
        """Stop driving, whatever the state; what happens from here on is no news."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        self._asks.close()
        if self._parts is not None:
            for part in (self._parts.rescaler, self._parts.service, self._parts.coordinators):
                part.close()

    @property
    def status(self) -> JobStatus:
        """The job's state now."""
        if self.result.done() and not self.result.cancelled() and self.result.exception() is None:
            return self.result.result().status
        return JobStatus.CREATED if self._parts is None else self._parts.lifecycle.status

    @property
    def lifecycle(self) -> JobLifecycle | None:
        """For reading; None before the reign has begun."""
        return None if self._parts is None else self._parts.lifecycle

    @property
    def rescaler(self) -> Rescaler | None:
        """The same of what changes the parallelism."""
        return None if self._parts is None else self._parts.rescaler

    @property
    def coordinators(self) -> Coordinators | None:
        """For metrics."""
        return None if self._parts is None else self._parts.coordinators

    # From workers.

    def on_worker(self, worker: WorkerId, message: WorkerMessage) -> None:
        """A worker has something to say."""
        if self._parts is None:
            return
        lifecycle, service = self._parts.lifecycle, self._parts.service
        match message:
            case Initialized(attempt):
                self._feed(TaskInitialized(attempt))
            case JobLoaded():
                self._parts.runner.loaded(worker)
                self.workers_changed()
            case RestoredAhead(request):
                self._parts.rescaler.restored_ahead(worker, request)
            case Ended():
                self._task_ended(message, worker)
            case Acknowledged(checkpoint, attempt, snapshot):
                service.acknowledged(checkpoint, snapshot, current=lifecycle.is_current(attempt))
            case Declined(checkpoint, attempt, kind, error):
                if lifecycle.is_current(attempt):
                    reason = f"{self._task_name(attempt.subtask)}: {error.message}"
                    service.declined(checkpoint, attempt.subtask, kind, reason)
            case DataEnded(attempt):
                if lifecycle.is_current(attempt):
                    self._parts.notifier.data_ended(attempt)
            case OperatorEvent(attempt, operator, payload):
                if lifecycle.is_current(attempt):
                    self._parts.coordinators.event(attempt.subtask, operator, attempt.attempt, payload)
            case SavepointProgress(checkpoint, attempt, written):
                if lifecycle.is_current(attempt):
                    self.history.progress(checkpoint, attempt.subtask, written)
            case MetricsReport(tasks, process):
                self._around.workers.measured(worker, process)
                self.metrics |= {m.attempt.subtask: m for m in tasks if lifecycle.is_current(m.attempt)}
            case _:
                raise AssertionError(f"a worker does not send {type(message).__name__}")

    def _task_ended(self, message: Ended, worker: WorkerId) -> None:
        attempt, error, parts = message.attempt, message.error, self._parts
        if parts is None or not parts.lifecycle.is_current(attempt):
            return
        match message.status:
            case "FINISHED":
                self._feed(TaskFinished(attempt))
                parts.service.feed(TaskEnded(parts.service.now(), attempt.subtask))
            case "CANCELED":
                self._feed(TaskCanceled(attempt))
            case _:
                assert error is not None, "who failed says why"
                if error.type.endswith(".DamagedData"):
                    parts.restoring.exclude(attempt.subtask, error.message)
                name = self._task_name(attempt.subtask)
                text = error.message if error.located else f"{name} failed: {error.message}"
                follows = error.type.endswith(f".{PeerLost.__name__}")
                failure = Failure(text, error.traceback, attempt.subtask, worker, error.type, follows)
                self._feed(TaskFailed(attempt, failure))

    def _task_name(self, subtask: SubtaskId) -> str:
        vertex = self.graph.vertex(subtask.vertex)
        return f"{vertex.name} ({subtask.index + 1}/{vertex.parallelism})"

    # The lifecycle's commands.

    def _feed(self, event: Event) -> None:
        if self._parts is None or self._ending:
            return
        lifecycle = self._parts.lifecycle
        # Carrying out a command may feed the next event: it waits until all commands of this one are carried out.
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events:
                now_s, jitter = self._clock.monotonic(), self._rng.uniform(-1, 1)
                commands = lifecycle.on(self._events.popleft(), now_s=now_s, jitter=jitter)
                self.timeline.observe(lifecycle.executions.values(), self._clock.now_ms(), self.metrics)
                for command in commands:
                    self._carry_out(command)
        finally:
            self._feeding = False

    def _carry_out(self, command: Command) -> None:
        parts = self._parts
        assert parts is not None, "commands come from the parts"
        match command:
            case DeployRegion(_, attempts):
                self._start(parts.runner.deploy(attempts, parts.restoring, parts.service))
            case StartRegion(_, attempts):
                parts.runner.start(attempts)
            case CancelTasks(attempts):
                parts.runner.cancel(attempts)
            case RegionDown(_, failure, whole_job):
                self._region_down(parts, failure, whole_job)
            case ScheduleRestart(region, number, delay_s):
                log.info("restart scheduled", extra={"region": region, "delay_s": delay_s})
                self._loop.call_later(delay_s, lambda: self._feed(RestartDue(region, number)))
            case AwaitSlots(request, missing):
                log.info("waiting for slots", extra={"missing": missing, "timeout_s": self.settings.slot_timeout_s})
                self._calls.want_slots(len(required_slots(self.graph)))
                self._loop.call_later(self.settings.slot_timeout_s, lambda: self._feed(SlotsTimedOut(request)))
            case StatusChanged(status, failure):
                self._status_changed(parts, status, failure)
            case CauseFound(told, cause):
                self._explain(told, cause)
            case Reshaped(shape):
                self._reshaped(parts, shape)
            case FellBack(failure):
                self._remember(failure)
                parts.rescaler.switch_failed(failure.message)

    def _reshaped(self, parts: Parts, shape: Shape) -> None:
        """The tasks are gone, and others will come: from here on the job is another graph."""
        graph = self.graph = with_parallelism(self.graph, shape.parallelism)
        for part in (parts.runner, parts.coordinators, parts.restoring):
            part.reshape(graph)
        self.metrics.clear()
        self.timeline.keep_only(shape.slot_of)
        self.history.tasks = frozenset(shape.slot_of)
        parts.rescaler.stopped()

    def _region_down(self, parts: Parts, failure: Failure, whole_job: bool) -> None:
        service = parts.service
        if whole_job:
            parts.runner.whole_job_down()
        parts.notifier.reset()
        self._asks.restarting()
        service.restore_wanted()
        service.feed(TasksFailed(service.now()))
        parts.rescaler.tasks_failed(failure.message)

    def _status_changed(self, parts: Parts, status: JobStatus, failure: Failure | None) -> None:
        self.status_ms[status] = self._clock.now_ms()
        log.info("job status changed", extra={"job": self.job, "status": status.name})
        if failure is not None and status in (JobStatus.RESTARTING, JobStatus.FAILING):
            self._remember(failure)
            # Who waits for the job is told of its end; nobody else tells of a restart.
            level = logging.WARNING if status is JobStatus.RESTARTING else logging.INFO
            log.log(level, "job failed", extra={"job": self.job, "status": status.name, "reason": failure.message})
        if status is JobStatus.RUNNING:
            self._all_running(parts)
        parts.rescaler.status_changed(status)
        if status.is_globally_terminal_state():
            self._start(self._conclude(parts, status))

    def _remember(self, failure: Failure) -> None:
        self.exceptions.append(ExceptionEntry(self._clock.now_ms(), failure))

    def _explain(self, told: Failure, cause: Failure) -> None:
        """What was told was only how the failure was noticed."""
        for at, entry in enumerate(self.exceptions):
            if entry.failure is told:
                self.exceptions[at] = replace(entry, failure=cause)
        level = logging.INFO if self.status is JobStatus.FAILING else logging.WARNING
        log.log(level, "why the job failed", extra={"job": self.job, "reason": cause.message})

    def _all_running(self, parts: Parts) -> None:
        lifecycle, service, restoring = parts.lifecycle, parts.service, parts.restoring
        if restoring.checkpoint is not None:
            parts.notifier.restored(restoring.checkpoint)
        chance, shapes, hosted = self._rng.random(), task_shapes(self.graph), frozenset(parts.coordinators.hosted)
        ended = frozenset(s for s, e in lifecycle.executions.items() if e.status is TaskStatus.FINISHED)
        service.feed(Running(service.now(), chance, shapes, hosted, restoring.plan.checkpoint, ended))
        if lifecycle.restarts:
            service.sweep()
        parts.rescaler.all_running(parallelism_of(self.graph))

    async def _conclude(self, parts: Parts, status: JobStatus) -> None:
        """The tasks are gone: record the end, then say so."""
        await record_end(parts.service, self.job, status)
        await self._asks.ended(status)
        runtime_ms = int((time.monotonic() - self._begun) * 1000)
        self._end(JobResult(status, parts.lifecycle.failure if status is JobStatus.FAILED else None, runtime_ms))

    def _end(self, result: JobResult) -> None:
        self._ending = True
        if not self.result.done():
            self.result.set_result(result)

    # Coordinators.

    def _send_event(self, subtask: SubtaskId, attempt: int | None, operator: int, payload: bytes) -> None:
        if self._parts is not None:
            self._parts.runner.send_event(subtask, attempt, operator, payload)

    def _coordinator_failed(self, error: BaseException) -> None:
        self._feed(GlobalFailure(Failure(str(error), users_traceback(error), type=type(error).__name__)))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._work_ended)

    def _work_ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("driving the job failed", exc_info=task.exception())
            self._feed(GlobalFailure(Failure(f"driving the job failed: {task.exception()}")))
