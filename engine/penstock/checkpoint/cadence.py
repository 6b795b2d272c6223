"""When to trigger the next checkpoint, and how many failures are too many. Pure, after Flink's rules.

The coordinator asks; times are seconds of one monotonic clock, chances are numbers it is given.
"""

import enum
from dataclasses import dataclass
from typing import Final, final

import msgspec

from penstock.base.ids import CheckpointId


@final
class CheckpointSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`execution.checkpointing.*`, in seconds."""

    interval_s: float | None = None
    """From one trigger to the next; None: only when asked for."""

    min_pause_s: float = 0.0
    """From the completion of a checkpoint to the next trigger, at least. A longer one than the interval replaces it."""

    timeout_s: float = 600.0
    """A checkpoint that takes longer is aborted."""

    concurrent_max: int = 1
    """So many may be under way at once; one if there is a minimum pause."""

    tolerable_failures: int = 0
    """So many failures in a row do not fail the job."""

    after_tasks_finish: bool = True
    """Whether checkpoints go on when some tasks have ended."""

    retained_max: int = 1
    """So many completed checkpoints are kept."""


class Failure(enum.Enum):
    """Why a checkpoint did not complete. The value says it to people."""

    DECLINED = "a task declined it"
    TASK_ERROR = "a task could not write its state"
    EXPIRED = "it expired before completing"
    TRIGGER_FAILED = "it could not be triggered"
    STORAGE_FAILED = "it could not be written"
    SUBSUMED = "a later one completed first"
    NOT_READY = "not all tasks were running"
    TASK_CLOSING = "a task was ending"
    UNION_TORN = "subtasks with union state end one by one"
    FAILOVER = "a task failed and is restored"
    STOPPED = "checkpointing was stopped"


COUNTED: Final = frozenset(
    {Failure.DECLINED, Failure.TASK_ERROR, Failure.EXPIRED, Failure.TRIGGER_FAILED, Failure.STORAGE_FAILED}
)
"""Kinds that count against `tolerable_failures`. The others are no fault of checkpointing."""

OF_ENDS: Final = frozenset({Failure.TASK_CLOSING, Failure.UNION_TORN, Failure.STOPPED})
"""Kinds that are in the course of things: tasks, or the job, came to their end. Nobody is told of a failure."""


@final
@dataclass(slots=True)
class FailureCount:
    """Failures in a row; a completed checkpoint ends the row."""

    tolerable: int
    _counted: set[CheckpointId]

    def __init__(self, tolerable: int) -> None:
        self.tolerable = tolerable
        self._counted = set()

    @property
    def in_a_row(self) -> int:
        return len(self._counted)

    def failed(self, checkpoint: CheckpointId, failure: Failure) -> bool:
        """Whether this was one too many. A checkpoint counts once, however many tasks it failed in."""
        if failure not in COUNTED:
            return False
        self._counted.add(checkpoint)
        if len(self._counted) <= self.tolerable:
            return False
        self._counted.clear()
        return True

    def completed(self) -> None:
        self._counted.clear()


@final
class Cadence:
    """Decides when a checkpoint is due."""

    def __init__(self, settings: CheckpointSettings) -> None:
        self._settings = settings
        interval = settings.interval_s
        self._interval_s = None if interval is None else max(interval, settings.min_pause_s)
        self._concurrent_max = 1 if settings.min_pause_s > 0 else settings.concurrent_max
        self._due_at: float | None = None
        self._asked = False
        self._completed_at = float("-inf")

    def started(self, now: float, chance: float) -> None:
        """All tasks run. `chance`, in [0, 1), spreads the first trigger of many jobs over the interval."""
        self._asked = False
        if self._interval_s is not None:
            pause = self._settings.min_pause_s
            self._due_at = now + pause + chance * (self._interval_s - pause)

    def stopped(self) -> None:
        """The job does not run: nothing is due until it does again."""
        self._due_at, self._asked = None, False

    def asked(self) -> None:
        """Someone wants a checkpoint now: interval and pause do not hold it back, concurrency does."""
        self._asked = True

    def completed(self, now: float) -> None:
        self._completed_at = now

    def take(self, now: float, pending: int) -> bool:
        """Whether to trigger now, with so many under way; if so, the next one is due an interval later."""
        if pending >= self._concurrent_max:
            return False
        periodic = self._due_at is not None and now >= max(self._due_at, self._pause_until())
        if not periodic and not self._asked:
            return False
        self._asked = False
        if periodic:
            self._advance(now)
        return True

    def next_at(self, pending: int) -> float | None:
        """When `take` is next worth a try, if nothing happens before; None: not by time alone."""
        if pending >= self._concurrent_max:
            return None
        if self._asked:
            return float("-inf")
        return None if self._due_at is None else max(self._due_at, self._pause_until())

    def _pause_until(self) -> float:
        return self._completed_at + self._settings.min_pause_s

    def _advance(self, now: float) -> None:
        """At a fixed rate; triggers that were missed while one was under way are not made up for."""
        assert self._due_at is not None and self._interval_s is not None
        missed = int((now - self._due_at) // self._interval_s)
        self._due_at += (missed + 1) * self._interval_s
