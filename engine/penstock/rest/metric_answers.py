"""Answers about metrics of everything that has some, one by one and aggregated.

Their names stand in `penstock.monitoring.readings`.
"""

from collections.abc import Iterator
from typing import Any

from penstock.base.ids import SubtaskId
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.readings import (
    coordinator_readings,
    current_metrics,
    job_readings,
    jobmanager_readings,
    subtask_values,
    taskmanager_readings,
)
from penstock.monitoring.readings import rest_operator, rest_values
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.metric_query import Values, aggregated, collection, indexes


def of_jobmanager(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobmanager/metrics"""
    readings = jobmanager_readings(cluster.master, cluster.workers, cluster.process.measure())
    return collection(rest_values(readings), asked)


def of_job(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/metrics"""
    return collection(_job_values(cluster, cluster.job(asked)), asked)


def of_jobs(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/metrics"""
    wanted = {word.lower() for word in asked.words("jobs")}
    chosen = not wanted or cluster.master.job in wanted
    return aggregated([_job_values(cluster, cluster.master)] if chosen else [], asked)


def of_taskmanager(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers/:taskmanagerid/metrics"""
    return collection(rest_values(taskmanager_readings(cluster.taskmanager(asked))), asked)


def of_taskmanagers(cluster: Cluster, asked: Asked) -> Any:
    """GET /taskmanagers/metrics"""
    wanted = asked.words("taskmanagers")
    managers = [m for m in cluster.workers.taskmanagers.values() if not wanted or m.id in wanted]
    return aggregated((rest_values(taskmanager_readings(manager)) for manager in managers), asked)


def of_vertex(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/metrics: of all subtasks, each name behind its subtask's index"""
    master, vertex = cluster.vertex(asked)
    values = {
        f"{index}.{name}": value
        for index, subtask in _subtasks(master, vertex, _asked_indexes(asked))
        for name, value in subtask.items()
    }
    return collection(values, asked)


def of_subtask(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/metrics"""
    master, vertex = cluster.vertex(asked)
    index = asked.path_number("subtaskindex", "subtask")
    if index >= vertex.parallelism:
        raise Refused(404, f"vertex {vertex.id} has {vertex.parallelism} subtasks: there is none with index {index}")
    found = next((values for _, values in _subtasks(master, vertex, frozenset({index}))), {})
    return collection(found, asked)


def of_subtasks(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/subtasks/metrics"""
    master, vertex = cluster.vertex(asked)
    return aggregated((values for _, values in _subtasks(master, vertex, indexes(asked, "subtasks"))), asked)


def of_coordinators(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/jm-operator-metrics"""
    master, vertex = cluster.vertex(asked)
    values: dict[str, float | str] = {}
    for hosted in () if master.coordinators is None else master.coordinators.of(SubtaskId(vertex.id, 0)):
        name = rest_operator(vertex.chain[hosted.operator].name)
        values |= rest_values(coordinator_readings(hosted), f"{name}.coordinator.")
    return collection(values, asked)


def watermarks(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/watermarks: of the subtasks that have one"""
    master, vertex = cluster.vertex(asked)
    name = "currentInputWatermark"
    every = ((index, values.get(name)) for index, values in _subtasks(master, vertex, None))
    return [{"id": f"{index}.{name}", "value": str(value)} for index, value in every if value is not None]


def _job_values(cluster: Cluster, master: JobMaster) -> Values:
    return rest_values(job_readings(master, cluster.clock.now_ms()))


def _subtasks(master: JobMaster, vertex: JobVertex, wanted: frozenset[int] | None) -> Iterator[tuple[int, Values]]:
    for index in range(vertex.parallelism):
        if wanted is None or index in wanted:
            metrics = current_metrics(master, SubtaskId(vertex.id, index))
            if metrics is not None:
                yield index, subtask_values(vertex, metrics)


def _asked_indexes(asked: Asked) -> frozenset[int] | None:
    """The subtasks of which metrics are asked for; None: of all, for the list of names."""
    wanted = asked.words("get")
    if not wanted:
        return None
    heads = {name.partition(".")[0] for name in wanted}
    return frozenset(int(head) for head in heads if head.isdecimal() and len(head) < 8)
