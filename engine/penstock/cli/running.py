"""Runs a script in this process on a local cluster, with what people see of it beside: the work of `penstock run`."""

import asyncio
import importlib
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final, Literal, NoReturn, cast, final

from penstock import pyflink_hook
from penstock.base.clock import SystemClock
from penstock.base.errors import JobDefinitionError, JobFailed, PenstockError
from penstock.base.logs import configure_own_logging
from penstock.base.threads import told_when_slow
from penstock.base.tracebacks import users_line
from penstock.cli import ending
from penstock.cli.detaching import Detached, detach
from penstock.cli.ending import interruptible, leave_soon, say
from penstock.cli.progress import Progress, look
from penstock.cli.views import PlainView, QuietView, View, live_view
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing, cluster, jobs
from penstock.common.options import penstock as own
from penstock.datastream.execution import JobControl, using
from penstock.datastream.script import ScriptFailed, run
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster
from penstock.local.cluster import LocalCluster
from penstock.local.executor import LocalExecutor, LocalJob
from penstock.rest.listening import check_free, rest_host, rest_ports
from penstock.taskmanager.zygote_process import ZygoteProcess

_LOOK_S: Final = 0.25
_Close = Callable[[], Coroutine[None, None, None]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RunOrder:
    """What `penstock run` was told."""

    script: Path
    arguments: tuple[str, ...]
    cluster: Configuration
    flags: Configuration
    parallelism: int | None
    rest_port: int | None
    detached: bool
    zygote: ZygoteProcess | None
    """Started before all else, for the first job; none when detached, as it would be left behind."""
    view: Literal["auto", "plain", "quiet"]


@final
class _Terminated(KeyboardInterrupt):
    """SIGTERM: whatever Ctrl-C does."""


def run_here(order: RunOrder) -> int:
    """Run the script and every job that it starts; the exit code. Nothing that was started is left."""
    detached = detach(order.script.stem) if order.detached else None
    interruptible()
    signal.signal(signal.SIGTERM, _terminate)
    pyflink_hook.install()
    # The view says what happens to the job; the log is for what must not get lost.
    configure_own_logging(
        {own.LOG_LEVEL.key: "ERROR"} | order.cluster.to_dict() | order.flags.to_dict(), process="cluster"
    )
    given = Configuration(order.cluster)
    if order.parallelism is not None:
        given.set(jobs.PARALLELISM, order.parallelism)
    given.add_all(order.flags)
    view = _view(order)
    executor = _Executor(order.flags, LocalExecutor(_Beside(order, view, detached), order.zygote))
    try:
        with view, using(executor, given):
            return _run(order, executor)
    except ScriptFailed as error:
        say(error.report.rstrip())
        return ending.FAILED
    except JobFailed as error:
        say(f"penstock: {error}".rstrip())
        return ending.FAILED
    except PenstockError as error:
        line = users_line(error, order.script)
        say(f"penstock: {error}" + (f"\n  at {line}" if line else ""))
        return ending.FAILED
    except _Terminated:
        say(f"penstock: terminated{_cancelled(executor)}")
        leave_soon(ending.TERMINATED)
        return ending.TERMINATED
    except KeyboardInterrupt:
        say(f"penstock: interrupted{_cancelled(executor)}")
        leave_soon(ending.INTERRUPTED)
        return ending.INTERRUPTED


def _run(order: RunOrder, executor: "_Executor") -> int:
    try:
        if order.rest_port is not None:
            # Now, because the job may have ended before REST has come up beside it.
            check_free(rest_host(Configuration(order.cluster).add_all(order.flags)), (order.rest_port,))
        run(order.script, order.arguments)
        for job in executor.started:
            if not job.ended and not job.cancelled:
                job.wait()
    except SystemExit as error:
        if isinstance(error.code, str):
            say(error.code)
        return error.code if isinstance(error.code, int) else ending.FAILED
    finally:
        executor.close()
    if not executor.started:
        raise JobDefinitionError(f"{order.script} ended without a job: it never called execute() on its environment")
    return 0


def _cancelled(executor: "_Executor") -> str:
    return "; the job was cancelled" if executor.started else ""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated


def _waiting(directory: str | None) -> str:
    folder = "" if directory is None else f", its checkpoint folder {directory} may not have answered"
    return f"penstock: the job has not started yet{folder}"


def _view(order: RunOrder) -> View:
    if order.view == "quiet":
        return QuietView(say)
    if order.view == "auto" and sys.stderr.isatty():
        return live_view()
    return PlainView(say)


@final
class _Executor:
    """The local one, with the flags of the command line over each job's settings."""

    def __init__(self, flags: Configuration, inner: LocalExecutor) -> None:
        self.started: list[LocalJob] = []
        self._flags = flags
        self._inner = inner

    def submit(self, graph: JobGraph, configuration: Configuration) -> JobControl:
        settings = Configuration(configuration).add_all(self._flags)
        for sentence in settings.check().sentences():
            say(f"penstock: {sentence}")
        with told_when_slow(lambda: say(_waiting(settings.get(checkpointing.DIRECTORY)))):
            job = self._inner.submit(graph, settings)
        self.started.append(job)
        return cast(JobControl, job)

    def close(self) -> None:
        """End what waits for a next job, and jobs that nobody waits for."""
        for job in self.started:
            job.abandon()
        self._inner.close()


@final
class _Beside:
    """What runs beside each job on its cluster's loop: looks for the view, and REST if it was asked for."""

    def __init__(self, order: RunOrder, view: View, detached: Detached | None) -> None:
        self._order = order
        self._view = view
        self._detached = detached
        self._clock = SystemClock()

    async def __call__(self, local: LocalCluster, master: JobMaster) -> None:
        loop = asyncio.get_running_loop()
        close = await self._serve(local, master, loop)
        try:
            while True:
                self._view.show(self._look(master, loop))
                await asyncio.sleep(_LOOK_S)
        finally:
            self._view.show(self._look(master, loop))
            await close()

    def _look(self, master: JobMaster, loop: asyncio.AbstractEventLoop) -> Progress:
        return look(master, master.status.name, loop.time(), self._clock.now_ms())

    async def _serve(self, local: LocalCluster, master: JobMaster, loop: asyncio.AbstractEventLoop) -> _Close:
        configuration = Configuration(local.configuration)
        if self._order.rest_port is not None:
            configuration.set(cluster.REST_BIND_PORT, (self._order.rest_port,))
        elif self._detached is not None:
            if not configuration.contains(cluster.REST_BIND_PORT) and not configuration.contains(cluster.REST_PORT):
                configuration.set(cluster.REST_BIND_PORT, (0,))
        else:
            return _nothing
        # In a thread: it takes a quarter of a second, in which the job's first records flow already.
        await loop.run_in_executor(None, importlib.import_module, "penstock.rest.server")
        from penstock.monitoring.processes import ProcessMeter
        from penstock.rest.asking import Cluster
        from penstock.rest.server import RestServer

        assert local.workers is not None, "there is a master"
        seen = Cluster(
            job_id=master.job,
            master_now=lambda: master,
            workers=local.workers,
            configuration=Configuration(self._order.cluster).add_all(self._order.flags),
            clock=self._clock,
            loop_time=loop.time,
            process=ProcessMeter(),
            shut_down=master.cancel,
        )
        server = RestServer(seen)
        await server.start(rest_host(configuration), rest_ports(configuration))
        if self._detached is not None:
            self._detached.report(master.job, server.address)
        else:
            say(f"job {master.graph.name} ({master.job}): REST answers at {server.address}")
        return server.close


async def _nothing() -> None:
    return None
