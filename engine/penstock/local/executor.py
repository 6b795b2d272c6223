"""What `execute()` does unless told otherwise: run the job on a cluster of this machine, and end with it."""

import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, final

from penstock.base.errors import CheckpointFailed, PenstockError
from penstock.base.ids import JobId
from penstock.base.logs import configure_own_logging, log_to_files
from penstock.common.configuration import Configuration
from penstock.common.job_execution_result import JobExecutionResult
from penstock.common.job_status import JobStatus
from penstock.common.log_places import jobmanager_logs
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.operations import Operation, SavepointRequest
from penstock.local.cluster import LocalCluster, failure_of
from penstock.records.batch import SavepointFormat, StopMode
from penstock.taskmanager.zygote_process import ZygoteProcess

Watch = Callable[[LocalCluster, JobMaster], Coroutine[Any, Any, None]]
"""Something that runs beside the job on the cluster's loop."""

_LOOK_S: Final = 0.1
_CANCEL_TIMEOUT_S: Final = 10.0
log: Final = logging.getLogger(__name__)


@final
class LocalExecutor:
    """Starts a cluster for each job."""

    def __init__(self, watch: Watch | None = None, zygote: ZygoteProcess | None = None) -> None:
        """`zygote`: one that was started already, for the first job."""
        self._watch = watch
        self._zygote = zygote

    def submit(self, graph: JobGraph, configuration: Configuration) -> "LocalJob":
        """Start the job; returns once the cluster is up."""
        configure_own_logging(configuration.to_dict(), process="jobmanager")
        for sentence in configuration.check().sentences():
            log.warning(sentence)
        zygote, self._zygote = self._zygote, None
        cluster = LocalCluster(graph, configuration, zygote=zygote)
        log_to_files(jobmanager_logs(configuration, cluster.job), rotate=True, printed=False)
        watch = self._watch
        if watch is not None:
            cluster.watch = lambda master: watch(cluster, master)
        cluster.start()
        return LocalJob(cluster)

    def close(self) -> None:
        """There will be no more jobs."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.dismiss()


@final
class LocalJob:
    """A job on a cluster of its own."""

    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster
        self.cancelled = False
        """Whether the program has cancelled it, so that its end is no failure of the program's."""

    @property
    def job_id(self) -> JobId:
        return self.cluster.job

    def status(self) -> JobStatus:
        return self.cluster.status()

    def wait(self) -> JobExecutionResult:
        """Block until the job has ended; JobFailed unless it ended well. Ctrl-C cancels it first."""
        try:
            result = self.cluster.wait()
        except KeyboardInterrupt:
            self.abandon()
            raise
        self.cluster.stop()
        print(end="", flush=True)
        if result is None:
            raise PenstockError("the cluster was stopped before the job had ended")
        if result.status is not JobStatus.FINISHED:
            raise failure_of(result)
        return JobExecutionResult(self.cluster.job, result.runtime_ms, {})

    @property
    def ended(self) -> bool:
        """Whether the job and its cluster are over."""
        return self.cluster.ended

    def cancel(self) -> None:
        self.cancelled = True
        try:
            self.cluster.cancel()
        except PenstockError:
            if not self.ended:
                raise

    def trigger_savepoint(self, directory: str | None, format: SavepointFormat) -> str:
        return self._savepoint(SavepointRequest(directory=directory, format=format))

    def stop_with_savepoint(self, directory: str | None, format: SavepointFormat, *, drain: bool) -> str:
        stop: StopMode = "drain" if drain else "suspend"
        return self._savepoint(SavepointRequest(directory=directory, format=format, stop=stop))

    def _savepoint(self, request: SavepointRequest) -> str:
        """Blocks until it is over; the savepoint's path."""
        completed = threading.Event()

        def begin() -> Operation:
            master = self.cluster.master
            if master is None:
                raise PenstockError("the job has not begun yet")
            operation = master.savepoint(request)
            operation.on_completed(completed.set)
            return operation

        operation = self.cluster.call(begin)
        while not completed.wait(_LOOK_S):
            if self.ended and not completed.is_set():
                raise PenstockError("the cluster ended before the savepoint was complete")
        if operation.failure is not None:
            raise CheckpointFailed(operation.failure.message)
        assert operation.location is not None, "what has completed well lies somewhere"
        return operation.location

    def results(self) -> Iterator[bytes]:
        yield from self.cluster.results()
        self.wait()

    def abandon(self) -> None:
        """Cancel the job and end its cluster, however long that takes the job. Nothing is left when this returns."""
        if self.ended:
            return
        with contextlib.suppress(PenstockError, KeyboardInterrupt):
            self.cluster.cancel()
            self.cluster.wait(_CANCEL_TIMEOUT_S)
        self.cluster.stop()
