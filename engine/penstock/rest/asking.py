"""What a REST handler is given and what it may raise: the cluster it looks at, one request, one refusal.

Handlers are plain functions of these; only `penstock.rest.server` knows of HTTP servers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError
from penstock.base.ids import JobId
from penstock.common.configuration import Configuration
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.workers import Workers


@final
class Refused(PenstockError):
    """The request cannot be served; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What REST sees of a JobManager, and the two things that it may ask of it. Read on the JobManager's loop."""

    master: JobMaster
    workers: Workers
    configuration: Configuration
    """The cluster's own: without the job's settings."""
    clock: Clock
    loop_time: Callable[[], float]
    """The loop's time, to which `heard_at` of connections refers."""
    shut_down: Callable[[], None]
    """End the cluster; the job with it."""

    def job(self, asked: "Asked") -> JobMaster:
        """The job that the path names."""
        job = asked.path["jobid"]
        if len(job) != 32 or not set(job) <= set("0123456789abcdefABCDEF"):
            raise Refused(400, f"{job!r} is not a job id: expected 32 hexadecimal digits")
        if JobId(job.lower()) != self.master.job:
            raise Refused(404, f"Job {job} not found: this JobManager drives job {self.master.job}")
        return self.master


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    path: Mapping[str, str]
    """The parts of the path that vary, by name."""
    query: Mapping[str, str]
    body: bytes = b""

    def number(self, name: str, default: int) -> int:
        """A query parameter that is a whole number, 0 or more."""
        text = self.query.get(name)
        if text is None:
            return default
        if not text.isdecimal():
            raise Refused(400, f"the query parameter {name} is a whole number, 0 or more; found {text!r}")
        return int(text)

    def json(self) -> Any:
        """The body as JSON; an empty one is an empty object."""
        try:
            return msgspec.json.decode(self.body) if self.body else {}
        except msgspec.DecodeError as error:
            raise Refused(400, f"the request's body is not JSON: {error}") from error
