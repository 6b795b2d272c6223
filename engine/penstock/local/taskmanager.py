"""A TaskManager as a process: finds its JobManager, registers, and finds its successor when it is gone.

Started by `penstock taskmanager`. Ends when the JobManager says that the job is over, on SIGTERM and SIGINT, or when no
JobManager was found for `taskmanager.registration.timeout`.
"""

import asyncio
import logging
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, final

import msgspec

from penstock.base.errors import PeerUnavailable
from penstock.base.ids import TaskManagerId
from penstock.base.logs import log_to_files
from penstock.common.configuration import Configuration
from penstock.common.log_places import taskmanager_logs
from penstock.common.options import cluster
from penstock.local.working_folder import working_folder
from penstock.monitoring.endpoint import PrometheusEndpoint
from penstock.monitoring.settings import prometheus_settings
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import connect
from penstock.rpc.messages import TaskManagerMessage
from penstock.taskmanager.exposed import gather
from penstock.taskmanager.supervisor import Supervisor, SupervisorSettings

log: Final = logging.getLogger(__name__)

_GROWTH: Final = 1.5


@final
class TaskManagerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a TaskManager is told on its command line."""

    jobmanager: tuple[str, int]
    configuration: Configuration
    secret: bytes


@final
class TaskManagerProcess:
    """One TaskManager. `run` is its whole life."""

    def __init__(self, order: TaskManagerOrder, announce: Callable[[str], None]) -> None:
        """`announce(sentence)`: tells people what is going on."""
        self._order = order
        self._announce = announce
        self._lost = asyncio.Event()
        self._lost.set()

    async def run(self) -> signal.Signals | None:
        """Serve until it is over; the signal that ended it, if one did. PeerUnavailable when there is no JobManager."""
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[signal.Signals] = loop.create_future()

        def stop(by: signal.Signals) -> None:
            if not stopped.done():
                stopped.set_result(by)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        folder = working_folder("tm", self._order.configuration)
        settings = self._settings(folder.path)
        # The supervisor puts away what has grown too large, for its workers too.
        log_to_files(taskmanager_logs(self._order.configuration, settings.id), rotate=False, printed=True)
        supervisor = Supervisor(settings, self._jobmanager_lost)
        scraped = PrometheusEndpoint(
            lambda: gather(supervisor), prometheus_settings(self._order.configuration, by_default=True)
        )
        reason = "the TaskManager stops"
        try:
            await scraped.start(settings.bind_host)
            await supervisor.start()
            serving = asyncio.create_task(self._stay_attached(supervisor))
            waits: list[asyncio.Future[Any]] = [serving, supervisor.ended, stopped]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if supervisor.ended.done():
                reason = supervisor.ended.result()
                self._announce(f"TaskManager ends: {reason}")
            elif stopped.done():
                reason = f"it was stopped by {stopped.result().name}"
            elif serving.done():
                serving.result()
            serving.cancel()
            await asyncio.wait([serving])
            return stopped.result() if stopped.done() else None
        finally:
            await scraped.close()
            await supervisor.stop(reason)
            folder.remove()

    def _settings(self, directory: Path) -> SupervisorSettings:
        configuration = self._order.configuration
        get = configuration.get
        host = get(cluster.TM_HOST) or _own_address(self._order.jobmanager)
        host = "127.0.0.1" if host == "localhost" else host
        given_id = get(cluster.TM_RESOURCE_ID)
        return SupervisorSettings(
            id=TaskManagerId(given_id or f"{host}-{secrets.token_hex(3)}"),
            host=host,
            bind_host=get(cluster.TM_BIND_HOST) or host,
            data_port=get(cluster.TM_DATA_PORT),
            slots=get(cluster.TM_SLOTS),
            token=self._order.secret,
            directory=directory,
            configuration=configuration.to_dict(),
            python_path=tuple(entry for entry in sys.path if entry),
        )

    def _jobmanager_lost(self, reason: str) -> None:
        self._announce(f"{reason}; looking for it or its successor")
        self._lost.set()

    async def _stay_attached(self, supervisor: Supervisor) -> None:
        while True:
            await self._lost.wait()
            connection = await self._connect()
            self._lost.clear()
            supervisor.attach(connection)
            host, port = self._order.jobmanager
            self._announce(f"TaskManager registers at the JobManager {host}:{port}")
            log.info("registers at the jobmanager", extra={"host": host, "port": port})

    async def _connect(self) -> RpcConnection[TaskManagerMessage]:
        """Try until somebody answers. ProtocolError at once when who answers does not accept us."""
        get = self._order.configuration.get
        host, port = self._order.jobmanager
        wait_s = get(cluster.REGISTRATION_INITIAL).to_seconds()
        longest_s = get(cluster.REGISTRATION_MAX).to_seconds()
        timeout_s = get(cluster.TM_REGISTRATION_TIMEOUT).to_seconds()
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout_s
        waiting = False
        while True:
            try:
                return await connect(TaskManagerMessage, host, port, self._order.secret)
            except PeerUnavailable as error:
                left_s = until - loop.time()
                if left_s <= 0:
                    raise PeerUnavailable(
                        f"no JobManager at {host}:{port} within {timeout_s:g} s "
                        f"({cluster.TM_REGISTRATION_TIMEOUT.key}): {error}"
                    ) from error
                if not waiting:
                    waiting = True
                    self._announce(f"TaskManager waits for a JobManager at {host}:{port}: {error}")
                await asyncio.sleep(min(wait_s, left_s))
                wait_s = min(wait_s * _GROWTH, longest_s)


def _own_address(jobmanager: tuple[str, int]) -> str:
    """The address of this machine that the JobManager sees."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(*jobmanager, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # Of a datagram socket: nothing is sent.
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"
