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
from random import Random
from typing import Any, Final, NoReturn, final

import msgspec

from penstock.base.clock import SystemClock
from penstock.base.folders import own_folder
from penstock.base.ids import JobId, WorkerId
from penstock.base.logs import log_for, log_to_files
from penstock.common.configuration import Configuration
from penstock.common.log_places import jobmanager_logs
from penstock.graph.job_graph import JobGraph
from penstock.graph.loading import install_prelude
from penstock.jobmanager.job import JobResult, JobSpec
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import READ_TIMEOUT_S
from penstock.jobmanager.workers import Workers
from penstock.local.endpoints import Endpoints, Host
from penstock.rpc.messages import WorkerMessage
from penstock.storage import MemoryStore, ObjectStore, Opening, S3Settings
from penstock.taskmanager.environment import checkpoint_store

log: Final = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@final
class Suspended(msgspec.Struct, frozen=True):
    """The process was told to stop; the job was left as it is, for a successor."""

    by: signal.Signals


Outcome = JobResult | Suspended


@final
class JobManagerOrder(msgspec.Struct, frozen=True, kw_only=True):
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
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._stopped: asyncio.Future[signal.Signals] = loop.create_future()
        self._deposed = deposed
        self._shut_down = asyncio.Event()
        self._master: JobMaster | None = None
        """Once it has begun."""
        self._folder = own_folder("jobmanager")
        host = Host(
            master=lambda: self._seen,
            workers_changed=self._workers_changed,
            on_worker=self._on_worker,
            shut_down=self._cancel_and_end,
        )
        self._endpoints = Endpoints(order.job, order.cluster, order.configuration, order.secret, host)
        self._seen: JobMaster = new_master(
            order.job,
            order.graph,
            order.configuration,
            Stores.of(order.configuration),
            self._endpoints.workers,
            owner=f"{socket.gethostname()}-{secrets.token_hex(4)}",
            deposed=self._be_deposed,
        )

    async def run(self) -> Outcome:
        """Run the job to its end or to a stop. LeadershipLost when another one has come while it was to begin."""
        for number in _STOPPING:
            self._loop.add_signal_handler(number, self._stop, number)
        order = self._order
        log_for(order.job)
        log_to_files(jobmanager_logs(order.cluster, order.job), rotate=True, printed=True)
        try:
            where = await self._endpoints.open()
            self._announce(f"job {order.graph.name} has id {order.job}; {where}")
            outcome = await self._drive(self._seen)
            if isinstance(outcome, JobResult):
                await self._end(outcome)
            return outcome
        finally:
            self._folder.remove()
            # TaskManagers that go because we do are no failure of the job.
            self._master = None
            self._seen.close()
            await self._endpoints.close()

    async def _drive(self, master: JobMaster) -> Outcome:
        # Split enumerators are the user's code, and their state may hold objects of the script's own classes.
        await self._loop.run_in_executor(None, install_prelude, self._order.graph, self._folder.path)
        starting = asyncio.create_task(master.start())
        await first([starting, self._stopped])
        if not starting.done():
            return Suspended(self._stopped.result())
        starting.result()
        if master.result.done():
            self._announce(f"job {self._order.job} has ended before: there is nothing to do")
        self._master = master
        master.workers_changed()
        await first([master.result, self._stopped])
        if master.result.done():
            return master.result.result()
        return Suspended(self._stopped.result())

    async def _end(self, result: JobResult) -> None:
        """The job is over: send the TaskManagers home, let people read what came of it."""
        await self._endpoints.send_home(f"job {self._order.job} is {result.status.name}")
        if self._master is not None:
            told = asyncio.create_task(self._master.operations.until_read(READ_TIMEOUT_S))
            await first([told, self._stopped])
            told.cancel()
        if self._order.linger_s and not self._shut_down.is_set() and not self._stopped.done():
            self._announce(f"job {result.status.name}; REST answers for {self._order.linger_s:g} s more")
            over = asyncio.create_task(self._shut_down.wait())
            await first([over, self._stopped], timeout_s=self._order.linger_s)
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


async def first(futures: list[asyncio.Future[Any]], timeout_s: float | None = None) -> None:
    """Wait until one of them is done."""
    await asyncio.wait(futures, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


@final
class Stores(msgspec.Struct, frozen=True):
    """Where a job's checkpoints are, and how any other address is opened."""

    checkpoints: ObjectStore
    open_root: Callable[[str], ObjectStore]

    @staticmethod
    def of(configuration: Configuration) -> "Stores":
        """As the job's configuration says."""
        opening = Opening(S3Settings.from_configuration(configuration))
        store = checkpoint_store(configuration, opening) or MemoryStore(SystemClock())
        return Stores(store, opening.store)


def new_master(
    job: JobId,
    graph: JobGraph,
    configuration: Configuration,
    stores: Stores,
    workers: Workers,
    *,
    owner: str,
    deposed: Callable[[str], None],
) -> JobMaster:
    """The master of a job; nothing has happened yet."""
    return JobMaster(
        JobSpec(job=job, graph=graph, configuration=configuration),
        stores.checkpoints,
        stores.open_root,
        workers,
        owner=owner,
        clock=SystemClock(),
        rng=Random(),
        deliver=lambda payload: None,
        deposed=deposed,
    )
