"""A TaskManager: registers at the JobManager, offers its slots, keeps one worker process per slot.

Its loop runs no user code, so heartbeats go on while a worker blocks. Workers are forked from a zygote; what
JobManager and workers say to each other passes through as bytes that are not read here. A worker that ends is
replaced at once, so that a restart finds warm processes; so is the zygote, whose workers die with it.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, final

import msgspec

from penstock.base.errors import PenstockError
from penstock.base.folders import OwnFolder, own_folder
from penstock.base.ids import TaskManagerId, WorkerId
from penstock.base.pipes import pack_message, split_messages
from penstock.base.steps import reached
from penstock.common.configuration import Configuration
from penstock.common.log_places import taskmanager_logs
from penstock.monitoring.processes import ProcessMeter
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import RpcServer
from penstock.rpc.heartbeat import Heartbeat
from penstock.rpc.inspection import DumpThreads, ListLogs, ReadLog, SampleStacks
from penstock.rpc.messages import (
    FromWorker,
    KillWorker,
    Leaving,
    Registered,
    RegisterTaskManager,
    ShutDown,
    SlotsOffered,
    TaskDescribed,
    TaskManagerMeasured,
    TaskManagerMessage,
    ToWorker,
    WorkerLinkMessage,
    WorkerLost,
    WorkerMeasured,
    WorkerReady,
)
from penstock.taskmanager.control import control_socket, stacks_file
from penstock.taskmanager.inspection import InspectedWorker, Inspection
from penstock.taskmanager.measured import Measured
from penstock.taskmanager.zygote import Begin, Exited, Fork, Forked, Kill, Report, ShowStacks
from penstock.taskmanager.zygote_process import ZygoteProcess

log: Final = logging.getLogger(__name__)

_RESPAWN_S: Final = 0.5
"""A worker that ends this soon after its fork is replaced only after a pause."""
_KILL_S: Final = 5.0
"""A worker that the zygote has not killed by then is killed with it: the zygote hangs, or was stopped."""
_MEASURE_S: Final = 2.0
_SOCKET: Final = "workers.sock"
_SOCKET_PATH_MAX: Final = 100
"""The kernel takes 107 bytes."""


@final
class SupervisorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a TaskManager is told by its configuration."""

    id: TaskManagerId
    host: str
    """The address at which other workers reach this one's data ports."""
    bind_host: str
    """The address that data ports listen on."""
    data_port: int
    """First data port, one per slot from there; 0: free ones."""
    slots: int
    token: bytes
    directory: Path
    configuration: Mapping[str, str]
    python_path: tuple[str, ...]


@final
class _Worker(msgspec.Struct):
    id: WorkerId
    slot: int
    pid: int | None = None
    connection: RpcConnection[WorkerLinkMessage] | None = None
    forked_at: float = 0.0
    kill_reason: str | None = None
    ready: WorkerReady | None = None
    used: bool = False
    """Whether a JobManager has sent it anything: a successor needs a fresh one."""
    ended: bool = False
    """Its successor in the slot waits for its time."""


