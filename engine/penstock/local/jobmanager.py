"""A JobManager as a process: RPC for TaskManagers, REST for people, one job to its end or until it is told to stop.

Started by `penstock jobmanager`. A clean stop (SIGTERM, SIGINT) suspends the job: nothing is cancelled or deleted, and
a successor with the same job id goes on from the newest checkpoint. Whoever is deposed ends at once, writing nothing.
"""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NoReturn, final

from penstock.base.clock import SystemClock
from penstock.base.folders import own_folder
from penstock.base.ids import JobId, WorkerId
from penstock.base.logs import log_to_files
from penstock.common.configuration import Configuration
from penstock.common.log_places import jobmanager_logs
from penstock.common.options import cluster
from penstock.common.settings import HeartbeatSettings
from penstock.graph.job_graph import JobGraph
from penstock.graph.loading import install_prelude
from penstock.jobmanager.exposed import gather
from penstock.jobmanager.job import JobResult, JobSpec
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import READ_TIMEOUT_S
from penstock.jobmanager.server import TaskManagerServer
from penstock.monitoring.endpoint import PrometheusEndpoint
from penstock.monitoring.processes import ProcessMeter
from penstock.monitoring.readings import Scoped
from penstock.monitoring.settings import prometheus_settings
from penstock.rest.asking import Cluster
from penstock.rest.server import RestServer, rest_host, rest_ports
from penstock.rpc.messages import WorkerMessage
from penstock.storage import MemoryStore, ObjectStore, S3Settings, open_store
from penstock.taskmanager.environment import checkpoint_store

log: Final = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@final
@dataclass(frozen=True, slots=True)
class Suspended:
    """The process was told to stop; the job was left as it is, for a successor."""

    by: signal.Signals


Outcome = JobResult | Suspended


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobManagerOrder:
    """What a JobManager is to run, and where."""

    job: JobId
    graph: JobGraph
    cluster: Configuration
    """The cluster's configuration, without the job's."""
    configuration: Configuration
    """The same with the job's over it."""
    secret: bytes
    linger_s: float
    """How long REST goes on to answer after the job has ended."""


