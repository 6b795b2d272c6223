"""When each subtask's attempts came into which state, and where. For REST and for people; nothing is decided by it."""

from collections import deque
from collections.abc import Container, Iterable, Mapping
from typing import final

import msgspec

from penstock.base.ids import SubtaskId, WorkerId
from penstock.jobmanager.lifecycle import Execution
from penstock.jobmanager.lifecycle_protocol import TaskStatus
from penstock.rpc.figures import TaskMetrics


@final
class AttemptTimes(msgspec.Struct):
    """One attempt's states, each with the time it was entered."""

    attempt: int
    status: TaskStatus
    entered_ms: dict[TaskStatus, int] = msgspec.field(default_factory=dict)
    worker: WorkerId | None = None
    """The last one that it was given to."""
    metrics: TaskMetrics | None = None
    """What it had come to when the next attempt began; None for the newest one."""

    @property
    def start_ms(self) -> int | None:
        """When it was deployed; None before."""
        return self.entered_ms.get(TaskStatus.INITIALIZING)

    @property
    def end_ms(self) -> int | None:
        """When it ended; None while it has not."""
        return self.entered_ms[self.status] if self.status.is_terminal else None


@final
class Timeline:
    """Fed by the job master after each event."""

    def __init__(self, past_max: int = 16) -> None:
        """`past_max`: attempts remembered of each subtask besides the newest."""
        self.attempts: dict[SubtaskId, AttemptTimes] = {}
        self._past: dict[SubtaskId, deque[AttemptTimes]] = {}
        self._past_max = past_max

    def keep_only(self, subtasks: Container[SubtaskId]) -> None:
        """The others are no longer the job's."""
        self.attempts = {subtask: times for subtask, times in self.attempts.items() if subtask in subtasks}
        self._past = {subtask: past for subtask, past in self._past.items() if subtask in subtasks}

    def observe(
        self, executions: Iterable[Execution], now_ms: int, metrics: Mapping[SubtaskId, TaskMetrics] | None = None
    ) -> None:
        """Note what has changed since the last time. `metrics`: what was measured of the newest attempts."""
        known = self.attempts
        for execution in executions:
            times = known.get(execution.subtask)
            if times is None or times.attempt != execution.attempt:
                if times is not None:
                    self._remember(execution.subtask, times, metrics or {})
                times = known[execution.subtask] = AttemptTimes(execution.attempt, execution.status)
            elif times.status is execution.status:
                continue
            times.status = execution.status
            times.entered_ms[execution.status] = now_ms
            if execution.worker is not None:
                times.worker = execution.worker

    def attempt(self, subtask: SubtaskId, number: int) -> AttemptTimes | None:
        """One attempt, the newest or one before it; None if it never was or is no longer remembered."""
        newest = self.attempts.get(subtask)
        candidates = (*self._past.get(subtask, ()), *(() if newest is None else (newest,)))
        return next((times for times in candidates if times.attempt == number), None)

    def _remember(self, subtask: SubtaskId, ended: AttemptTimes, metrics: Mapping[SubtaskId, TaskMetrics]) -> None:
        measured = metrics.get(subtask)
        if measured is not None and measured.attempt.attempt == ended.attempt:
            ended.metrics = measured
        self._past.setdefault(subtask, deque(maxlen=self._past_max)).append(ended)