@final
class Supervisor:
    """One TaskManager: `start`, `attach` to a JobManager (and again to its successor), `stop`."""

    def __init__(
        self, settings: SupervisorSettings, on_lost: Callable[[str], None], zygote: ZygoteProcess | None = None
    ) -> None:
        """Take over `zygote`, if one was started already.

        `on_lost(reason)`: the JobManager is gone; find its successor and `attach` again, or `stop`.
        """
        self._settings = settings
        self._slots = settings.slots
        self.measured = Measured()
        """What its workers report, for Prometheus, and what this process takes itself."""
        self._meter = ProcessMeter()
        self.process = self._meter.measure()
        self._on_lost = on_lost
        self._workers: dict[int, _Worker] = {}
        self._incarnation = 0
        self._early_zygote = zygote
        self._zygote: subprocess.Popen[bytes] | None = None
        self._reports = bytearray()
        self._reports_fd = -1
        self._jobmanager: RpcConnection[TaskManagerMessage] | None = None
        self._sockets: RpcServer[WorkerLinkMessage] | None = None
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._stopping = False
        self._ended.add_done_callback(lambda ended: ended.exception())  # Who asks is told; nobody has to.
        self._zygote_forks = False
        self._replacing: asyncio.Task[None] | None = None
        self._socket_folder: OwnFolder | None = None
        self._socket_path = settings.directory / _SOCKET
        place = taskmanager_logs(Configuration.from_dict(dict(settings.configuration)), settings.id)
        self._inspection = Inspection(settings.id, place, settings.token, self._inspected)

    @property
    def id(self) -> TaskManagerId:
        return self._settings.id

    @property
    def host(self) -> str:
        """Where other workers reach its workers."""
        return self._settings.host

    @property
    def ended(self) -> "asyncio.Future[str]":
        """Done once this TaskManager has no more to do; its result says why. PenstockError when it cannot go on."""
        return self._ended

    async def start(self) -> None:
        """Start the zygote and fork the workers; they may be ready before a JobManager is found.

        ConfigurationError when data ports cannot be had.
        """
        settings = self._settings
        settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.fsencode(self._socket_path)) > _SOCKET_PATH_MAX:
            self._socket_folder = own_folder("sockets", Path("/tmp"))
            self._socket_path = self._socket_folder.path / _SOCKET
        await self._check_data_ports()
        self._sockets = RpcServer(WorkerLinkMessage, settings.token, self._worker_connected)
        await self._sockets.listen_unix(self._socket_path)
        await self._inspection.start(control_socket(self._socket_path))
        self._start_zygote()
        for slot in range(self._slots):
            self._fork(slot)
        self._measure()

    def attach(self, connection: RpcConnection[TaskManagerMessage]) -> None:
        """The JobManager is there: register, and tell it of the workers that are ready."""
        self._jobmanager = connection
        connection.on_message = self._on_jobmanager
        connection.closed.add_done_callback(self._jobmanager_lost)
        settings = self._settings
        connection.send(
            RegisterTaskManager(
                settings.id,
                settings.host,
                self._slots,
                os.getpid(),
                float(os.cpu_count() or 1),
                os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            )
        )
        connection.send(TaskManagerMeasured(self.process))
        for worker in self._workers.values():
            if worker.ready is not None:
                connection.send(worker.ready)

    def offer(self, slots: int) -> None:
        """Have so many slots, if there are fewer, each with a worker that is forked now."""
        more = range(self._slots, slots)
        if self._stopping or not more:
            return
        self._slots = slots
        self._tell(SlotsOffered(slots))
        for slot in more:
            self._fork(slot)

    async def stop(self, reason: str) -> None:
        """Say so to the JobManager, then end the workers and the zygote. Idempotent."""
        if self._stopping:
            return
        self._stopping = True
        self._tell(Leaving(reason))
        self._meter.close()
        if self._sockets is not None:
            await self._sockets.close(reason)
        await self._inspection.close(reason)
        zygote = self._zygote
        if zygote is not None and zygote.stdin is not None:
            with contextlib.suppress(OSError):
                zygote.stdin.close()
            # It kills its workers and ends as soon as its standard input does.
            try:
                await asyncio.get_running_loop().run_in_executor(None, zygote.wait, 5)
            except subprocess.TimeoutExpired:
                zygote.kill()
                await asyncio.get_running_loop().run_in_executor(None, zygote.wait)
        if self._reports_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._reports_fd)
            os.close(self._reports_fd)
            self._reports_fd = -1
        await asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, self._settings.directory, True)
        if self._socket_folder is not None:
            self._socket_folder.remove()
        self._end(reason)

    async def _check_data_ports(self) -> None:
        """Workers could only say it again and again."""
        settings = self._settings
        for port in range(settings.data_port, settings.data_port + settings.slots) if settings.data_port else (0,):
            probe: RpcServer[TaskManagerMessage] = RpcServer(TaskManagerMessage, settings.token, lambda _: None)
            await probe.listen(settings.bind_host, port, "taskmanager.data.port")
            await probe.close()

    # The zygote.

    def _start_zygote(self) -> None:
        zygote, self._early_zygote = self._early_zygote or ZygoteProcess(), None
        self._zygote = zygote.process
        self._reports_fd = zygote.reports_fd
        asyncio.get_running_loop().add_reader(self._reports_fd, self._read_reports)
        settings = self._settings
        self._zygote_forks = False
        self._command(
            Begin(
                token=settings.token,
                configuration=dict(settings.configuration),
                python_path=settings.python_path,
                environment=dict(os.environ),
                directory=os.getcwd(),
            )
        )

    def _command(self, command: Begin | Fork | Kill | ShowStacks) -> None:
        zygote = self._zygote
        assert zygote is not None and zygote.stdin is not None
        # That it has ended shows in its reports, and its successor forks all workers anew.
        with contextlib.suppress(OSError, ValueError):
            zygote.stdin.write(pack_message(command))
            zygote.stdin.flush()

    def _read_reports(self) -> None:
        try:
            data = os.read(self._reports_fd, 65536)
        except BlockingIOError:
            return
        if not data:
            asyncio.get_running_loop().remove_reader(self._reports_fd)
            if not self._stopping:
                self._replacing = asyncio.get_running_loop().create_task(self._replace_zygote())
            return
        self._reports += data
        for report in split_messages(self._reports, Report):
            self._on_report(report)

    async def _replace_zygote(self) -> None:
        zygote, fd = self._zygote, self._reports_fd
        assert zygote is not None
        # Once it has been waited for, the kernel has sent SIGKILL to its workers.
        status = await asyncio.get_running_loop().run_in_executor(None, zygote.wait)
        if self._stopping:
            return
        reason = f"the zygote (pid {zygote.pid}) {_how(status)}"
        if not self._zygote_forks:
            self._fail(f"workers cannot be started: {reason}")
            return
        log.warning("zygote ended", extra={"reason": reason})
        os.close(fd)
        self._reports.clear()
        self._start_zygote()
        for worker in [worker for worker in self._workers.values() if not worker.ended]:
            worker.kill_reason = reason
            self._worker_ended(worker, -signal.SIGKILL)

    def _on_report(self, report: Report) -> None:
        match report:
            case Forked(worker, pid):
                self._zygote_forks = True
                found = self._find(WorkerId(worker))
                if found is not None:
                    found.pid = pid
                    if found.kill_reason is not None:
                        self._command(Kill(pid))
            case Exited(worker, _, status):
                found = self._find(WorkerId(worker))
                if found is not None:
                    self._worker_ended(found, status)

    # Workers.

    def _fork(self, slot: int) -> None:
        settings = self._settings
        self._incarnation += 1
        worker = WorkerId(f"{settings.id}/{slot}.{self._incarnation}")
        self._workers[slot] = _Worker(worker, slot, forked_at=asyncio.get_running_loop().time())
        directory = self._directory_of(worker)
        port = settings.data_port + slot if settings.data_port else 0
        self._command(Fork(worker, str(self._socket_path), str(directory), settings.host, settings.bind_host, port))

    def _directory_of(self, worker: WorkerId) -> Path:
        return self._settings.directory / f"slot-{worker.rpartition('/')[2]}"

    def _inspected(self) -> dict[WorkerId, InspectedWorker]:
        living = [worker for worker in self._workers.values() if not worker.ended]
        return {
            worker.id: InspectedWorker(
                stacks_file(self._directory_of(worker.id)), partial(self._command, ShowStacks(worker.pid))
            )
            for worker in living
            if worker.pid is not None
        }

    def _find(self, worker: WorkerId) -> _Worker | None:
        return next((w for w in self._workers.values() if w.id == worker), None)

    def _worker_connected(self, connection: RpcConnection[WorkerLinkMessage]) -> None:
        connection.on_message = lambda message: self._on_worker(connection, message)

    def _on_worker(self, connection: RpcConnection[WorkerLinkMessage], message: WorkerLinkMessage) -> None:
        match message:
            case WorkerReady():
                worker = self._find(message.worker)
                if worker is not None:
                    worker.connection = connection
                    worker.ready = message
                self._tell(message)
            case FromWorker():
                self._tell(message)
            case WorkerMeasured(worker=measured, body=body):
                self.measured.report(measured, body)
                self._tell(FromWorker(measured, body))
            case TaskDescribed():
                self.measured.described(message)
            case ToWorker():
                raise AssertionError("workers do not command")

    def _worker_ended(self, worker: _Worker, status: int) -> None:
        worker.ended = True
        self.measured.forget(worker.id)
        reason = f"process {worker.pid} {_how(status)}"
        if worker.kill_reason is not None:
            reason += f": {worker.kill_reason}"
        if not self._stopping:
            log.warning("worker ended", extra={"worker": worker.id, "reason": reason})
        if worker.connection is not None:
            worker.connection.abort(reason)
        directory = self._directory_of(worker.id)
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, lambda: shutil.rmtree(directory, ignore_errors=True))
        self._tell(WorkerLost(worker.id, reason))
        if self._stopping:
            return
        lived = loop.time() - worker.forked_at
        if lived > _RESPAWN_S:
            self._fork(worker.slot)
        else:
            loop.call_later(_RESPAWN_S, lambda: None if self._stopping else self._fork(worker.slot))

    # The JobManager.

    def _on_jobmanager(self, message: TaskManagerMessage) -> Awaitable[TaskManagerMessage] | None:
        match message:
            case ListLogs() | ReadLog() | DumpThreads() | SampleStacks():
                return self._inspection.answer(message)
            case ToWorker(worker=worker):
                found = self._find(worker)
                if found is not None and found.connection is not None and found.connection.is_open:
                    found.used = True
                    found.connection.send(message)
            case KillWorker(worker, reason):
                self._kill(worker, reason)
            case ShutDown(reason):
                self._end(reason)
            case Registered(_, interval_s, timeout_s):
                reached("taskmanager.registered")
                connection = self._jobmanager
                if connection is not None:
                    Heartbeat(connection, interval_s, timeout_s, connection.abort)
            case _:
                raise AssertionError(f"a JobManager does not send {type(message).__name__}")
        return None

    def _kill(self, worker: WorkerId, reason: str) -> None:
        found = self._find(worker)
        if found is not None:
            found.kill_reason = reason
            if found.pid is not None:
                self._command(Kill(found.pid))
            asyncio.get_running_loop().call_later(_KILL_S, self._kill_with_zygote, found)

    def _kill_with_zygote(self, worker: _Worker) -> None:
        zygote = self._zygote
        if worker.ended or self._stopping or zygote is None:
            return
        log.warning("the zygote kills nobody and is killed", extra={"worker": worker.id, "zygote": zygote.pid})
        zygote.kill()

    def _measure(self) -> None:
        """Say every so often what this process takes."""
        if not self._stopping:
            asyncio.get_running_loop().call_later(_MEASURE_S, self._measure)
            self.process = self._meter.measure()
            self._tell(TaskManagerMeasured(self.process))

    def _tell(self, message: TaskManagerMessage) -> None:
        connection = self._jobmanager
        if connection is not None and connection.is_open:
            try:
                connection.send(message)
            except PenstockError as error:
                connection.abort(str(error))

    def _jobmanager_lost(self, closed: "asyncio.Future[str]") -> None:
        """Tasks of a JobManager that is gone must not go on: its successor will start them anew."""
        self._jobmanager = None
        if self._stopping:
            return
        reason = f"the JobManager is gone: {closed.result()}"
        for worker in self._workers.values():
            if worker.used:
                self._kill(worker.id, reason)
        if not self._ended.done():
            self._on_lost(reason)

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _fail(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(PenstockError(reason))


def _how(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with code {status}"
