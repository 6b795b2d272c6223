"""Where a JobManager is reached while it lives: RPC for TaskManagers, REST for people and programs, Prometheus.

One for each JobManager process, whether it drives a job or stands by. It knows the job only through its master, which
may come later and may be followed by another.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import final

import msgspec

from penstock.base.clock import SystemClock
from penstock.base.ids import JobId, WorkerId
from penstock.common.configuration import Configuration
from penstock.common.options import cluster
from penstock.common.settings import HeartbeatSettings
from penstock.jobmanager.exposed import gather
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.server import TaskManagerServer
from penstock.jobmanager.workers import Workers
from penstock.monitoring.endpoint import PrometheusEndpoint
from penstock.monitoring.processes import ProcessMeter
from penstock.monitoring.readings import Scoped
from penstock.monitoring.settings import prometheus_settings
from penstock.rest.asking import Cluster, StandbyDesk
from penstock.rest.listening import rest_host, rest_ports
from penstock.rest.server import RestServer
from penstock.rpc.messages import WorkerMessage


@final
class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints ask of the process that they belong to, and tell it."""

    master: Callable[[], JobMaster | None]
    """The one that drives the job now, if any does."""
    workers_changed: Callable[[], None]
    on_worker: Callable[[WorkerId, WorkerMessage], None]
    shut_down: Callable[[], None]
    standby: StandbyDesk | None = None


@final
class Endpoints:
    """Opened once, closed once."""

    def __init__(
        self, job: JobId, cluster: Configuration, configuration: Configuration, secret: bytes, host: Host
    ) -> None:
        """`cluster`: the cluster's configuration, which REST shows; `configuration`: that with what is known of the
        job's over it."""
        self._configuration = configuration
        self._host = host
        self._clock = SystemClock()
        self._process = ProcessMeter()
        self._server = TaskManagerServer(
            job,
            secret,
            heartbeat=HeartbeatSettings.of(configuration),
            clock=self._clock,
            changed=host.workers_changed,
            on_worker=host.on_worker,
        )
        self._rest = RestServer(
            Cluster(
                job_id=job,
                master_now=host.master,
                workers=self._server.workers,
                configuration=cluster,
                clock=self._clock,
                loop_time=asyncio.get_running_loop().time,
                process=self._process,
                shut_down=host.shut_down,
                standby=host.standby,
            )
        )
        self._scraped = PrometheusEndpoint(self._say, prometheus_settings(configuration, by_default=True))

    @property
    def workers(self) -> Workers:
        return self._server.workers

    async def open(self) -> str:
        """Listen everywhere; a sentence that says where. ConfigurationError when a port cannot be had."""
        configuration = self._configuration
        await self._rest.start(rest_host(configuration), rest_ports(configuration))
        host, port = rpc_endpoint(configuration)
        await self._server.listen(host, port)
        await self._scraped.start(host)
        return f"TaskManagers register at {host}:{self._server.port}, REST answers at {self._rest.address}"

    async def send_home(self, reason: str) -> None:
        """The TaskManagers are not needed any more, and no others are awaited."""
        await self._server.close(reason, shut_down=True)

    async def close(self) -> None:
        """Answer nobody any more."""
        await self._rest.close()
        await self._scraped.close()
        await self._server.close("the JobManager stops")

    def _say(self) -> Callable[[], list[Scoped]]:
        master, process = self._host.master(), self._process.measure()
        if master is None:
            return list
        said = gather(master, self._server.workers, process, socket.gethostname(), self._clock.now_ms())
        return lambda: said


def rpc_endpoint(configuration: Configuration) -> tuple[str, int]:
    """Where TaskManagers register: the address and the port to listen on."""
    get = configuration.get
    host = get(cluster.JM_BIND_HOST) or get(cluster.JM_ADDRESS) or "localhost"
    bind_port = get(cluster.JM_BIND_PORT)
    return "127.0.0.1" if host == "localhost" else host, get(cluster.JM_PORT) if bind_port is None else bind_port
