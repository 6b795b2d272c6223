"""Answers about the job: its states, its vertices with their counters, its plan, its settings, its failures."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from penstock.base.ids import SubtaskId
from penstock.common.job_status import JobStatus
from penstock.common.options import jobs
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job import ExceptionEntry
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.lifecycle import Execution, TaskStatus
from penstock.jobmanager.timeline import AttemptTimes
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rpc.messages import TaskMetrics

NEVER: Final = -1
"""How Flink writes the time of what has not happened."""
_EXCEPTIONS_DEFAULT: Final = 20
_JOB_STATES: Final = ("INITIALIZING", *(status.name for status in JobStatus))
_TASK_STATES: Final = (
    "CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING",
    "FINISHED", "CANCELING", "CANCELED", "FAILED", "RECONCILING",
)  # fmt: skip
_JOB_FAILED: Final = "penstock.base.errors.JobFailed"
_EXCEPTION_LINE: Final = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.MULTILINE)


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
    master, now_ms = cluster.master, cluster.clock.now_ms()
    counts = _task_counts(_executions(master))
    end_ms = _end_ms(master)
    overview = {
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
    return {"jobs": [overview]}


def job_details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid"""
    master, now_ms = cluster.job(asked), cluster.clock.now_ms()
    end_ms = _end_ms(master)
    vertices = [_vertex(master, vertex, now_ms) for vertex in master.graph.vertices]
    entered_ms = {status.name: at_ms for status, at_ms in master.status_ms.items()}
    timestamps = dict.fromkeys(_JOB_STATES, 0) | {"INITIALIZING": master.started_ms} | entered_ms
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
        "timestamps": timestamps,
        "vertices": vertices,
        "status-counts": dict.fromkeys(_TASK_STATES, 0) | Counter(vertex["status"] for vertex in vertices),
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
            "user-config": {} if parameters is None else dict(parameters),
        },
    }


def job_exceptions(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/exceptions, newest first"""
    master = cluster.job(asked)
    shown_max = asked.number("maxExceptions", _EXCEPTIONS_DEFAULT)
    entries = [_exception(cluster, master, entry) for entry in reversed(master.exceptions)]
    return {"exceptionHistory": {"entries": entries[:shown_max], "truncated": len(entries) > shown_max}}


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
    if master.status in (JobStatus.FINISHED, JobStatus.FAILED):
        raise Refused(409, f"Job {master.job} has ended {master.status.name}: it cannot be cancelled")
    if not master.status.is_globally_terminal_state():
        master.cancel()
    return {}


def _executions(master: JobMaster, vertex: JobVertex | None = None) -> list[Execution]:
    if master.lifecycle is None:
        vertices = master.graph.vertices if vertex is None else [vertex]
        return [Execution(SubtaskId(v.id, index)) for v in vertices for index in range(v.parallelism)]
    every = master.lifecycle.executions
    if vertex is None:
        return list(every.values())
    return [every[SubtaskId(vertex.id, index)] for index in range(vertex.parallelism)]


def _task_state(execution: Execution) -> str:
    # What is scheduled here waits, initialized, for the others of its region.
    return "INITIALIZING" if execution.status is TaskStatus.SCHEDULED else execution.status.value


def _task_counts(executions: Iterable[Execution]) -> dict[str, int]:
    return dict.fromkeys(_TASK_STATES, 0) | Counter(map(_task_state, executions))


def _aggregate(counts: dict[str, int]) -> str:
    """One state for all subtasks of a vertex, by Flink's rule."""
    for state in ("FAILED", "CANCELING", "CANCELED", "INITIALIZING", "RUNNING"):
        if counts[state]:
            return state
    if counts["FINISHED"]:
        return "FINISHED" if counts["FINISHED"] == sum(counts.values()) else "RUNNING"
    return "CREATED"


def _times(master: JobMaster, execution: Execution) -> AttemptTimes | None:
    times = master.timeline.attempts.get(execution.subtask)
    return times if times is not None and times.attempt == execution.attempt else None


def _vertex(master: JobMaster, vertex: JobVertex, now_ms: int) -> dict[str, Any]:
    executions = _executions(master, vertex)
    counts = _task_counts(executions)
    times = [found for execution in executions if (found := _times(master, execution)) is not None]
    start_ms = min((t.start_ms for t in times if t.start_ms is not None), default=NEVER)
    ends = [t.end_ms for t in times if t.end_ms is not None]
    end_ms = max(ends) if ends and len(ends) == len(executions) else NEVER
    return {
        "id": vertex.id,
        "slotSharingGroupId": hashlib.md5(vertex.slot_sharing_group.encode(), usedforsecurity=False).hexdigest(),
        "name": vertex.name,
        "maxParallelism": vertex.max_parallelism,
        "parallelism": vertex.parallelism,
        "status": _aggregate(counts),
        "start-time": start_ms,
        "end-time": end_ms,
        "duration": NEVER if start_ms == NEVER else (now_ms if end_ms == NEVER else end_ms) - start_ms,
        "tasks": counts,
        "metrics": _metrics(master, executions),
    }


def _metrics(master: JobMaster, executions: Iterable[Execution]) -> dict[str, Any]:
    found: list[TaskMetrics] = []
    complete = True
    for execution in executions:
        metrics = master.metrics.get(execution.subtask)
        if metrics is not None and metrics.attempt == execution.id:
            found.append(metrics)
        else:
            complete = False
    return {
        "read-bytes": sum(m.bytes_in for m in found),
        "read-bytes-complete": complete,
        "write-bytes": sum(m.bytes_out for m in found),
        "write-bytes-complete": complete,
        "read-records": sum(m.records_in for m in found),
        "read-records-complete": complete,
        "write-records": sum(m.records_out for m in found),
        "write-records-complete": complete,
        "accumulated-backpressured-time": sum(m.backpressured_ms for m in found),
        "accumulated-idle-time": sum(m.idle_ms for m in found),
        "accumulated-busy-time": float(sum(m.busy_ms for m in found)),
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


def _exception(cluster: Cluster, master: JobMaster, entry: ExceptionEntry) -> dict[str, Any]:
    failure = entry.failure
    found: dict[str, Any] = {
        "exceptionName": _exception_name(failure.traceback) or failure.type or _JOB_FAILED,
        "stacktrace": "\n".join(part for part in (failure.message, failure.traceback) if part),
        "timestamp": entry.at_ms,
        "failureLabels": {},
        "concurrentExceptions": [],
    }
    if failure.subtask is not None:
        vertex = master.graph.vertex(failure.subtask.vertex)
        found["taskName"] = f"{vertex.name} ({failure.subtask.index + 1}/{vertex.parallelism})"
    if failure.worker is not None:
        home = cluster.workers.home(failure.worker)
        found["taskManagerId"] = failure.worker.rpartition("/")[0]
        if home is not None:
            found["endpoint"] = home.registration.host
    return found


def _exception_name(traceback: str) -> str:
    names = _EXCEPTION_LINE.findall(traceback)
    return names[-1] if names else ""


def _job_type(master: JobMaster) -> str:
    return "BATCH" if master.configuration.get(jobs.RUNTIME_MODE) == "BATCH" else "STREAMING"


def _end_ms(master: JobMaster) -> int:
    return max((at for status, at in master.status_ms.items() if status.is_globally_terminal_state()), default=NEVER)


def _last_moves(master: JobMaster) -> list[int]:
    return [max(times.entered_ms.values()) for times in master.timeline.attempts.values()]
