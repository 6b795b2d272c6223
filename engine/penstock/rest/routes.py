"""Which request is answered by what: paths and methods of Flink's REST, version 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from penstock.rest import checkpoint_answers, cluster_answers, job_answers
from penstock.rest.asking import Asked, Cluster

Answerer = Callable[[Cluster, Asked], Any]
"""Gives what becomes JSON, or Content; or a coroutine of these, where others have to be asked first. Never blocks: it
runs on the JobManager's loop."""


@final
@dataclass(frozen=True, slots=True)
class Route:
    """One request that is known."""

    method: str
    path: str
    """Variable parts in braces, as in the contract."""
    answer: Answerer
    status: int = 200

    @property
    def names(self) -> tuple[str, ...]:
        """What the variable parts are called, in their order."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))


ROUTES: Final = (
    Route("GET", "/config", cluster_answers.dashboard_config),
    Route("GET", "/overview", cluster_answers.overview),
    Route("GET", "/jobs", job_answers.jobs_with_states),
    Route("GET", "/jobs/overview", job_answers.jobs_overview),
    Route("GET", "/jobs/{jobid}", job_answers.job_details),
    Route("PATCH", "/jobs/{jobid}", job_answers.cancel_job, status=202),
    Route("GET", "/jobs/{jobid}/config", job_answers.job_config),
    Route("GET", "/jobs/{jobid}/plan", job_answers.job_plan),
    Route("GET", "/jobs/{jobid}/status", job_answers.job_status),
    Route("GET", "/jobs/{jobid}/exceptions", job_answers.job_exceptions),
    Route("GET", "/jobs/{jobid}/checkpoints", checkpoint_answers.statistics),
    Route("GET", "/jobs/{jobid}/checkpoints/config", checkpoint_answers.config),
    Route("GET", "/jobs/{jobid}/checkpoints/details/{checkpointid}", checkpoint_answers.details),
    Route("GET", "/taskmanagers", cluster_answers.taskmanagers),
    Route("GET", "/taskmanagers/{taskmanagerid}", cluster_answers.taskmanager),
    Route("GET", "/jobmanager/config", cluster_answers.jobmanager_config),
    Route("DELETE", "/cluster", cluster_answers.shut_down),
)
