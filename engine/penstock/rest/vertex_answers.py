"""Answers about one vertex: its subtasks, their attempts and times, and the TaskManagers that they run on."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from penstock.base.ids import SubtaskId
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.executions import (
    Attempt,
    aggregate_state,
    attempt_of,
    attempts_of,
    counts_of,
    io_metrics,
    newest_attempt,
    place,
    span,
)
from penstock.rest.summary import quantile

_AGGREGATED: Final = (
    "read-bytes", "write-bytes", "read-records", "write-records",
    "accumulated-backpressured-time", "accumulated-busy-time", "accumulated-idle-time",
)  # fmt: skip


def vertex_details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid"""
    master, vertex = cluster.vertex(asked)
    now_ms = cluster.clock.now_ms()
    subtasks = [attempt_details(cluster, attempt, now_ms) for attempt in attempts_of(master, vertex)]
    return {
        "id": vertex.id,
        "name": vertex.name,
        "parallelism": vertex.parallelism,
        "maxParallelism": vertex.max_parallelism,
        "now": now_ms,
        "subtasks": subtasks,
        "aggregated": _aggregated(subtasks),
    }


def subtask_details(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex"""
    master, _, subtask = subtask_of(cluster, asked)
    return attempt_details(cluster, newest_attempt(master, subtask), cluster.clock.now_ms())


def subtask_attempt(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt"""
    master, vertex, subtask = subtask_of(cluster, asked)
    number = asked.path_number("attempt", "attempt")
    attempt = attempt_of(master, subtask, number)
    if attempt is None:
        raise Refused(404, f"subtask {subtask.index} of {vertex.name} has no attempt {number} that is remembered")
    return attempt_details(cluster, attempt, cluster.clock.now_ms())


def subtask_times(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasktimes"""
    master, vertex = cluster.vertex(asked)
    now_ms = cluster.clock.now_ms()
    subtasks = [
        {
            "subtask": attempt.subtask.index,
            "endpoint": place(cluster, attempt.worker)[1],
            "duration": span([attempt], now_ms)["duration"],
            "timestamps": attempt.timestamps(),
        }
        for attempt in attempts_of(master, vertex)
    ]
    return {"id": vertex.id, "name": vertex.name, "now": now_ms, "subtasks": subtasks}


def vertex_taskmanagers(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/taskmanagers"""
    master, vertex = cluster.vertex(asked)
    now_ms = cluster.clock.now_ms()
    by_place: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts_of(master, vertex):
        by_place.setdefault(place(cluster, attempt.worker), []).append(attempt)
    managers = [_on_taskmanager(cluster, where, attempts, now_ms) for where, attempts in by_place.items()]
    return {"id": vertex.id, "name": vertex.name, "now": now_ms, "taskmanagers": managers}


def subtask_of(cluster: Cluster, asked: Asked) -> tuple[JobMaster, JobVertex, SubtaskId]:
    """The subtask that the path names."""
    master, vertex = cluster.vertex(asked)
    index = asked.path_number("subtaskindex", "subtask's index")
    if index >= vertex.parallelism:
        raise Refused(404, f"{vertex.name} has no subtask {index}: its parallelism is {vertex.parallelism}")
    return master, vertex, SubtaskId(vertex.id, index)


def attempt_details(cluster: Cluster, attempt: Attempt, now_ms: int) -> dict[str, Any]:
    """One attempt of a subtask."""
    manager, host = place(cluster, attempt.worker)
    ran = span([attempt], now_ms)
    return {
        "subtask": attempt.subtask.index,
        "status": attempt.state,
        "attempt": attempt.number,
        "endpoint": host,
        **ran,
        "start_time": ran["start-time"],
        "metrics": io_metrics([attempt]),
        "taskmanager-id": manager,
        "status-duration": attempt.durations(now_ms),
    }


def _on_taskmanager(cluster: Cluster, where: tuple[str, str], attempts: list[Attempt], now_ms: int) -> dict[str, Any]:
    manager, host = where
    counts = counts_of(attempt.state for attempt in attempts)
    return {
        "endpoint": host,
        "taskmanager-id": manager,
        "status": aggregate_state(counts),
        **span(attempts, now_ms),
        "metrics": io_metrics(attempts),
        "status-counts": counts,
        "aggregated": _aggregated([attempt_details(cluster, attempt, now_ms) for attempt in attempts]),
    }


def _aggregated(subtasks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    subtasks = list(subtasks)
    states = subtasks[0]["status-duration"]
    return {
        "metrics": {name: _spread(int(each["metrics"][name]) for each in subtasks) for name in _AGGREGATED},
        "status-duration": {name: _spread(each["status-duration"][name] for each in subtasks) for name in states},
    }


def _spread(numbers: Iterable[int]) -> dict[str, int]:
    ordered = sorted(numbers)
    total = sum(ordered)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "avg": total // len(ordered),
        "sum": total,
        "median": int(quantile(ordered, 0.50)),
        "p25": int(quantile(ordered, 0.25)),
        "p75": int(quantile(ordered, 0.75)),
        "p95": int(quantile(ordered, 0.95)),
    }
