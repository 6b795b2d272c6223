"""Whether a vertex is held up by those behind it, and by how much: Flink's levels of what its tasks measured."""

from collections.abc import Iterable
from typing import Any, Final, Literal

from penstock.base.ids import SubtaskId
from penstock.jobmanager.readings import current_metrics
from penstock.rest.asking import Asked, Cluster
from penstock.rpc.figures import TaskMetrics

Level = Literal["OK", "LOW", "HIGH"]
_LOW: Final = 0.10
_HIGH: Final = 0.50


def back_pressure(cluster: Cluster, asked: Asked) -> Any:
    """GET /jobs/:jobid/vertices/:vertexid/backpressure"""
    master, vertex = cluster.vertex(asked)
    every = (current_metrics(master, SubtaskId(vertex.id, index)) for index in range(vertex.parallelism))
    return judged([metrics for metrics in every if metrics is not None], cluster.clock.now_ms())


def judged(tasks: Iterable[TaskMetrics], now_ms: int) -> dict[str, Any]:
    """The answer about one vertex. Pure."""
    subtasks = [_subtask(metrics) for metrics in tasks]
    worst = level(max((subtask["ratio"] for subtask in subtasks), default=0.0))
    # Without any figures Flink says that they are too old, and would be better asked for again.
    status = "ok" if subtasks else "deprecated"
    return {
        "status": status,
        "backpressureLevel": worst,
        "backpressure-level": worst,
        "end-timestamp": now_ms,
        "subtasks": subtasks,
    }


def level(ratio: float) -> Level:
    """Flink's word for this part of the time."""
    return "OK" if ratio <= _LOW else "LOW" if ratio <= _HIGH else "HIGH"


def _subtask(metrics: TaskMetrics) -> dict[str, Any]:
    ratio = metrics.backpressured_ms_per_s / 1000
    return {
        "subtask": metrics.attempt.subtask.index,
        "attempt-number": metrics.attempt.attempt,
        "backpressureLevel": level(ratio),
        "backpressure-level": level(ratio),
        "ratio": ratio,
        "idleRatio": metrics.idle_ms_per_s / 1000,
        "busyRatio": metrics.busy_ms_per_s / 1000,
        "other-concurrent-attempts": [],
    }
