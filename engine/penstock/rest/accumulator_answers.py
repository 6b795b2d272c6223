"""Answers about accumulators: what Flink's jobs sum up in them, ours count with the counters of their metrics group."""

from collections.abc import Iterable
from typing import Any

from penstock.base.ids import SubtaskId
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.readings import current_metrics
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.executions import UNASSIGNED, attempt_of
from penstock.rest.metric_query import text
from penstock.rpc.figures import TaskMetrics


def of_job(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/accumulators"""
    master = cluster.job(asked)
    every = (metrics for vertex in master.graph.vertices for _, metrics in _subtasks(master, vertex))
    return {
        "job-accumulators": [],
        "user-task-accumulators": summed(every),
        "serialized-user-task-accumulators": {},
    }


def of_vertex(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/accumulators"""
    master, vertex = cluster.vertex(asked)
    return {"id": vertex.id, "user-accumulators": summed(metrics for _, metrics in _subtasks(master, vertex))}


def of_subtasks(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/accumulators"""
    master, vertex = cluster.vertex(asked)
    subtasks = [
        {
            "subtask": index,
            "attempt": metrics.attempt.attempt,
            "endpoint": _endpoint(cluster, metrics.attempt.subtask),
            "user-accumulators": summed([metrics]),
        }
        for index, metrics in _subtasks(master, vertex)
    ]
    return {"id": vertex.id, "parallelism": vertex.parallelism, "subtasks": subtasks}


def of_attempt(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/attempts/:attempt/accumulators"""
    master, vertex = cluster.vertex(asked)
    index, attempt = asked.path_number("subtaskindex", "subtask"), asked.path_number("attempt", "attempt")
    if index >= vertex.parallelism:
        raise Refused(404, f"vertex {vertex.id} has {vertex.parallelism} subtasks: there is none with index {index}")
    known = attempt_of(master, SubtaskId(vertex.id, index), attempt)
    if known is None:
        raise Refused(404, f"subtask {index} of vertex {vertex.id} has had no attempt {attempt} that is remembered")
    found = [] if known.metrics is None else [known.metrics]
    # As Flink's: without the execution's own id, which attempts have none of here.
    return {
        "subtask": index,
        "attempt": attempt,
        "id": f"{vertex.id}_{index}_{attempt}",
        "user-accumulators": summed(found),
    }


def summed(tasks: Iterable[TaskMetrics]) -> list[dict[str, str]]:
    """The counters of these tasks, those of one name together."""
    sums: dict[str, float] = {}
    for task in tasks:
        for operator in task.operators:
            for metric in operator.user:
                if metric.kind == "counter":
                    sums[metric.name] = sums.get(metric.name, 0) + metric.values["value"]
    return [{"name": name, "type": "LongCounter", "value": text(_whole(value))} for name, value in sums.items()]


def _whole(value: float) -> float:
    return int(value) if value == value // 1 else value


def _subtasks(master: JobMaster, vertex: JobVertex) -> Iterable[tuple[int, TaskMetrics]]:
    for index in range(vertex.parallelism):
        metrics = current_metrics(master, SubtaskId(vertex.id, index))
        if metrics is not None:
            yield index, metrics


def _endpoint(cluster: Cluster, subtask: SubtaskId) -> str:
    lifecycle = cluster.master.lifecycle
    execution = None if lifecycle is None else lifecycle.executions.get(subtask)
    worker = None if execution is None else execution.worker
    home = None if worker is None else cluster.workers.home(worker)
    return UNASSIGNED if home is None else home.registration.host
