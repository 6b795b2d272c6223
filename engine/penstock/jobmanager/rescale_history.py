"""What people ask about rescalings of a job: a bounded history and counts. For REST; nothing is decided by it."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final, Literal, final

import msgspec

from penstock.jobmanager.parallelism import Parallelism, Requirements
from penstock.jobmanager.rescaling import Begun, Cause, End, Ended, Phase

HISTORY_MAX: Final = 32
TerminalState = Literal["COMPLETED", "FAILED", "IGNORED"]

_FAILED: Final = frozenset({End.EXCEPTION_OCCURRED, End.JOB_FAILED})
_SCHEDULER_STATES: Final = {
    Phase.WAITING: "Executing",
    Phase.CHECKPOINTING: "Executing",
    Phase.RESTORING: "Executing",
    Phase.SWITCHING: "Restarting",
    Phase.RECORDING: "Executing",
}
"""Flink's names for what the job does meanwhile."""


@final
class Span(msgspec.Struct):
    """A time during which the job was in one state."""

    state: str
    enter_ms: int
    leave_ms: int | None = None


@final
class RescaleRecord(msgspec.Struct):
    """One attempt, as far as it came."""

    uuid: str
    requirements_uuid: str
    attempt: int
    cause: Cause
    request: str | None
    requirements: Requirements
    before: Parallelism
    wanted: Parallelism
    start_ms: int
    spans: list[Span] = msgspec.field(default_factory=list)
    after: Parallelism | None = None
    end: End | None = None
    end_ms: int | None = None
    reason: str = ""

    @property
    def terminal_state(self) -> TerminalState | None:
        match self.end:
            case None:
                return None
            case End.SUCCEEDED:
                return "COMPLETED"
            case end:
                return "FAILED" if end in _FAILED else "IGNORED"

    @property
    def refused(self) -> bool:
        """Whether it has ended and who asked did not get it."""
        unchanged = self.end is End.NO_RESOURCES_OR_PARALLELISMS_CHANGE and not self.reason
        return self.end is not None and self.end is not End.SUCCEEDED and not unchanged


@final
class RescaleHistory:
    """Kept by the rescaler."""

    def __init__(self, now_ms: Callable[[], int], rng: Random) -> None:
        self._now_ms = now_ms
        self._rng = rng
        self.records: deque[RescaleRecord] = deque(maxlen=HISTORY_MAX)
        """Oldest first."""
        self.counts: dict[str, int] = {"ignored": 0, "inProgress": 0, "completed": 0, "failed": 0}
        self.latest: dict[TerminalState, RescaleRecord] = {}
        self.durations_ms: dict[TerminalState, deque[int]] = {
            "COMPLETED": deque(maxlen=1000),
            "FAILED": deque(maxlen=1000),
            "IGNORED": deque(maxlen=1000),
        }
        self._requirements: Requirements | None = None
        self._requirements_uuid = ""

    def find(self, uuid: str) -> RescaleRecord | None:
        return next((record for record in self.records if record.uuid == uuid), None)

    def begun(self, begun: Begun, before: Parallelism) -> None:
        if begun.requirements != self._requirements:
            self._requirements, self._requirements_uuid = begun.requirements, self._uuid()
        now_ms = self._now_ms()
        record = RescaleRecord(
            uuid=self._uuid(),
            requirements_uuid=self._requirements_uuid,
            attempt=begun.attempt,
            cause=begun.cause,
            request=begun.request,
            requirements=begun.requirements,
            before=before,
            wanted=begun.wanted,
            start_ms=now_ms,
            spans=[Span("Executing", now_ms)],
        )
        self.records.append(record)
        self.counts["inProgress"] += 1

    def came_to(self, phase: Phase | None) -> None:
        """The attempt that is being made is in this phase now."""
        record = self.records[-1] if self.records else None
        if phase is None or record is None or record.end is not None:
            return
        state = _SCHEDULER_STATES[phase]
        if record.spans[-1].state != state:
            record.spans[-1].leave_ms = self._now_ms()
            record.spans.append(Span(state, self._now_ms()))

    def ended(self, ended: Ended) -> RescaleRecord | None:
        record = next((record for record in self.records if record.attempt == ended.attempt), None)
        self.counts["inProgress"] -= 1
        if record is None:
            return None
        record.end, record.reason, record.after = ended.end, ended.reason, ended.parallelism
        record.end_ms = record.spans[-1].leave_ms = self._now_ms()
        state = record.terminal_state
        assert state is not None, "it has ended"
        self.counts[state.lower()] += 1
        self.latest[state] = record
        self.durations_ms[state].append(record.end_ms - record.start_ms)
        return record

    def _uuid(self) -> str:
        return f"{self._rng.getrandbits(128):032x}"
