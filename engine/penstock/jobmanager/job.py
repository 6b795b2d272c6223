"""A job as its master is given it and as it ends. Values only."""

from typing import final

import msgspec

from penstock.base.ids import JobId
from penstock.common.configuration import Configuration
from penstock.common.job_status import JobStatus
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.lifecycle_protocol import Failure


@final
class JobResult(msgspec.Struct, frozen=True):
    """How a job ended."""

    status: JobStatus
    failure: Failure | None
    runtime_ms: int


@final
class ExceptionEntry(msgspec.Struct, frozen=True):
    """One entry of the exceptions history."""

    at_ms: int
    failure: Failure


@final
class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a JobManager is given to run."""

    job: JobId
    graph: JobGraph
    configuration: Configuration
    """The cluster's configuration with the job's own over it."""
