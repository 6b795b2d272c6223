"""When each subtask's newest attempt came into which state. For REST and for people; nothing is decided by it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

from penstock.base.ids import SubtaskId
from penstock.jobmanager.lifecycle import Execution, TaskStatus


@final
@dataclass(slots=True)
class AttemptTimes:
    """One attempt's states, each with the time it was entered."""

    attempt: int
    status: TaskStatus
    entered_ms: dict[TaskStatus, int] = field(default_factory=dict)

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

    def __init__(self) -> None:
        self.attempts: dict[SubtaskId, AttemptTimes] = {}

    def observe(self, executions: Iterable[Execution], now_ms: int) -> None:
        """Note what has changed since the last time."""
        known = self.attempts
        for execution in executions:
            times = known.get(execution.subtask)
            if times is None or times.attempt != execution.attempt:
                times = known[execution.subtask] = AttemptTimes(execution.attempt, execution.status)
            elif times.status is execution.status:
                continue
            times.status = execution.status
            times.entered_ms[execution.status] = now_ms
