"""A whole cluster in this process's care: JobManager and TaskManager on one background loop, workers as processes.

Used by `python job.py`, `penstock run` and the tests. The loop runs in a thread of its own, so that the program's
main thread may wait for the job, or not. When the process dies, however it dies, the workers die with it.
"""

import asyncio
import concurrent.futures
import contextlib
import queue
import secrets
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from random import Random
from typing import Any, Final, TypeVar, final

import uvloop

from penstock.base.clock import SystemClock
from penstock.base.errors import JobFailed, LeadershipLost, PenstockError
from penstock.base.ids import JobId, TaskManagerId
from penstock.base.logs import log_for
from penstock.common.configuration import Configuration
from penstock.common.job_status import JobStatus
from penstock.common.options import cluster
from penstock.common.settings import HeartbeatSettings
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.exposed import gather
from penstock.jobmanager.job import JobResult, JobSpec
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import READ_TIMEOUT_S
from penstock.jobmanager.placement import required_slots
from penstock.jobmanager.server import TaskManagerServer
from penstock.jobmanager.settings import job_id
from penstock.jobmanager.workers import Workers
from penstock.local.working_folder import working_folder
from penstock.monitoring.endpoint import PrometheusEndpoint
from penstock.monitoring.readings import Scoped
from penstock.monitoring.settings import prometheus_settings
from penstock.rpc.endpoints import connect
from penstock.rpc.messages import TaskManagerMessage
from penstock.storage import MemoryStore, ObjectStore, Opening, S3Settings
from penstock.taskmanager import exposed
from penstock.taskmanager.environment import checkpoint_store
from penstock.taskmanager.supervisor import Supervisor, SupervisorSettings
from penstock.taskmanager.zygote_process import ZygoteProcess

T = TypeVar("T")
_HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 60.0
_CLOSE_TIMEOUT_S: Final = 1.0


