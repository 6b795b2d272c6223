"""One worker process: a slot. Runs the tasks that the JobManager gives it, all on one loop.

Forked from the zygote; connects to its TaskManager's unix socket, listens on a data port, then does as it is told.
Ends when the socket does. Threads only do what releases the GIL for long: storage, checkpoints of RocksDB.
"""

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import pickle
import shutil
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, final

import uvloop
from msgspec.structs import replace

from penstock.base.clock import SystemClock
from penstock.base.errors import JobDefinitionError, PeerUnavailable, PenstockError, UserFunctionError
from penstock.base.ids import AttemptId, CheckpointId, WorkerId
from penstock.base.logs import CONTEXT, configure_logging, log_to_files
from penstock.base.steps import reached
from penstock.base.tracebacks import said, users_line, users_traceback
from penstock.checkpoint.cadence import COUNTED, Failure
from penstock.checkpoint.handles import TaskSnapshot
from penstock.common.configuration import Configuration
from penstock.common.log_places import taskmanager_logs
from penstock.exchange.plane import DataPlane
from penstock.graph.job_graph import PYTHON_FOLDER, JobGraph
from penstock.graph.loading import install_prelude
from penstock.monitoring.processes import ProcessMeter
from penstock.records.batch import Barrier
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import connect_unix
from penstock.rpc.figures import OperatorNames
from penstock.rpc.messages import (
    Acknowledged,
    Cancel,
    CheckpointAborted,
    CheckpointCompleted,
    DataEnded,
    Declined,
    Deploy,
    Ended,
    ErrorReport,
    FromWorker,
    Initialized,
    JobLoaded,
    LoadJob,
    MetricsReport,
    OperatorEvent,
    RestoreAhead,
    RestoreCompleted,
    RestoredAhead,
    SavepointProgress,
    Start,
    TaskDeployment,
    TaskDescribed,
    ToWorker,
    TriggerCheckpoint,
    WorkerLinkMessage,
    WorkerMeasured,
    WorkerMessage,
    WorkerReady,
    decode_worker,
    encode_worker,
)
from penstock.taskmanager.builder import TaskBuilder, WorkerServices
from penstock.taskmanager.control import dump_on_signal, start_control_thread
from penstock.taskmanager.environment import exchange_settings, worker_services
from penstock.taskmanager.metrics import TaskMeter
from penstock.taskmanager.task import Task
from penstock.taskmanager.zygote import Begin, Fork

log: Final = logging.getLogger(__name__)

_MESSAGE_MAX: Final = 4_000
_TRACEBACK_MAX: Final = 40_000
_METRICS_S: Final = 0.5
_METRICS_IDLE_S: Final = 2.0
"""As long as it has no tasks."""
_METRICS_SHARE: Final = 50
"""Measuring takes no more than this part of the time, however many tasks and metrics there are."""
_YOUNG_OBJECTS: Final = 20_000
"""Young generations are collected between batches once so many new objects may be garbage in cycles."""

Link = RpcConnection[WorkerLinkMessage]


def run_worker(fork: Fork, begin: Begin) -> int:
    """Be a worker until told otherwise; the process's exit code."""
    gc.disable()
    faulthandler.enable()
    configure_logging(begin.configuration, process=f"worker {fork.worker}")
    place = taskmanager_logs(Configuration.from_dict(begin.configuration), fork.worker.rpartition("/")[0])
    log_to_files(place, rotate=False, printed=True)
    directory = Path(fork.directory)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    dump_on_signal(directory)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(fork, begin, directory))


async def _main(fork: Fork, begin: Begin, directory: Path) -> int:
    worker = Worker(fork, begin, directory)
    try:
        reason = await worker.run()
    except PeerUnavailable as error:
        reason = str(error)  # The TaskManager has gone again before we came up; what ended it says so itself.
    log.info("worker ends", extra={"reason": reason})
    print(end="", flush=True)
    # No clean-up beyond this: threads may hang in storage calls, and nobody waits for them.
    os._exit(0)


