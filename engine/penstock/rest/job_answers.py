"""Answers about the job: its states, its vertices with their counters, its plan, its settings, its result."""

import hashlib
from typing import Any, Final, final

import msgspec

from penstock.base.ids import SubtaskId
from penstock.base.masking import masked, masked_entries
from penstock.common.job_status import JobStatus
from penstock.common.options import jobs
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.exception_answers import JOB_FAILED
from penstock.rest.executions import (
    NEVER,
    aggregate_state,
    attempts_of,
    counts_of,
    io_metrics,
    newest_attempt,
    span,
)

_JOB_STATES: Final = ("INITIALIZING", *(status.name for status in JobStatus))
_APPLICATION_STATUS: Final = {
    JobStatus.FINISHED: "SUCCEEDED",
    JobStatus.FAILED: "FAILED",
    JobStatus.CANCELED: "CANCELED",
}


def state_of(master: JobMaster) -> str:
    """Flink's name for how the job is now."""
    if master.lifecycle is None and not master.result.done():
        return "INITIALIZING"
    return master.status.name


def jobs_with_states(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs"""
    return {"jobs": [{"id": cluster.master.job, "status": state_of(cluster.master)}]}


def jobs_overview(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/overview"""
    return {"jobs": [job_summary(cluster)]}


def job_summary(cluster: Cluster) -> dict[str, Any]:
    """The job in a few fields."""
    master, now_ms = cluster.master, cluster.clock.now_ms()
    counts = counts_of(
        newest_attempt(master, SubtaskId(vertex.id, index)).state
        for vertex in master.graph.vertices
        for index in range(vertex.parallelism)
    )
    end_ms = end_ms_of(master)
    return {
        "jid": master.job,
        "name": master.graph.name,
        "start-time": master.started_ms,
        "end-time": end_ms,
        "duration": (now_ms if end_ms == NEVER else end_ms) - master.started_ms,
        "state": state_of(master),
        "last-modification": max([*master.status_ms.values(), *_last_moves(master)]),
        "tasks": {"total": sum(counts.values())} | {state.lower(): count for state, count in counts.items()},
        "pending-operators": 0,
        "jobType": _job_type(master),
        "schedulerType": "Default",
    }


def job_details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid"""
    master, now_ms = cluster.job(asked), cluster.clock.now_ms()
    end_ms = end_ms_of(master)
    vertices = [_vertex(master, vertex, now_ms) for vertex in master.graph.vertices]
    return {
        "jid": master.job,
        "name": master.graph.name,
        "isStoppable": False,
        "state": state_of(master),
        "job-type": _job_type(master),
        "schedulerType": "Default",
        "application-id": master.job,
        "start-time": master.started_ms,
        "end-time": end_ms,
        "duration": (now_ms if end_ms == NEVER else end_ms) - master.started_ms,
        "maxParallelism": master.configuration.get(jobs.MAX_PARALLELISM),
        "now": now_ms,
        "timestamps": timestamps_of(master),
        "vertices": vertices,
        "status-counts": counts_of(vertex["status"] for vertex in vertices),
        "plan": _plan(master),
        "pending-operators": 0,
    }


def job_status(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/status"""
    return {"status": state_of(cluster.job(asked))}


def job_plan(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/plan"""
    return {"plan": _plan(cluster.job(asked))}


def job_config(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/config"""
    master = cluster.job(asked)
    configuration = master.configuration
    parameters = configuration.get(jobs.GLOBAL_JOB_PARAMETERS)
    return {
        "jid": master.job,
        "name": master.graph.name,
        "execution-config": {
            "restart-strategy": configuration.get(jobs.RESTART_STRATEGY) or "Cluster level default restart strategy",
            "job-parallelism": configuration.get(jobs.PARALLELISM),
            "object-reuse-mode": configuration.get(jobs.OBJECT_REUSE),
            "user-config": {} if parameters is None else masked_entries(parameters),
        },
    }


def job_result(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/execution-result"""
    master = cluster.job(asked)
    if not master.result.done() or master.result.cancelled() or master.result.exception() is not None:
        return {"status": {"id": "IN_PROGRESS"}}
    result = master.result.result()
    found: dict[str, Any] = {
        "id": master.job,
        "application-status": _APPLICATION_STATUS.get(result.status, "UNKNOWN"),
        "accumulator-results": {},
        "net-runtime": result.runtime_ms,
    }
    if result.failure is not None:
        text = "\n".join(part for part in (result.failure.message, result.failure.traceback) if part)
        found["failure-cause"] = {"class": result.failure.type or JOB_FAILED, "stack-trace": masked(text)}
    return {"status": {"id": "COMPLETED"}, "job-execution-result": found}


@final
class _Heartbeat(msgspec.Struct):
    expiredTimestamp: int


def client_heartbeat(cluster: Cluster, asked: Asked) -> Any:
    """PATCH /jobs/:jobid/clientHeartbeat; no job of ours depends on its client."""
    cluster.job(asked)
    asked.read(_Heartbeat)
    return {}


def cancel_job(cluster: Cluster, asked: Asked) -> Any:
    """PATCH /jobs/:jobid?mode=cancel"""
    master = cluster.job(asked)
    mode = asked.query.get("mode", "cancel").lower()
    if mode == "stop":
        raise Refused(
            308, 'the termination mode "stop" is gone: to stop with a savepoint, POST to /jobs/:jobid/stop instead'
        )
    if mode != "cancel":
        raise Refused(400, f"the query parameter mode is cancel or stop; found {mode!r}")
    return cancel(master)


def cancel(master: JobMaster) -> Any:
    """Have the job cancelled, if it still can be."""
    if master.status in (JobStatus.FINISHED, JobStatus.FAILED):
        raise Refused(409, f"Job {master.job} has ended {master.status.name}: it cannot be cancelled")
    if not master.status.is_globally_terminal_state():
        master.cancel()
    return {}


def _vertex(master: JobMaster, vertex: JobVertex, now_ms: int) -> dict[str, Any]:
    attempts = attempts_of(master, vertex)
    counts = counts_of(attempt.state for attempt in attempts)
    return {
        "id": vertex.id,
        "slotSharingGroupId": hashlib.md5(vertex.slot_sharing_group.encode(), usedforsecurity=False).hexdigest(),
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": aggregate_state(counts),
        **span(attempts, now_ms),
        "tasks": counts,
        "metrics": io_metrics(attempts),
    }


def _plan(master: JobMaster) -> dict[str, Any]:
    graph = master.graph
    nodes = []
    for vertex in graph.vertices:
        inputs = [
            {"num": number, "id": edge.source, "ship_strategy": edge.exchange.value, "exchange": "pipelined_bounded"}
            for number, edge in enumerate(graph.inputs(vertex.id))
        ]
        node = {
            "id": vertex.id,
            "parallelism": vertex.parallelism,
            "operator": "",
            "operator_strategy": "",
            "description": vertex.name,
            "optimizer_properties": {},
        }
        nodes.append(node | ({"inputs": inputs} if inputs else {}))
    return {"jid": master.job, "name": graph.name, "type": _job_type(master), "nodes": nodes}


def _job_type(master: JobMaster) -> str:
    return "BATCH" if master.configuration.get(jobs.RUNTIME_MODE) == "BATCH" else "STREAMING"


def end_ms_of(master: JobMaster) -> int:
    """When the job ended; -1 while it has not."""
    return max((at for status, at in master.status_ms.items() if status.is_globally_terminal_state()), default=NEVER)


def timestamps_of(master: JobMaster) -> dict[str, int]:
    """When the job came into each of its states; 0 for those it never was in."""
    entered_ms = {status.name: at_ms for status, at_ms in master.status_ms.items()}
    return dict.fromkeys(_JOB_STATES, 0) | {"INITIALIZING": master.started_ms} | entered_ms


def _last_moves(master: JobMaster) -> list[int]:
    return [max(times.entered_ms.values()) for times in master.timeline.attempts.values()]
