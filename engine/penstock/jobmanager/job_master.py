"""Drives one job: feeds its lifecycle and its checkpoints with what happens, and carries out what they decide.

Runs on the JobManager's loop and never blocks it. Owns the job's state in this process: executions, channels,
coordinators, history. Ends with `result`.
"""

import asyncio
import logging
import pickle
import time
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Final, final

from penstock.base.clock import Clock
from penstock.base.ids import Epoch, SubtaskId, WorkerId
from penstock.base.tracebacks import users_traceback
from penstock.checkpoint.protocol import Asked, Running, TaskEnded, TasksFailed
from penstock.common.job_status import JobStatus
from penstock.common.options import cluster
from penstock.jobmanager.asks import Asks
from penstock.jobmanager.assembly import checkpoint_service, reign_over
from penstock.jobmanager.checkpoints import CheckpointService, JobDescription
from penstock.jobmanager.coordinators import Coordinators
from penstock.jobmanager.ending import finish_clean_up, record_end
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.job import ExceptionEntry, JobResult, JobSpec
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.lifecycle_protocol import (
    AwaitSlots,
    CancelRequested,
    CancelTasks,
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
from penstock.jobmanager.placement import required_slots, slots_of
from penstock.jobmanager.regions import regions, task_shapes
from penstock.jobmanager.reign import Reign
from penstock.jobmanager.rescaler import RescaleHooks, Rescaler
from penstock.jobmanager.restoring import Restoring
from penstock.jobmanager.settings import JobSettings, job_settings, restart_strategy
from penstock.jobmanager.task_notifier import TaskNotifier
from penstock.jobmanager.task_runner import TaskRunner
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
    LoadJob,
    MetricsReport,
    OperatorEvent,
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
        self.result: asyncio.Future[JobResult] = loop.create_future()
        self.metrics: dict[SubtaskId, TaskMetrics] = {}
        self.exceptions: deque[ExceptionEntry] = deque(maxlen=self.settings.exceptions_max)
        self.status_ms: dict[JobStatus, int] = {JobStatus.CREATED: self.started_ms}
        self.history = CheckpointHistory(self.settings.history_max, clock.now_ms)
        self.operations = Operations(kept_s=self.settings.operations_kept_s, now_ms=clock.now_ms)
        self._asks = Asks(self.operations, self.job, store, open_root, self.settings, self.history)
        self.timeline = Timeline(spec.configuration.get(cluster.JM_ATTEMPTS_HISTORY))
        self.lifecycle: JobLifecycle | None = None
        self._strategy = restart_strategy(spec.configuration)
        self._store = store
        self._open_root = open_root
        self._workers = workers
        self._owner = owner
        self._clock = clock
        self._rng = rng
        self._deliver = deliver
        self._deposed = deposed
        self._want_slots = want_slots
        self._loop = loop
        self._begun = time.monotonic()
        self._service: CheckpointService | None = None
        self._coordinators: Coordinators | None = None
        self._restoring: Restoring | None = None
        self._notifier: TaskNotifier | None = None
        self._runner: TaskRunner | None = None
        self.rescaler: Rescaler | None = None
        self._events: deque[Event] = deque()
        self._feeding = False
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()

    # Life.

    async def start(self) -> None:
        """Take the epoch, choose the state to start from, ask for slots."""
        settings = self.settings
        store, open_root, clock, rng = self._store, self._open_root, self._clock, self._rng
        reign = await self._loop.run_in_executor(
            None, lambda: reign_over(store, self.job, self.graph, self._owner, settings, open_root, clock, rng)
        )
        self._asks.reign = reign
        if reign.ended is not None:
            policy = settings.externalized
            await self._loop.run_in_executor(None, finish_clean_up, store, self.job, reign, policy, open_root)
            self._end(JobResult(JobStatus[reign.ended], None, 0))
            return
        self._begin(reign)

    def _begin(self, reign: Reign) -> None:
        settings, program = self.settings, self.graph
        self.graph = reign.graph
        self._restoring = Restoring(
            self.job,
            self._store,
            self._open_root,
            reign,
            self.history,
            allow_older=settings.allow_older,
            passed_over=lambda sentence: self._remember(Failure(sentence)),
        )
        self._coordinators = Coordinators(
            self.graph,
            configuration=self.configuration,
            clock=self._clock,
            send=self._send_event,
            fail=lambda error: self._coordinator_failed(error),
            deliver=self._deliver,
        )
        slot_of = slots_of(self.graph)
        lifecycle = JobLifecycle.create(regions(self.graph), slot_of, self._strategy)
        self._runner = TaskRunner(
            LoadJob(self.job, Epoch(reign.journal.epoch), pickle.dumps(self.graph, 5), self.configuration.to_dict()),
            self.graph,
            lifecycle,
            self._workers,
            self._coordinators,
            self._feed,
            cancellation_timeout_s=settings.cancellation_timeout_s,
        )
        self._notifier = TaskNotifier(
            lifecycle,
            self._workers,
            self._coordinators,
            exactly_once=settings.exactly_once,
            ask=self.checkpoint,
            fail=lambda reason: self._feed(GlobalFailure(Failure(reason))),
            deposed=self._deposed,
        )
        description = JobDescription(job=self.job, name=self.graph.name, fingerprint=self.graph.fingerprint)
        service = checkpoint_service(
            description,
            reign,
            settings,
            self._store,
            self._notifier,
            self._asks,
            self.history,
            self._clock,
            self._open_root,
        )
        self._service = service
        service.sweep()
        self._asks.attach(service)

        hooks = RescaleHooks(self._want_slots, self._feed, self._runner.prepare, self._deposed)
        self.rescaler = Rescaler(
            program, self.graph, service, reign.journal, settings, self.operations, hooks, self._clock, self._rng
        )
        if not self._restoring.is_stopped:  # Otherwise nobody reads any more.
            self._coordinators.start(self._restoring.assignment)
        self.lifecycle = lifecycle
        self.history.tasks = frozenset(slot_of)
        self.workers_changed()

    def checkpoint(self) -> None:
        """Take a checkpoint now."""
        if self._service is not None:
            self._service.feed(Asked(self._service.now()))

    def savepoint(self, request: SavepointRequest) -> Operation:
        """Take a savepoint, or stop with one; the operation says what came of it."""
        return self._asks.savepoint(request)

    def take_checkpoint(self, trigger_id: str | None) -> Operation:
        """Take a checkpoint now, and follow what comes of it."""
        return self._asks.checkpoint(trigger_id)

    def dispose(self, path: str, trigger_id: str | None) -> Operation:
        """Delete the savepoint whose folder this is, unless the job needs it."""
        return self._asks.dispose(path, trigger_id)

    def cancel(self) -> None:
        """Cancel the job."""
        if self.lifecycle is None:
            self._end(JobResult(JobStatus.CANCELED, None, 0))
        else:
            self._feed(CancelRequested())

    def workers_changed(self) -> None:
        """Workers came or went."""
        if self.lifecycle is not None and self._runner is not None and self.rescaler is not None:
            self._runner.workers_changed()
            self._feed(WorkersChanged(self._workers.alive, self._workers.fates))
            self.rescaler.slots_changed(len(self._workers.alive))

    def close(self) -> None:
        """Stop driving, whatever the state; what happens from here on is no news."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        self._asks.close()
        if self.rescaler is not None:
            self.rescaler.close()
        if self._service is not None:
            self._service.close()
        if self._coordinators is not None:
            self._coordinators.close()

    @property
    def status(self) -> JobStatus:
        """The job's state now."""
        if self.result.done() and not self.result.cancelled() and self.result.exception() is None:
            return self.result.result().status
        return JobStatus.CREATED if self.lifecycle is None else self.lifecycle.status

    @property
    def coordinators(self) -> Coordinators | None:
        """For metrics."""
        return self._coordinators

    # From workers.

    def on_worker(self, worker: WorkerId, message: WorkerMessage) -> None:
        """A worker has something to say."""
        service = self._service
        if self.lifecycle is None or service is None:
            return
        match message:
            case Initialized(attempt):
                self._feed(TaskInitialized(attempt))
            case JobLoaded() if self._runner is not None:
                self._runner.loaded(worker)
                self.workers_changed()
            case Ended():
                self._task_ended(message, worker)
            case Acknowledged(checkpoint, attempt, snapshot):
                service.acknowledged(checkpoint, snapshot, current=self.lifecycle.is_current(attempt))
            case Declined(checkpoint, attempt, kind, error):
                if self.lifecycle.is_current(attempt):
                    reason = f"{self._task_name(attempt.subtask)}: {error.message}"
                    service.declined(checkpoint, attempt.subtask, kind, reason)
            case DataEnded(attempt):
                if self.lifecycle.is_current(attempt) and self._notifier is not None:
                    self._notifier.data_ended(attempt)
            case OperatorEvent(attempt, operator, payload):
                if self.lifecycle.is_current(attempt) and self._coordinators is not None:
                    self._coordinators.event(attempt.subtask, operator, attempt.attempt, payload)
            case SavepointProgress(checkpoint, attempt, written):
                if self.lifecycle.is_current(attempt):
                    self._asks.progress(checkpoint, attempt, written)
            case MetricsReport(tasks, process):
                self._workers.measured(worker, process)
                self.metrics |= {m.attempt.subtask: m for m in tasks if self.lifecycle.is_current(m.attempt)}
            case _:
                raise AssertionError(f"a worker does not send {type(message).__name__}")

    def _task_ended(self, message: Ended, worker: WorkerId) -> None:
        attempt, error = message.attempt, message.error
        if self.lifecycle is None or not self.lifecycle.is_current(attempt):
            return
        match message.status:
            case "FINISHED":
                self._feed(TaskFinished(attempt))
                self._feed_service_task_ended(attempt.subtask)
            case "CANCELED":
                self._feed(TaskCanceled(attempt))
            case _:
                assert error is not None, "who failed says why"
                if error.type.endswith(".DamagedData") and self._restoring is not None:
                    self._restoring.exclude(error.message)
                name = self._task_name(attempt.subtask)
                text = error.message if error.located else f"{name} failed: {error.message}"
                failure = Failure(text, error.traceback, attempt.subtask, worker, error.type)
                self._feed(TaskFailed(attempt, failure))

    def _feed_service_task_ended(self, subtask: SubtaskId) -> None:
        service = self._service
        if service is not None:
            service.feed(TaskEnded(service.now(), subtask))

    def _task_name(self, subtask: SubtaskId) -> str:
        vertex = self.graph.vertex(subtask.vertex)
        return f"{vertex.name} ({subtask.index + 1}/{vertex.parallelism})"

    # The lifecycle's commands.

    def _feed(self, event: Event) -> None:
        lifecycle = self.lifecycle
        if lifecycle is None or self._ending:
            return
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
        assert self._runner is not None
        match command:
            case DeployRegion(_, attempts):
                assert self._restoring is not None and self._service is not None
                self._start(self._runner.deploy(attempts, self._restoring, self._service))
            case StartRegion(_, attempts):
                self._runner.start(attempts)
            case CancelTasks(attempts):
                self._runner.cancel(attempts)
            case RegionDown(_, failure, whole_job):
                self._region_down(failure, whole_job)
            case ScheduleRestart(region, number, delay_s):
                self._loop.call_later(delay_s, lambda: self._feed(RestartDue(region, number)))
            case AwaitSlots(request, missing):
                timeout_s = self.settings.slot_timeout_s
                log.info("waiting for slots", extra={"missing": missing, "timeout_s": timeout_s})
                self._want_slots(len(required_slots(self.graph)))
                self._loop.call_later(timeout_s, lambda: self._feed(SlotsTimedOut(request)))
            case StatusChanged(status, failure):
                self._status_changed(status, failure)
            case Reshaped(shape):
                self._reshaped(shape)
            case FellBack(failure):
                self._remember(failure)
                assert self.rescaler is not None
                self.rescaler.switch_failed(failure.message)

    def _reshaped(self, shape: Shape) -> None:
        """The tasks are gone, and others will come: from here on the job is another graph."""
        assert self._runner and self._coordinators and self._restoring and self.rescaler
        graph = self.graph = with_parallelism(self.graph, shape.parallelism)
        for part in (self._runner, self._coordinators, self._restoring):
            part.reshape(graph)
        self.metrics.clear()
        self.timeline.keep_only(shape.slot_of)
        self.history.tasks = frozenset(shape.slot_of)
        self.rescaler.stopped()

    def _region_down(self, failure: Failure, whole_job: bool) -> None:
        service = self._service
        assert service is not None
        if whole_job and self._runner is not None:
            self._runner.whole_job_down()
        if self._notifier is not None:
            self._notifier.reset()
        self._asks.restarting()
        service.restore_wanted()
        service.feed(TasksFailed(service.now()))
        if self.rescaler is not None:
            self.rescaler.tasks_failed(failure.message)

    def _status_changed(self, status: JobStatus, failure: Failure | None) -> None:
        self.status_ms[status] = self._clock.now_ms()
        log.info("job status changed", extra={"job": self.job, "status": status.name})
        if failure is not None and status in (JobStatus.RESTARTING, JobStatus.FAILING):
            self._remember(failure)
            # Who waits for the job is told of its end; nobody else tells of a restart.
            level = logging.WARNING if status is JobStatus.RESTARTING else logging.INFO
            log.log(level, "job failed", extra={"job": self.job, "status": status.name, "reason": failure.message})
        if status is JobStatus.RUNNING:
            self._all_running()
        if self.rescaler is not None:
            self.rescaler.status_changed(status)
        if status.is_globally_terminal_state():
            self._start(self._conclude(status))

    def _remember(self, failure: Failure) -> None:
        self.exceptions.append(ExceptionEntry(self._clock.now_ms(), failure))

    def _all_running(self) -> None:
        lifecycle, service, coordinators = self.lifecycle, self._service, self._coordinators
        assert lifecycle is not None and service is not None and coordinators is not None
        ended = frozenset(s for s, e in lifecycle.executions.items() if e.status is TaskStatus.FINISHED)
        service.feed(
            Running(
                service.now(),
                self._rng.random(),
                task_shapes(self.graph),
                frozenset(coordinators.hosted),
                None if self._restoring is None else self._restoring.plan.checkpoint,
                ended,
            )
        )
        if lifecycle.restarts:
            service.sweep()
        if self.rescaler is not None:
            self.rescaler.all_running(parallelism_of(self.graph))

    async def _conclude(self, status: JobStatus) -> None:
        """The tasks are gone: record the end, then say so."""
        service, lifecycle = self._service, self.lifecycle
        assert service is not None and lifecycle is not None
        await record_end(service, self.job, status)
        await self._asks.ended(status)
        runtime_ms = int((time.monotonic() - self._begun) * 1000)
        self._end(JobResult(status, lifecycle.failure if status is JobStatus.FAILED else None, runtime_ms))

    def _end(self, result: JobResult) -> None:
        self._ending = True
        if not self.result.done():
            self.result.set_result(result)

    # Coordinators.

    def _send_event(self, subtask: SubtaskId, attempt: int | None, operator: int, payload: bytes) -> None:
        if self._runner is not None:
            self._runner.send_event(subtask, attempt, operator, payload)

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