@final
class Worker:
    """The worker's side of the conversation with the JobManager, and its tasks."""

    def __init__(self, fork: Fork, begin: Begin, directory: Path) -> None:
        self._fork = fork
        self._begin = begin
        self._directory = directory
        self._id = WorkerId(fork.worker)
        self._loop = asyncio.get_running_loop()
        self._clock = SystemClock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="worker-io")
        self._exchange = exchange_settings(begin.configuration)
        self._plane = DataPlane(begin.token, self._exchange, self._clock)
        self._link: Link | None = None
        self._services: WorkerServices | None = None
        self._load_error: Exception | None = None
        self._tasks: dict[AttemptId, Task] = {}
        self._meters: dict[AttemptId, TaskMeter] = {}
        self._process = ProcessMeter()
        self._building: dict[AttemptId, asyncio.Task[None]] = {}
        self._directories: dict[AttemptId, Path] = {}
        self._early_events: dict[AttemptId, list[OperatorEvent]] = {}

    async def run(self) -> str:
        """Connect, say that we are ready, and serve until the connection ends."""
        fork = self._fork
        await self._plane.listen(fork.bind_host, fork.data_port, "taskmanager.data.port")
        link: Link = await connect_unix(WorkerLinkMessage, Path(fork.socket), self._begin.token, self._on_link)
        self._link = link
        slot = int(fork.worker.rpartition("/")[2].partition(".")[0])
        link.send(WorkerReady(self._id, slot, os.getpid(), fork.host, self._plane.port))
        start_control_thread(self._id, Path(fork.socket), self._begin.token, self._attempt_at_work)
        self._loop.call_later(_METRICS_S, self._report_metrics)
        return await link.closed

    def _on_link(self, message: WorkerLinkMessage) -> None:
        assert isinstance(message, ToWorker), "a TaskManager passes on what the JobManager says, nothing else"
        self._on_message(decode_worker(message.body))

    def _tell(self, message: WorkerMessage) -> None:
        if self._link is not None and self._link.is_open:
            self._link.send(FromWorker(self._id, encode_worker(message)))

    def _on_message(self, message: WorkerMessage) -> None:
        match message:
            case LoadJob():
                try:
                    self._load(message)
                except Exception as error:
                    # Told by the tasks: each of them fails for this reason.
                    self._load_error = error
                if message.restores and self._services is not None:
                    self._run_in_thread(self._services.reach_store, lambda result, error: self._tell(JobLoaded()))
                elif message.ahead:
                    self._tell(JobLoaded())
            case Deploy(tasks):
                for deployment in tasks:
                    building = self._loop.create_task(self._build(deployment))
                    self._building[deployment.attempt] = building
            case RestoreAhead():
                self._restore_ahead(message)
            case Start(attempts):
                self._start(attempts)
            case Cancel(attempts):
                for attempt in attempts:
                    self._cancel(attempt)
            case TriggerCheckpoint():
                self._trigger(message)
            case CheckpointCompleted(checkpoint):
                reached("task.notified")
                for task in list(self._tasks.values()):
                    task.notify_complete(checkpoint)
            case CheckpointAborted(checkpoint):
                for task in list(self._tasks.values()):
                    task.notify_aborted(checkpoint)
            case RestoreCompleted(checkpoint):
                for task in list(self._tasks.values()):
                    task.notify_restored(checkpoint)
            case OperatorEvent(attempt, operator, payload):
                self._operator_event(attempt, operator, payload)
            case (
                Initialized()
                | JobLoaded()
                | RestoredAhead()
                | Ended()
                | Acknowledged()
                | Declined()
                | MetricsReport()
                | DataEnded()
                | SavepointProgress()
            ):
                raise AssertionError(f"a JobManager does not send {type(message).__name__}")

    # Tasks.

    def _load(self, message: LoadJob) -> None:
        graph: JobGraph = pickle.loads(message.graph)
        if self._services is not None:
            # The same job, in which nothing has changed but its parallelism, or the reign under which it runs.
            self._services = replace(self._services, graph=graph, new_writer=self._services.writers(message.epoch))
            return
        folder = install_prelude(graph, self._directory)
        if any(not name.startswith(f"{PYTHON_FOLDER}/") for name, _ in graph.files):
            # Functions open what is in archives by relative paths.
            os.chdir(folder)
        self._services = worker_services(
            message,
            graph,
            worker=self._id,
            plane=self._plane,
            exchange=self._exchange,
            clock=self._clock,
            directory=self._directory,
            run=self._run_in_thread,
            loop=self._loop,
            report=self,
            send_event=self._send_event,
        )
        if message.ahead:
            _import_operators(graph)

    async def _build(self, deployment: TaskDeployment) -> None:
        attempt = deployment.attempt
        services = self._services
        try:
            if self._load_error is not None:
                raise JobDefinitionError(f"the job's code cannot be loaded in a worker: {self._load_error}") from (
                    self._load_error
                )
            assert services is not None, "the job is loaded before tasks are deployed"
            builder = TaskBuilder(deployment, services)
            self._directories[attempt] = builder.directory
            restoring = self._loop.run_in_executor(self._pool, builder.restore)
            try:
                await asyncio.shield(restoring)
            except asyncio.CancelledError:
                with contextlib.suppress(Exception):
                    await restoring
                builder.discard()
                raise
            reached("task.restored")
            task = self._tasks[attempt] = builder.build()
            self._begin_measuring(task)
        except Exception as error:
            self._building.pop(attempt, None)
            self.failed(attempt, error)
            return
        self._building.pop(attempt, None)
        gc.collect()
        gc.freeze()
        reached("task.initialized")
        self._tell(Initialized(attempt))

    def _restore_ahead(self, asked: RestoreAhead) -> None:
        services = self._services
        if services is None:  # Loading the job has failed, which its tasks will tell.
            self._tell(RestoredAhead(asked.request))
            return
        restore = services.ahead.begin(asked, services.graph)
        self._run_in_thread(restore, lambda result, error: self._tell(RestoredAhead(asked.request)))

    def _start(self, attempts: tuple[AttemptId, ...]) -> None:
        for attempt in attempts:
            task = self._tasks.get(attempt)
            if task is not None:
                task.start()
                self._let_go(attempt)
                for event in self._early_events.pop(attempt, ()):
                    self._tell(event)

    def _cancel(self, attempt: AttemptId) -> None:
        building = self._building.pop(attempt, None)
        if building is not None:
            # Also when it had not begun yet, so not in the coroutine itself.
            building.add_done_callback(lambda _: self._ended(attempt, "CANCELED", None))
            building.cancel()
            return
        task = self._tasks.get(attempt)
        if task is not None:
            task.close()
            self._ended(attempt, "CANCELED", None)

    def _trigger(self, message: TriggerCheckpoint) -> None:
        barrier = Barrier(message.checkpoint, message.timestamp_ms, message.options)
        for attempt in message.attempts:
            task = self._tasks.get(attempt)
            if task is None:
                error = PenstockError(f"task {attempt} is not here")
                self.declined(attempt, message.checkpoint, Failure.TASK_CLOSING, error)
            else:
                task.trigger(barrier)

    def _send_event(self, attempt: AttemptId, operator: int, payload: bytes) -> None:
        """To an operator's coordinator; while the task is being built it waits, for the answer could not be taken."""
        event = OperatorEvent(attempt, operator, payload)
        task = self._tasks.get(attempt)
        if task is not None and task.is_running:
            self._tell(event)
        else:
            self._early_events.setdefault(attempt, []).append(event)

    def _operator_event(self, attempt: AttemptId, operator: int, payload: bytes) -> None:
        task = self._tasks.get(attempt)
        if task is not None:
            task.handle_event(operator, payload)

    def _ended(self, attempt: AttemptId, status: str, error: BaseException | None) -> None:
        self._tasks.pop(attempt, None)
        self._early_events.pop(attempt, None)
        self._let_go(attempt)
        meter = self._meters.pop(attempt, None)
        if meter is not None:
            self._tell(MetricsReport((meter.measure(time.perf_counter()),)))
        directory = self._directories.pop(attempt, None)
        if directory is not None:
            self._loop.run_in_executor(self._pool, lambda: shutil.rmtree(directory, ignore_errors=True))
        self._tell(Ended(attempt, status, None if error is None else error_report(error)))

    def _let_go(self, attempt: AttemptId) -> None:
        """All of its region are restored, or it is over: it needs no files any more that others fetch too."""
        if self._services is not None:
            self._loop.run_in_executor(self._pool, self._services.reading.let_go, attempt)

    # What tasks report.

    def finished(self, attempt: AttemptId) -> None:
        self._ended(attempt, "FINISHED", None)

    def failed(self, attempt: AttemptId, error: BaseException) -> None:
        log.info("task failed", extra={"task": str(attempt)}, exc_info=error)
        self._ended(attempt, "FAILED", error)

    def acknowledged(self, attempt: AttemptId, checkpoint: CheckpointId, snapshot: TaskSnapshot) -> None:
        reached("task.acknowledge")
        self._tell(Acknowledged(checkpoint, attempt, snapshot))

    def declined(self, attempt: AttemptId, checkpoint: CheckpointId, failure: Failure, error: BaseException) -> None:
        # The JobManager says why the checkpoint failed and where; how it came to it is for those who look into it.
        level = logging.INFO if failure in COUNTED else logging.DEBUG
        log.log(level, "checkpoint declined", extra={"task": str(attempt), "checkpoint": checkpoint}, exc_info=error)
        self._tell(Declined(checkpoint, attempt, failure.name, error_report(error, with_line=True)))

    def data_ended(self, attempt: AttemptId) -> None:
        self._tell(DataEnded(attempt))

    # Housekeeping.

    def _begin_measuring(self, task: Task) -> None:
        services, link = self._services, self._link
        assert services is not None, "there are tasks of a job only"
        self._meters[task.attempt] = TaskMeter(task)
        if link is not None and link.is_open:
            vertex = services.graph.vertex(task.attempt.subtask.vertex)
            operators = tuple(OperatorNames(operator.uid, operator.name) for operator in vertex.chain)
            described = (self._id, task.attempt, services.job, services.graph.name, vertex.name, operators)
            link.send(TaskDescribed(*described))

    def _attempt_at_work(self) -> AttemptId | None:
        """Whose step runs now. Called by the control thread."""
        fields = CONTEXT.fields
        return next((attempt for attempt, task in list(self._tasks.items()) if task.log_fields is fields), None)

    def _run_in_thread(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        def finish(future: "asyncio.Future[Any]") -> None:
            error = future.exception()
            done(None if error is not None else future.result(), error)

        self._loop.run_in_executor(self._pool, work).add_done_callback(finish)

    def _report_metrics(self) -> None:
        begun = time.perf_counter()
        try:
            link = self._link
            if link is not None and link.is_open:
                tasks = tuple(meter.measure(begun) for meter in self._meters.values())
                report = MetricsReport(tasks, self._process.measure())
                link.send(WorkerMeasured(self._id, encode_worker(report)))
            for attempt, task in self._tasks.items():
                if (progress := task.snapshots.savepoint_progress) is not None:
                    self._tell(SavepointProgress(progress[0], attempt, progress[1]))
        finally:
            took_s = time.perf_counter() - begun
            pause_s = _METRICS_S if self._meters else _METRICS_IDLE_S
            self._loop.call_later(max(pause_s, _METRICS_SHARE * took_s), self._report_metrics)
        if gc.get_count()[0] > _YOUNG_OBJECTS:
            gc.collect(0)


def _import_operators(graph: JobGraph) -> None:
    """Unpickle every operator once, for what its modules import; one that cannot be is told of by its task."""
    for vertex in graph.vertices:
        for operator in vertex.chain:
            with contextlib.suppress(Exception):
                pickle.loads(operator.factory)


def error_report(error: BaseException, *, with_line: bool = False) -> ErrorReport:
    """An exception as text, with its causes. `with_line`: the message alone says in which line of the user's it was."""
    located = isinstance(error, UserFunctionError)
    cause = error.__cause__ or error if located else error
    kind = type(cause)
    # Of what a user's function raised, people want to see their own lines; ours only say how it came to be called.
    text = users_traceback(cause) if located or isinstance(cause, PenstockError) else ""
    if not text and not located and not isinstance(cause, PenstockError):
        text = "".join(traceback.format_exception(error))
    name = f"{kind.__module__}.{kind.__qualname__}"
    message = str(error) if isinstance(error, PenstockError) else said(error)
    line = users_line(cause) if with_line else ""
    message += f" ({line})" if line else ""
    return ErrorReport(name, _bounded(message, _MESSAGE_MAX), _bounded(text, _TRACEBACK_MAX), located)


def _bounded(text: str, most: int) -> str:
    """The text as it can be sent; both ends of one that is too long to be remembered and shown."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} ... {len(text) - most} characters left out ... {text[-most // 2 :]}"