@final
class JobManager:
    """One JobManager. `run` is its whole life."""

    def __init__(
        self, order: JobManagerOrder, announce: Callable[[str], None], deposed: Callable[[str], NoReturn]
    ) -> None:
        """`announce(sentence)` tells people what is going on; `deposed(reason)` ends this process on the spot."""
        self._order = order
        self._announce = announce
        self._clock = SystemClock()
        self._process = ProcessMeter()
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._stopped: asyncio.Future[signal.Signals] = loop.create_future()
        self._deposed = deposed
        self._shut_down = asyncio.Event()
        self._master: JobMaster | None = None
        self._folder = own_folder("jobmanager")
        configuration = order.configuration
        self._server = TaskManagerServer(
            order.job,
            order.secret,
            heartbeat=HeartbeatSettings.of(configuration),
            clock=self._clock,
            changed=self._workers_changed,
            on_worker=self._on_worker,
        )

    async def run(self) -> Outcome:
        """Run the job to its end or to a stop. LeadershipLost when another one has come while it was to begin."""
        for number in _STOPPING:
            self._loop.add_signal_handler(number, self._stop, number)
        configuration = self._order.configuration
        log_to_files(jobmanager_logs(self._order.cluster, self._order.job), rotate=True, printed=True)
        master = self._new_master()
        rest = RestServer(self._seen_by_rest(master))
        scraped = PrometheusEndpoint(lambda: self._say(master), prometheus_settings(configuration, by_default=True))
        try:
            await rest.start(rest_host(configuration), rest_ports(configuration))
            host, port = rpc_endpoint(configuration)
            await self._server.listen(host, port)
            await scraped.start(host)
            order = self._order
            self._announce(
                f"job {order.graph.name} has id {order.job}; TaskManagers register at {host}:{self._server.port}, "
                f"REST answers at {rest.address}"
            )
            outcome = await self._drive(master)
            if isinstance(outcome, JobResult):
                await self._end(outcome)
            return outcome
        finally:
            self._folder.remove()
            # TaskManagers that go because we do are no failure of the job.
            self._master = None
            master.close()
            await rest.close()
            await scraped.close()
            await self._server.close("the JobManager stops")

    def _new_master(self) -> JobMaster:
        order = self._order
        s3 = S3Settings.from_configuration(order.configuration)
        store: ObjectStore = checkpoint_store(order.configuration) or MemoryStore(self._clock)
        return JobMaster(
            JobSpec(job=order.job, graph=order.graph, configuration=order.configuration),
            store,
            lambda root: open_store(root, s3),
            self._server.workers,
            owner=f"{socket.gethostname()}-{secrets.token_hex(4)}",
            clock=self._clock,
            rng=Random(),
            deliver=lambda payload: None,
            deposed=self._be_deposed,
        )

    def _seen_by_rest(self, master: JobMaster) -> Cluster:
        return Cluster(
            master=master,
            workers=self._server.workers,
            configuration=self._order.cluster,
            clock=self._clock,
            loop_time=self._loop.time,
            process=self._process,
            shut_down=self._cancel_and_end,
        )

    def _say(self, master: JobMaster) -> Callable[[], list[Scoped]]:
        now_ms, host = self._clock.now_ms(), socket.gethostname()
        said = gather(master, self._server.workers, self._process.measure(), host, now_ms)
        return lambda: said

    async def _drive(self, master: JobMaster) -> Outcome:
        # Split enumerators are the user's code, and their state may hold objects of the script's own classes.
        await self._loop.run_in_executor(None, install_prelude, self._order.graph, self._folder.path)
        starting = asyncio.create_task(master.start())
        await _first([starting, self._stopped])
        if not starting.done():
            return Suspended(self._stopped.result())
        starting.result()
        if master.result.done():
            self._announce(f"job {self._order.job} has ended before: there is nothing to do")
        self._master = master
        master.workers_changed()
        await _first([master.result, self._stopped])
        if master.result.done():
            return master.result.result()
        return Suspended(self._stopped.result())

    async def _end(self, result: JobResult) -> None:
        """The job is over: send the TaskManagers home, let people read what came of it."""
        await self._server.close(f"job {self._order.job} is {result.status.name}", shut_down=True)
        if self._master is not None:
            told = asyncio.create_task(self._master.operations.until_read(READ_TIMEOUT_S))
            await _first([told, self._stopped])
            told.cancel()
        if self._order.linger_s and not self._shut_down.is_set() and not self._stopped.done():
            self._announce(f"job {result.status.name}; REST answers for {self._order.linger_s:g} s more")
            over = asyncio.create_task(self._shut_down.wait())
            await _first([over, self._stopped], timeout_s=self._order.linger_s)
            over.cancel()

    def _workers_changed(self) -> None:
        if self._master is not None:
            self._master.workers_changed()

    def _on_worker(self, worker: WorkerId, message: WorkerMessage) -> None:
        if self._master is not None:
            self._master.on_worker(worker, message)

    def _be_deposed(self, reason: str) -> None:
        # Nothing is waited for: what still writes in a thread must not get further.
        self._folder.remove()
        self._deposed(reason)

    def _cancel_and_end(self) -> None:
        self._shut_down.set()
        if self._master is not None and not self._master.result.done():
            self._master.cancel()

    def _stop(self, number: signal.Signals) -> None:
        if not self._stopped.done():
            self._stopped.set_result(number)


async def _first(futures: list[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    """Wait until one of them is done."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


def rpc_endpoint(configuration: Configuration) -> tuple[str, int]:
    """Where TaskManagers register: the address and the port to listen on."""
    get = configuration.get
    host = get(cluster.JM_BIND_HOST) or get(cluster.JM_ADDRESS) or "localhost"
    bind_port = get(cluster.JM_BIND_PORT)
    return "127.0.0.1" if host == "localhost" else host, get(cluster.JM_PORT) if bind_port is None else bind_port
