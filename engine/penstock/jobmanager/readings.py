"""What the JobManager says of itself, of the job, and of TaskManagers, by Flink's names. For REST and Prometheus.

Reads only, on the JobManager's loop.
"""

from collections.abc import Iterator
from typing import Final

from penstock.base.ids import SubtaskId
from penstock.common.job_status import JobStatus
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.coordinators import HostedCoordinator
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.workers import TaskManager, Workers
from penstock.monitoring.processes import together
from penstock.monitoring.readings import (
    Distributed,
    Reading,
    operator_readings,
    process_readings,
    rest_operator,
    rest_values,
    task_readings,
)
from penstock.rpc.figures import ProcessMetrics, TaskMetrics

_NONE: Final = -1
"""Flink's word for what has not been yet."""
_STATE_TIMES: Final = {
    "runningTime": JobStatus.RUNNING,
    "restartingTime": JobStatus.RESTARTING,
    "failingTime": JobStatus.FAILING,
    "cancellingTime": JobStatus.CANCELLING,
}


def job_readings(master: JobMaster, now_ms: int) -> list[Reading]:
    """What there is to say of the job as a whole."""
    status, since_ms = master.status, master.status_ms
    ended, running = status.is_globally_terminal_state(), status is JobStatus.RUNNING
    up_ms = now_ms - since_ms.get(JobStatus.RUNNING, now_ms) if running else 0
    down_since_ms = max(since_ms.get(JobStatus.RESTARTING, 0), since_ms.get(JobStatus.FAILING, 0))
    down_ms = now_ms - down_since_ms if not running and down_since_ms else 0
    restarts = 0 if master.lifecycle is None else master.lifecycle.restarts
    found = [
        Reading("uptime", _NONE if ended else up_ms),
        Reading("downtime", _NONE if ended else down_ms),
        Reading("numRestarts", restarts),
        Reading("fullRestarts", restarts),
    ]
    found += [
        Reading(name, now_ms - since_ms.get(state, now_ms) if status is state else 0)
        for name, state in _STATE_TIMES.items()
    ]
    return [*found, *_checkpoint_readings(master.history)]


def _checkpoint_readings(history: CheckpointHistory) -> Iterator[Reading]:
    counts, last, restored = history.counts, history.latest_completed, history.latest_restore
    figures = None if last is None else last.figures(last.end_ms or last.trigger_ms)
    yield Reading("totalNumberOfCheckpoints", counts["total"])
    yield Reading("numberOfInProgressCheckpoints", counts["in_progress"])
    yield Reading("numberOfCompletedCheckpoints", counts["completed"])
    yield Reading("numberOfFailedCheckpoints", counts["failed"])
    yield Reading("lastCompletedCheckpointId", _NONE if last is None else last.id)
    yield Reading("lastCheckpointDuration", _NONE if figures is None else figures.duration_ms)
    yield Reading("lastCheckpointSize", _NONE if figures is None else figures.checkpointed_bytes)
    yield Reading("lastCheckpointFullSize", _NONE if figures is None else figures.state_bytes)
    yield Reading("lastCheckpointProcessedData", _NONE if figures is None else figures.processed_bytes)
    yield Reading("lastCheckpointPersistedData", _NONE if figures is None else figures.persisted_bytes)
    yield Reading("lastCheckpointExternalPath", "n/a" if last is None else last.path)
    yield Reading("lastCheckpointRestoreTimestamp", _NONE if restored is None else restored.at_ms)


def jobmanager_readings(master: JobMaster, workers: Workers, process: ProcessMetrics) -> list[Reading]:
    """What there is to say of the JobManager."""
    lifecycle, ended = master.lifecycle, master.status.is_globally_terminal_state()
    used = 0 if lifecycle is None or ended else sum(worker in workers.alive for worker in lifecycle.slots.values())
    return [
        Reading("taskSlotsTotal", workers.slots),
        Reading("taskSlotsAvailable", max(0, workers.slots - used)),
        Reading("numRegisteredTaskManagers", len(workers.taskmanagers)),
        Reading("numRunningJobs", 0 if ended else 1),
        *process_readings(process),
    ]


def coordinator_readings(hosted: HostedCoordinator) -> list[Reading]:
    """What the JobManager's side of an operator has heard and said."""
    return [Reading("numEventsIn", hosted.events_in), Reading("numEventsOut", hosted.events_out)]


def taskmanager_readings(manager: TaskManager) -> list[Reading]:
    """What a TaskManager and its workers take of their machine."""
    return process_readings(taskmanager_process(manager))


def taskmanager_process(manager: TaskManager) -> ProcessMetrics:
    """A TaskManager and its workers as one."""
    own = () if manager.process is None else (manager.process,)
    return together((*own, *manager.worker_processes.values()))


def current_metrics(master: JobMaster, subtask: SubtaskId) -> TaskMetrics | None:
    """What was measured last of a subtask's current attempt."""
    metrics, lifecycle = master.metrics.get(subtask), master.lifecycle
    execution = None if lifecycle is None else lifecycle.executions.get(subtask)
    if metrics is None or execution is None:
        return None
    return metrics if execution.attempt == metrics.attempt.attempt else None


def subtask_values(vertex: JobVertex, metrics: TaskMetrics) -> dict[str, float | str]:
    """All that a task and its operators say, by Flink's names in REST."""
    found = rest_values(task_readings(metrics))
    for index, (described, operator) in enumerate(zip(vertex.chain, metrics.operators, strict=False)):
        readings: Iterator[Reading | Distributed] = operator_readings(
            operator, is_source=index == 0 and not metrics.has_input
        )
        for name, value in rest_values(readings, f"{rest_operator(described.name)}.").items():
            found.setdefault(name, value)
    return found
