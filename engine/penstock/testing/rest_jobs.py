"""Jobs that run here with REST beside them, for tests of what people and programs see of a job."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast, final

from penstock.base.clock import SystemClock
from penstock.common.configuration import Configuration
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.execution import JobControl, using
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster
from penstock.local.cluster import LocalCluster
from penstock.local.executor import LocalExecutor, LocalJob
from penstock.monitoring.processes import ProcessMeter
from penstock.rest.asking import Cluster
from penstock.rest.client import RestClient
from penstock.rest.server import RestServer


@final
@dataclass(frozen=True, slots=True)
class SeenJob:
    """A running job."""

    job: LocalJob
    rest: RestClient


@contextmanager
def running_with_rest(env: StreamExecutionEnvironment) -> Iterator[SeenJob]:
    """Run what the environment describes; in the end it ends, whether or not all answers were read."""
    address: list[str] = []
    up = threading.Event()

    async def serve(local: LocalCluster, master: JobMaster) -> None:
        loop = asyncio.get_running_loop()
        assert local.workers is not None, "there is a master"
        server = RestServer(
            Cluster(
                job_id=master.job,
                master_now=lambda: master,
                workers=local.workers,
                configuration=local.configuration,
                clock=SystemClock(),
                loop_time=loop.time,
                process=ProcessMeter(),
                shut_down=master.cancel,
            )
        )
        await server.start("127.0.0.1", (0,))
        address.append(server.address)
        up.set()
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    started: list[LocalJob] = []
    inner = LocalExecutor(serve)

    class Executor:
        def submit(self, graph: JobGraph, configuration: Configuration) -> JobControl:
            started.append(inner.submit(graph, configuration))
            return cast(JobControl, started[-1])

    with using(Executor()):
        env.execute_async("seen by rest")
    try:
        assert up.wait(20), "REST came up beside the job"
        yield SeenJob(started[0], RestClient(address[0]))
    finally:
        for job in started:
            job.cluster.stop()
