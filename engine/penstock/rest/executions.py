"""What several answers say of subtasks: their attempts, states in Flink's words, times, and counters. Reads only."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

import msgspec

from penstock.base.ids import AttemptId, SubtaskId, WorkerId
from penstock.graph.job_graph import JobVertex
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.lifecycle import Execution
from penstock.jobmanager.lifecycle_protocol import TaskStatus
from penstock.jobmanager.timeline import AttemptTimes
from penstock.rest.asking import Cluster
from penstock.rpc.figures import TaskMetrics

NEVER: Final = -1
"""How Flink writes the time of what has not happened."""
UNASSIGNED: Final = "(unassigned)"
"""How Flink writes the place of what has none."""
TASK_STATES: Final = (
    "CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING",
    "FINISHED", "CANCELING", "CANCELED", "FAILED", "RECONCILING",
)  # fmt: skip
_ON_THE_WAY: Final = ("CREATED", "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING")


@final
class Attempt(msgspec.Struct, frozen=True):
    """One attempt of a subtask, running or past."""

    subtask: SubtaskId
    number: int
    status: TaskStatus
    times: AttemptTimes | None
    worker: WorkerId | None
    metrics: TaskMetrics | None

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.subtask, self.number)

    @property
    def state(self) -> str:
        """Flink's name for how it is."""
        return task_state(self.status)

    @property
    def start_ms(self) -> int:
        start_ms = None if self.times is None else self.times.start_ms
        return NEVER if start_ms is None else start_ms

    @property
    def end_ms(self) -> int:
        end_ms = None if self.times is None else self.times.end_ms
        return NEVER if end_ms is None else end_ms

    def timestamps(self) -> dict[str, int]:
        """When it came into each of Flink's states; 0 for those it never was in."""
        found = dict.fromkeys(TASK_STATES, 0)
        entered_ms = {} if self.times is None else self.times.entered_ms
        for status, at_ms in entered_ms.items():
            if status is not TaskStatus.SCHEDULED:
                found[status.value] = at_ms
        # Slots are taken, and tasks sent, at one moment.
        found["SCHEDULED"] = found["DEPLOYING"] = found["INITIALIZING"]
        return found

    def durations(self, now_ms: int) -> dict[str, int]:
        """How long it was in each state on its way; -1 for those it never came to."""
        entered_ms = self.timestamps()
        end_ms = now_ms if self.end_ms == NEVER else self.end_ms
        found: dict[str, int] = {}
        for number, state in enumerate(_ON_THE_WAY):
            later = (entered_ms[following] for following in _ON_THE_WAY[number + 1 :])
            left_ms = next((at_ms for at_ms in later if at_ms), end_ms)
            found[state] = max(0, left_ms - entered_ms[state]) if entered_ms[state] else NEVER
        return found


def newest_attempt(master: JobMaster, subtask: SubtaskId) -> Attempt:
    """The attempt that runs, or ran last."""
    execution = Execution(subtask) if master.lifecycle is None else master.lifecycle.executions[subtask]
    times = master.timeline.attempts.get(subtask)
    times = times if times is not None and times.attempt == execution.attempt else None
    metrics = master.metrics.get(subtask)
    return Attempt(
        subtask,
        execution.attempt,
        execution.status,
        times,
        execution.worker or (None if times is None else times.worker),
        metrics if metrics is not None and metrics.attempt.attempt == execution.attempt else None,
    )


def attempt_of(master: JobMaster, subtask: SubtaskId, number: int) -> Attempt | None:
    """One attempt by its number; None if it never was or is no longer remembered."""
    newest = newest_attempt(master, subtask)
    if newest.number == number:
        return newest
    times = master.timeline.attempt(subtask, number)
    return None if times is None else Attempt(subtask, number, times.status, times, times.worker, times.metrics)


def attempts_of(master: JobMaster, vertex: JobVertex) -> list[Attempt]:
    """The newest attempts of all subtasks of a vertex."""
    return [newest_attempt(master, SubtaskId(vertex.id, index)) for index in range(vertex.parallelism)]


def task_state(status: TaskStatus) -> str:
    """Flink's name for a state of ours."""
    # What is scheduled here waits, initialized, for the others of its region.
    return "INITIALIZING" if status is TaskStatus.SCHEDULED else status.value


def counts_of(states: Iterable[str]) -> dict[str, int]:
    """How many tasks are in each state."""
    return dict.fromkeys(TASK_STATES, 0) | Counter(states)


def aggregate_state(counts: Mapping[str, int]) -> str:
    """One state for several tasks, by Flink's rule."""
    for state in ("FAILED", "CANCELING", "CANCELED", "INITIALIZING", "RUNNING"):
        if counts[state]:
            return state
    if counts["FINISHED"]:
        return "FINISHED" if counts["FINISHED"] == sum(counts.values()) else "RUNNING"
    return "CREATED"


def span(attempts: Iterable[Attempt], now_ms: int) -> dict[str, int]:
    """From when to when several attempts ran."""
    attempts = list(attempts)
    start_ms = min((each.start_ms for each in attempts if each.start_ms != NEVER), default=NEVER)
    over = bool(attempts) and all(each.end_ms != NEVER for each in attempts)
    end_ms = max(each.end_ms for each in attempts) if over else NEVER
    duration_ms = NEVER if start_ms == NEVER else (end_ms if over else now_ms) - start_ms
    return {"start-time": start_ms, "end-time": end_ms, "duration": duration_ms}


def io_metrics(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """The counters of several attempts together."""
    attempts = list(attempts)
    found = [each.metrics for each in attempts if each.metrics is not None]
    complete = len(found) == len(attempts)
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


def place(cluster: Cluster, worker: WorkerId | None) -> tuple[str, str]:
    """The TaskManager's id and the host of a worker, alive or not."""
    if worker is None:
        return UNASSIGNED, UNASSIGNED
    name = worker.rpartition("/")[0]
    manager = next((m for m in cluster.workers.taskmanagers.values() if m.id == name), None)
    return name, UNASSIGNED if manager is None else manager.registration.host
