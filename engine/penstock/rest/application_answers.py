"""Answers about applications. There is one: the job that the JobManager drives, under the job's own id."""

from typing import Any, Final

from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.cluster_answers import jobmanager_config
from penstock.rest.exception_answers import JOB_FAILED, exception_info
from penstock.rest.executions import NEVER
from penstock.rest.job_answers import cancel, end_ms_of, job_summary, state_of, timestamps_of

_STATES: Final = {
    "INITIALIZING": "CREATED",
    "CREATED": "CREATED",
    "FAILING": "FAILING",
    "FAILED": "FAILED",
    "CANCELLING": "CANCELING",
    "CANCELED": "CANCELED",
    "FINISHED": "FINISHED",
}
"""An application runs while its job does, restarts included."""
_SHOWN_MAX: Final = 20


def applications_overview(cluster: Cluster, asked: Asked) -> Any:
    """GET /applications/overview"""
    return {"applications": [_summary(cluster) | {"jobs": {state_of(cluster.master): 1}}]}


def application_details(cluster: Cluster, asked: Asked) -> Any:
    """GET /applications/:applicationid"""
    _check(cluster, asked)
    job_ms = timestamps_of(cluster.master)
    created_ms, running_ms = job_ms["CREATED"] or job_ms["INITIALIZING"], job_ms["RUNNING"]
    timestamps = {name: job_ms[state] for state, name in _STATES.items()} | {
        "CREATED": created_ms,
        "RUNNING": running_ms,
    }
    return _summary(cluster) | {"timestamps": timestamps, "jobs": [job_summary(cluster)]}


def application_exceptions(cluster: Cluster, asked: Asked) -> Any:
    """GET /applications/:applicationid/exceptions"""
    _check(cluster, asked)
    master = cluster.master
    entries = []
    for entry in list(reversed(master.exceptions))[:_SHOWN_MAX]:
        found = exception_info(cluster, master, entry)
        entries.append(
            {
                "exceptionName": found.get("exceptionName", JOB_FAILED),
                "stacktrace": found["stacktrace"],
                "timestamp": found["timestamp"],
                "jobId": master.job,
            }
        )
    return {"exceptionHistory": {"entries": entries}}


def application_config(cluster: Cluster, asked: Asked) -> Any:
    """GET /applications/:applicationid/jobmanager/config"""
    _check(cluster, asked)
    return jobmanager_config(cluster, asked)


def cancel_application(cluster: Cluster, asked: Asked) -> Any:
    """POST /applications/:applicationid/cancel"""
    _check(cluster, asked)
    return cancel(cluster.master)


def _check(cluster: Cluster, asked: Asked) -> None:
    found = asked.hexadecimal("applicationid", "application")
    if found != cluster.master.job:
        raise Refused(404, f"Application {found} not found: this JobManager runs application {cluster.master.job}")


def _summary(cluster: Cluster) -> dict[str, Any]:
    master, now_ms = cluster.master, cluster.clock.now_ms()
    end_ms = end_ms_of(master)
    return {
        "id": master.job,
        "name": master.graph.name,
        "start-time": master.started_ms,
        "end-time": end_ms,
        "duration": (now_ms if end_ms == NEVER else end_ms) - master.started_ms,
        "status": _STATES.get(state_of(master), "RUNNING"),
    }