@final
class LocalCluster:
    """Runs one job to its end. `start` returns once the cluster is up; `wait` gives the result."""

    def __init__(
        self,
        graph: JobGraph,
        configuration: Configuration,
        *,
        job: JobId | None = None,
        zygote: ZygoteProcess | None = None,
    ) -> None:
        """`zygote`: one that was started already, for the first TaskManager."""
        self.graph = graph
        self._zygote = zygote
        self.configuration = configuration
        self.job = job or job_id(configuration)
        self.master: JobMaster | None = None
        self.workers: Workers | None = None
        self._results: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="penstock-cluster", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._started = threading.Event()
        self._over = threading.Event()
        self._stop: asyncio.Event | None = None
        self._stop_wanted = False
        self._supervisors: list[Supervisor] = []
        self._result: JobResult | None = None
        self._error: BaseException | None = None
        self._folder = working_folder("local", configuration)
        self.scraped: PrometheusEndpoint | None = None
        """Where Prometheus may ask, if it was asked for."""
        self.watch: Callable[[JobMaster], Coroutine[Any, Any, None]] | None = None
        """Something that runs beside the job on the loop, such as a REST server or a live view. Cancelled at the end;
        if it raises, the cluster ends with that."""

    def start(self) -> None:
        """Bring the cluster up. Raises what keeps it from coming up; after an interruption nothing of it is left."""
        self._thread.start()
        try:
            self._started.wait(_START_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise
        if self._error is not None:
            self._thread.join()
            raise self._error

    def wait(self, timeout_s: float | None = None) -> JobResult | None:
        """The job's result; None if it still runs when the time is up. Raises what broke the cluster."""
        # In slices, so that Ctrl-C reaches the main thread at once.
        waited = 0.0
        while not self._over.wait(0.1):
            waited += 0.1
            if timeout_s is not None and waited >= timeout_s:
                return None
        if self._error is not None:
            raise self._error
        return self._result

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self._over.is_set()

    def cancel(self) -> None:
        """Cancel the job."""
        self.call(lambda: self.master.cancel() if self.master is not None else None)

    def stop(self) -> None:
        """End the cluster now, whatever the job is doing, and wait until its processes are gone."""
        self._stop_wanted = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # The loop is over already.
                self._loop.call_soon_threadsafe(self._stop.set)
        self._over.wait()
        self._thread.join(_CLOSE_TIMEOUT_S)

    def status(self) -> JobStatus:
        """The job's state now."""
        if self._result is not None:
            return self._result.status
        return JobStatus.CREATED if self.master is None else self.master.status

    def results(self) -> Iterator[bytes]:
        """What collect sinks gather, until the job has ended."""
        while (payload := self._results.get()) is not None:
            yield payload
        self.wait()

    def call(self, work: Callable[[], T]) -> T:
        """Run something on the cluster's loop and wait for what it gives. PenstockError once the cluster is over."""
        loop = self._loop
        assert loop is not None, "the cluster has been started"
        done: concurrent.futures.Future[T] = concurrent.futures.Future()

        def on_loop() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        # The loop's last turn may come before ours.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(on_loop)
        while not done.done() and not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                return done.result(0.1)
        if done.done():
            return done.result()
        ended = "" if self._result is None else f" the job has ended {self._result.status.name}, and"
        raise PenstockError(f"nothing can be asked for any more:{ended} its cluster is over")

    def _run(self) -> None:
        # Closing the loop waits for its threads, and those may wait for a store that does not answer.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._main())
            except BaseException as error:
                self._error = error
            finally:
                self._folder.remove()
                self._over.set()
                self._started.set()
                self._results.put(None)

    async def _main(self) -> None:
        log_for(self.job)
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._stop_wanted:
            return
        configuration, clock = self.configuration, SystemClock()
        token = secrets.token_bytes(32)
        slots = len(required_slots(self.graph))
        managers = configuration.get(cluster.MINICLUSTER_TASK_MANAGERS)
        if configuration.contains(cluster.TM_SLOTS):
            per_manager = configuration.get(cluster.TM_SLOTS)
        else:
            per_manager = -(-slots // managers)
        server = TaskManagerServer(
            self.job,
            token,
            heartbeat=HeartbeatSettings.of(configuration),
            clock=clock,
            changed=lambda: self.master.workers_changed() if self.master is not None else None,
            on_worker=lambda worker, message: (
                self.master.on_worker(worker, message) if self.master is not None else None
            ),
        )
        supervisors = [
            Supervisor(
                SupervisorSettings(
                    id=TaskManagerId(f"local-{number}"),
                    host=_HOST,
                    bind_host=_HOST,
                    data_port=0,
                    slots=per_manager,
                    token=token,
                    directory=self._folder.path / f"tm-{number}",
                    configuration=configuration.to_dict(),
                    python_path=tuple(entry for entry in sys.path if entry),
                ),
                lambda reason: None,
                None if number else self._zygote,
            )
            for number in range(managers)
        ]
        scraped = self.scraped = PrometheusEndpoint(
            lambda: self._say(server.workers, supervisors, clock), prometheus_settings(configuration, by_default=False)
        )
        self._supervisors = supervisors
        try:
            await server.listen(_HOST, 0)
            await scraped.start(_HOST)
            for supervisor in supervisors:
                await supervisor.start()
            await self._until_stopped(self._drive(server, supervisors, token, clock))
        finally:
            server.expect_end()
            if self.master is not None:
                self.master.close()
            await scraped.close()
            for supervisor in supervisors:
                await supervisor.stop("the job is over")
            await server.close("the job is over", shut_down=True)

    def _say(
        self, workers: Workers, supervisors: list[Supervisor], clock: SystemClock
    ) -> Callable[[], Iterator[Scoped]]:
        """For Prometheus: all that its parts say, on one page."""
        parts: list[Callable[[], Iterable[Scoped]]] = [exposed.gather(supervisor) for supervisor in supervisors]
        if self.master is not None and supervisors:
            said = gather(self.master, workers, supervisors[0].process, _HOST, clock.now_ms())
            parts.append(lambda: said)
        return lambda: (scoped for part in parts for scoped in part())

    def _want_slots(self, total: int) -> None:
        """The job needs so many: here they cost a fork each, unless somebody has said how many there are to be."""
        if not self.configuration.contains(cluster.TM_SLOTS):
            for supervisor in self._supervisors:
                supervisor.offer(-(-total // len(self._supervisors)))

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._stop is not None
        working, stopping = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if stopping.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    async def _drive(
        self, server: TaskManagerServer, supervisors: list[Supervisor], token: bytes, clock: SystemClock
    ) -> None:
        configuration = self.configuration
        opening = Opening(S3Settings.from_configuration(configuration))
        store: ObjectStore = checkpoint_store(configuration, opening) or MemoryStore(clock)
        deposed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        master = JobMaster(
            JobSpec(job=self.job, graph=self.graph, configuration=configuration),
            store,
            opening.store,
            server.workers,
            owner=f"local-{secrets.token_hex(4)}",
            clock=clock,
            rng=Random(),
            deliver=self._results.put,
            deposed=lambda reason: None if deposed.done() else deposed.set_result(reason),
            want_slots=self._want_slots,
        )
        self.master, self.workers = master, server.workers
        await master.start()
        for supervisor in supervisors:
            supervisor.attach(await connect(TaskManagerMessage, _HOST, server.port, token))
        self._started.set()
        broken: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        watching = asyncio.create_task(self.watch(master)) if self.watch is not None else None
        if watching is not None:
            watching.add_done_callback(lambda task: _pass_on_failure(task, broken))
        ends = [supervisor.ended for supervisor in supervisors]
        waits: list[asyncio.Future[Any]] = [master.result, deposed, broken, *ends]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if watching is not None and not watching.done() and master.result.done():
                await master.operations.until_read(READ_TIMEOUT_S)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait([watching])
        if broken.done():
            broken.result()
        if deposed.done():
            raise LeadershipLost(deposed.result())
        for end in ends:
            if end.done() and not master.result.done():
                raise PenstockError(f"a TaskManager ended: {end.result()}")
        if master.result.done():
            self._result = master.result.result()


def _pass_on_failure(task: "asyncio.Task[None]", future: "asyncio.Future[Any]") -> None:
    if not task.cancelled() and not future.done() and (error := task.exception()) is not None:
        future.set_exception(error)


def failure_of(result: JobResult) -> JobFailed:
    """The exception that a failed or cancelled job is, for the program that waits for it."""
    if result.failure is None:
        return JobFailed(f"the job ended {result.status.name}")
    text = result.failure.message
    if result.failure.traceback:
        text += f"\n\n{result.failure.traceback}"
    return JobFailed(text)
