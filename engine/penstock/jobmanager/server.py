"""Where TaskManagers register: RPC connections in, workers and their words passed on to the job master."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError
from penstock.base.ids import JobId, WorkerId
from penstock.common.settings import HeartbeatSettings
from penstock.jobmanager.workers import TaskManager, Workers
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import RpcServer
from penstock.rpc.heartbeat import Heartbeat
from penstock.rpc.messages import (
    FromWorker,
    Leaving,
    Registered,
    RegisterTaskManager,
    ShutDown,
    SlotsOffered,
    TaskManagerMeasured,
    TaskManagerMessage,
    WorkerLost,
    WorkerMessage,
    WorkerReady,
    decode_worker,
)

log: Final = logging.getLogger(__name__)

Connection = RpcConnection[TaskManagerMessage]


@final
class TaskManagerServer:
    """Keeps `workers` right and tells `changed` and `on_worker`."""

    def __init__(
        self,
        job: JobId,
        token: bytes,
        *,
        heartbeat: HeartbeatSettings,
        clock: Clock,
        changed: Callable[[], None],
        on_worker: Callable[[WorkerId, WorkerMessage], None],
    ) -> None:
        self.workers = Workers()
        self._ending = False
        self._job = job
        self._heartbeat = heartbeat
        self._clock = clock
        self._changed = changed
        self._on_worker = on_worker
        self._server: RpcServer[TaskManagerMessage] = RpcServer(TaskManagerMessage, token, self._connected)

    @property
    def port(self) -> int:
        return self._server.port

    async def listen(self, host: str, port: int) -> None:
        """Take the RPC port; 0 takes a free one."""
        await self._server.listen(host, port, "jobmanager.rpc.port")

    def expect_end(self) -> None:
        """TaskManagers that go from here on are no news."""
        self._ending = True

    async def close(self, reason: str, *, shut_down: bool = False) -> None:
        """Close; with `shut_down`, tell the TaskManagers first that they are not needed any more."""
        self.expect_end()
        for manager in list(self.workers.taskmanagers.values()) if shut_down else ():
            try:
                manager.connection.send(ShutDown(reason))
            except PenstockError as error:
                log.debug("taskmanager is gone already", extra={"taskmanager": manager.id, "reason": str(error)})
        await self._server.close(reason)

    def _connected(self, connection: Connection) -> None:
        connection.on_message = lambda message: self._first(connection, message)

    def _first(self, connection: Connection, message: TaskManagerMessage) -> None:
        if not isinstance(message, RegisterTaskManager):
            connection.abort("the first message of a TaskManager is its registration")
            return
        manager = TaskManager(message.taskmanager, message, connection, self._clock.now_ms())
        old = self.workers.taskmanagers.get(manager.id)
        if old is not None:
            old.connection.abort(f"TaskManager {manager.id} has registered anew")
            self._lost(old, "registered anew")
        self.workers.add(manager)
        connection.on_message = lambda said: self._said(manager, said)
        connection.closed.add_done_callback(lambda closed: self._lost(manager, closed.result()))
        connection.send(Registered(self._job, self._heartbeat.interval_s, self._heartbeat.timeout_s))
        Heartbeat(connection, self._heartbeat.interval_s, self._heartbeat.timeout_s, connection.abort)
        log.info("taskmanager registered", extra={"taskmanager": manager.id, "slots": message.slots})

    def _said(self, manager: TaskManager, message: TaskManagerMessage) -> None:
        if self.workers.taskmanagers.get(manager.id) is not manager:
            return  # It is leaving: what it has still to say is about workers that count no more.
        match message:
            case Leaving(reason):
                log.info("taskmanager leaves", extra={"taskmanager": manager.id, "reason": reason})
                self.workers.remove(manager, reason)
                self._changed()
            case WorkerReady():
                self.workers.ready(manager, message)
                self._changed()
            case WorkerLost(worker, reason):
                log.warning("worker lost", extra={"worker": worker, "reason": reason})
                self.workers.lost(worker, reason)
                self._changed()
            case SlotsOffered(slots):
                manager.registration = msgspec.structs.replace(manager.registration, slots=slots)
            case FromWorker(worker, body):
                self._on_worker(worker, decode_worker(body))
            case TaskManagerMeasured(process):
                manager.process = process
            case _:
                manager.connection.abort(f"a TaskManager does not send {type(message).__name__}")

    def _lost(self, manager: TaskManager, reason: str) -> None:
        if self.workers.taskmanagers.get(manager.id) is manager:
            log.log(
                logging.DEBUG if self._ending else logging.WARNING,
                "taskmanager lost",
                extra={"taskmanager": manager.id, "reason": reason},
            )
            self.workers.remove(manager, reason)
            asyncio.get_running_loop().call_soon(self._changed)
