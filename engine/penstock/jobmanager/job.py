"""A job as its master is given it and as it ends. Values only."""

from dataclasses import dataclass
from typing import final

from penstock.base.ids import JobId
from penstock.common.configuration import Configuration
from penstock.common.job_status import JobStatus
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.lifecycle_protocol import Failure


@final
@dataclass(frozen=True, slots=True)
class JobResult:
    """How a job ended."""

    status: JobStatus
    failure: Failure | None
    runtime_ms: int


@final
@dataclass(frozen=True, slots=True)
class ExceptionEntry:
    """One entry of the exceptions history."""

    at_ms: int
    failure: Failure


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What a JobManager is given to run."""

    job: JobId
    graph: JobGraph
    configuration: Configuration
    """The cluster's configuration with the job's own over it."""
