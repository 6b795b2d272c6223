"""Rescaling a running job: events in, commands out. Pure, so that every interleaving can be replayed.

    WAITING        for slots, or for the job to run; the job goes on
    CHECKPOINTING  a checkpoint is being taken; the job goes on
    RESTORING      workers open its state for the tasks to come; the job goes on
    SWITCHING      the tasks are stopped, and started from the newest checkpoint at the new parallelism
    RECORDING      they all run; the journal is being told

What a checkpoint holds fits any parallelism, so nothing is lost or doubled wherever this ends or dies: what is not
recorded is not so, and the job goes on, or begins again, at the parallelism before. Only then does the journal hear of
it, and a successor of this JobManager begins at the new one. Should a task fail before all run, the job's lifecycle
brings back the old parallelism by itself and says so.
"""

import enum
from typing import Final, final

import msgspec

from penstock.checkpoint.journal_state import RequirementsSet, Rescaled
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.parallelism import (
    Bounds,
    Parallelism,
    Requirements,
    complaints,
    desired,
    fitting,
    parallelism_of,
    requirements_of,
    rescaled_entry,
    slots_for,
    with_parallelism,
)
from penstock.jobmanager.placement import Missing


class Cause(enum.Enum):
    """Why a job is rescaled. Flink's names."""

    UPDATE_REQUIREMENT = "UPDATE_REQUIREMENT"
    NEW_RESOURCE_AVAILABLE = "NEW_RESOURCE_AVAILABLE"


class End(enum.Enum):
    """What became of it. Flink's names."""

    SUCCEEDED = "SUCCEEDED"
    EXCEPTION_OCCURRED = "EXCEPTION_OCCURRED"
    RESOURCE_REQUIREMENTS_UPDATED = "RESOURCE_REQUIREMENTS_UPDATED"
    NO_RESOURCES_OR_PARALLELISMS_CHANGE = "NO_RESOURCES_OR_PARALLELISMS_CHANGE"
    JOB_FINISHED = "JOB_FINISHED"
    JOB_FAILED = "JOB_FAILED"
    JOB_CANCELED = "JOB_CANCELED"
    JOB_FAILOVER_RESTARTING = "JOB_FAILOVER_RESTARTING"


class Phase(enum.Enum):
    WAITING = "WAITING"
    CHECKPOINTING = "CHECKPOINTING"
    RESTORING = "RESTORING"
    SWITCHING = "SWITCHING"
    RECORDING = "RECORDING"


# Events.


@final
class Required(msgspec.Struct, frozen=True):
    """Someone wants this; the requirements have been found to be possible."""

    requirements: Requirements
    request: str | None = None
    """What the asker knows it by, who wants it once. None: it is required for good."""


@final
class SlotsChanged(msgspec.Struct, frozen=True):
    """So many workers are there for the job, those that it uses included."""

    slots: int


@final
class SlotsTimedOut(msgspec.Struct, frozen=True):
    """`slot.request.timeout` has passed since the attempt asked for slots."""

    attempt: int


@final
class CheckpointCompleted(msgspec.Struct, frozen=True):
    """The one that was asked for, or a later one."""


@final
class CheckpointFailed(msgspec.Struct, frozen=True):
    reason: str


@final
class RestoredAhead(msgspec.Struct, frozen=True):
    """The state is open for the tasks that this attempt will switch to, as far as it could be."""

    attempt: int


@final
class TasksFailed(msgspec.Struct, frozen=True):
    """Tasks failed and will be restarted as they are."""

    reason: str


@final
class AllRunning(msgspec.Struct, frozen=True):
    """All tasks run, at this parallelism."""

    parallelism: Parallelism


@final
class SwitchFailed(msgspec.Struct, frozen=True):
    """The old parallelism is being brought back."""

    reason: str


@final
class Recorded(msgspec.Struct, frozen=True):
    """The journal has it."""


@final
class JobOver(msgspec.Struct, frozen=True):
    """The job has ended, or is about to."""

    end: End


Event = (
    Required
    | SlotsChanged
    | SlotsTimedOut
    | CheckpointCompleted
    | CheckpointFailed
    | RestoredAhead
    | TasksFailed
    | AllRunning
    | SwitchFailed
    | Recorded
    | JobOver
)

# Commands.


@final
class Begun(msgspec.Struct, frozen=True):
    """For the record: an attempt is being made."""

    attempt: int
    cause: Cause
    requirements: Requirements
    wanted: Parallelism
    request: str | None


@final
class WantSlots(msgspec.Struct, frozen=True):
    """Whoever can start workers should, until the job has so many; feed `SlotsTimedOut` after the timeout."""

    attempt: int
    slots: int


@final
class TakeCheckpoint(msgspec.Struct, frozen=True):
    """Now; a failure that is no fault of checkpointing is no news, and it is taken again."""


@final
class RestoreAhead(msgspec.Struct, frozen=True):
    """Have the newest checkpoint's state opened for tasks at this parallelism, where that can be; then say so."""

    attempt: int
    parallelism: Parallelism


@final
class Switch(msgspec.Struct, frozen=True):
    """Stop the tasks; start them from the newest checkpoint at this parallelism."""

    parallelism: Parallelism


@final
class Record(msgspec.Struct, frozen=True):
    """Append to the journal."""

    entry: Rescaled


@final
class Ended(msgspec.Struct, frozen=True):
    """For the record, and for who asked."""

    attempt: int
    end: End
    parallelism: Parallelism
    """What the job runs at now."""

    reason: str = ""
    """Why not, in a sentence."""


Command = Begun | WantSlots | TakeCheckpoint | RestoreAhead | Switch | Record | Ended


@final
class _Attempt(msgspec.Struct):
    number: int
    requirements: Requirements
    request: str | None
    target: Parallelism
    phase: Phase = Phase.WAITING
    timed_out: bool = False


@final
class Rescaling:
    """One job's, during one reign. `on` is the only entrance."""

    def __init__(self, program: JobGraph, running: JobGraph, lasting: Required | None) -> None:
        """`program`: the graph as the script has it; `running`: at the parallelism that the job begins with.

        `lasting`: what an earlier JobManager was told that the job has to have, come about or not.
        """
        self._program = program
        self.graph = running
        self.requirements: Requirements = requirements_of(running) if lasting is None else lasting.requirements
        self._lasting = lasting
        self._due = lasting is not None
        """Once all tasks run, what an earlier JobManager was told is looked after."""
        self._attempt: _Attempt | None = None
        self._queued: Required | None = None
        self._attempts = 0
        self._slots = 0
        self._runs = False
        self._over = False

    @property
    def phase(self) -> Phase | None:
        """How far the attempt is that is being made; None when none is."""
        return None if self._attempt is None else self._attempt.phase

    @property
    def is_over(self) -> bool:
        """Whether the job is, so that nothing is required of it any more."""
        return self._over

    @property
    def lasting(self) -> Required | None:
        """What a successor must know that the job has to have: not given up and, if wanted once, not come about."""
        return self._lasting if self._queued is None else self._queued

    def on(self, event: Event) -> list[Command]:
        """Take an event; what has to be done comes back, in order."""
        out: list[Command] = []
        if self._over:
            return out
        match event:
            case Required():
                self._required(event, Cause.UPDATE_REQUIREMENT, out)
            case SlotsChanged(slots):
                self._slots = slots
                self._slots_changed(out)
            case SlotsTimedOut(number):
                if self._attempt is not None and self._attempt.number == number:
                    self._attempt.timed_out = True
                    self._advance(out)
            case CheckpointCompleted():
                self._checkpointed(out)
            case CheckpointFailed(reason):
                if self.phase is Phase.CHECKPOINTING:
                    self._give_up(End.EXCEPTION_OCCURRED, f"the checkpoint before it failed: {reason}", out)
            case RestoredAhead(number):
                self._restored_ahead(number, out)
            case TasksFailed(reason):
                self._runs = False
                if self.phase in (Phase.CHECKPOINTING, Phase.RESTORING):
                    self._give_up(End.JOB_FAILOVER_RESTARTING, f"tasks failed before it: {reason}", out)
            case AllRunning(parallelism):
                self._all_running(parallelism, out)
            case SwitchFailed(reason):
                if self.phase is Phase.SWITCHING:
                    reason = f"it could not be brought to run, and runs at its parallelism before: {reason}"
                    self._give_up(End.EXCEPTION_OCCURRED, reason, out)
            case Recorded():
                if self.phase is Phase.RECORDING:
                    self._end(End.SUCCEEDED, "", out)
            case JobOver(end):
                self._over = True
                self._give_up(end, "the job is over", out)
        return out

    def _required(self, event: Required, cause: Cause, out: list[Command]) -> None:
        if self.phase in (Phase.SWITCHING, Phase.RECORDING):
            if self._queued is not None:
                self._refuse(self._queued, out)
            self._queued = event
            return
        if self._attempt is not None:
            self._end(End.RESOURCE_REQUIREMENTS_UPDATED, _SUPERSEDED, out)
        self.requirements = event.requirements
        self._lasting, self._due = event, False
        wanted = desired(self.graph, event.requirements)
        self._attempt = _Attempt(self._next_number(), event.requirements, event.request, wanted)
        number = self._attempt.number
        out.append(Begun(number, cause, event.requirements, wanted, event.request))
        if wanted == parallelism_of(self.graph):
            self._end(End.NO_RESOURCES_OR_PARALLELISMS_CHANGE, "", out)
            return
        out.append(WantSlots(number, slots_for(self.graph, wanted)))
        self._advance(out)

    def _slots_changed(self, out: list[Command]) -> None:
        if self._attempt is not None:
            self._advance(out)
        elif self._runs:
            now = parallelism_of(self.graph)
            best = fitting(self.graph, self.requirements, self._slots)
            if not isinstance(best, Missing) and slots_for(self.graph, best) > slots_for(self.graph, now):
                lasting = self._lasting
                self._required(Required(self.requirements), Cause.NEW_RESOURCE_AVAILABLE, out)
                self._lasting = lasting

    def _advance(self, out: list[Command]) -> None:
        """From WAITING on, if there is what it waits for."""
        attempt = self._attempt
        if attempt is None or attempt.phase is not Phase.WAITING:
            return
        target = desired(self.graph, attempt.requirements)
        if slots_for(self.graph, target) > self._slots:
            if not attempt.timed_out:
                return
            found = fitting(self.graph, attempt.requirements, self._slots)
            if isinstance(found, Missing):
                self._give_up(End.EXCEPTION_OCCURRED, self._too_few(found), out)
                return
            target = found
        if target == parallelism_of(self.graph):
            self._end(End.NO_RESOURCES_OR_PARALLELISMS_CHANGE, "there are no slots for more", out)
        elif self._runs:
            attempt.target = target
            attempt.phase = Phase.CHECKPOINTING
            out.append(TakeCheckpoint())

    def _checkpointed(self, out: list[Command]) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.phase is Phase.CHECKPOINTING and self._has_slots(attempt, out):
            attempt.phase = Phase.RESTORING
            out.append(RestoreAhead(attempt.number, attempt.target))

    def _restored_ahead(self, number: int, out: list[Command]) -> None:
        attempt = self._attempt
        if attempt is None or attempt.number != number or attempt.phase is not Phase.RESTORING:
            return
        if self._has_slots(attempt, out):
            attempt.phase = Phase.SWITCHING
            self._runs = False
            out.append(Switch(attempt.target))

    def _has_slots(self, attempt: _Attempt, out: list[Command]) -> bool:
        """Whether there are as many as when it was decided; if not, it waits for them again."""
        if slots_for(self.graph, attempt.target) <= self._slots:
            return True
        attempt.phase = Phase.WAITING
        self._advance(out)
        return False

    def _all_running(self, parallelism: Parallelism, out: list[Command]) -> None:
        self._runs = True
        attempt = self._attempt
        if attempt is None and self._due and self._lasting is not None:
            self._required(self._lasting, Cause.UPDATE_REQUIREMENT, out)
        elif attempt is None or attempt.phase is not Phase.SWITCHING:
            self._advance(out)
        elif parallelism == attempt.target:
            self.graph = with_parallelism(self.graph, parallelism)
            attempt.phase = Phase.RECORDING
            out.append(Record(rescaled_entry(self._program, parallelism)))
        else:
            # A task failed in the very moment in which all were to be stopped, and came first.
            self._give_up(End.JOB_FAILOVER_RESTARTING, "tasks failed before they were stopped", out)

    def _give_up(self, end: End, reason: str, out: list[Command]) -> None:
        """Also of what was wanted, so that nobody tries it again by himself."""
        if self._attempt is not None:
            self.requirements, self._lasting = requirements_of(self.graph), None
            self._end(end, reason, out)

    def _end(self, end: End, reason: str, out: list[Command]) -> None:
        attempt, self._attempt = self._attempt, None
        assert attempt is not None, "only an attempt that is being made ends"
        if attempt.request is not None:
            self._lasting = None
        out.append(Ended(attempt.number, end, parallelism_of(self.graph), reason))
        queued, self._queued = self._queued, None
        if queued is not None and self._over:
            self._refuse(queued, out)
        elif queued is not None:
            self._required(queued, Cause.UPDATE_REQUIREMENT, out)

    def _refuse(self, event: Required, out: list[Command]) -> None:
        """It never came to be an attempt; for the record it was one."""
        number = self._next_number()
        wanted = desired(self.graph, event.requirements)
        out.append(Begun(number, Cause.UPDATE_REQUIREMENT, event.requirements, wanted, event.request))
        out.append(Ended(number, End.RESOURCE_REQUIREMENTS_UPDATED, parallelism_of(self.graph), _SUPERSEDED))

    def _too_few(self, missing: Missing) -> str:
        return (
            f"not enough slots: it needs {missing.needed}, {missing.missing} of them are missing "
            f"({self._slots} registered). Start more TaskManagers or ask for a lower parallelism"
        )

    def _next_number(self) -> int:
        self._attempts += 1
        return self._attempts


_SUPERSEDED = "another parallelism was asked for meanwhile"


def required_entry(program: JobGraph, required: Required | None) -> RequirementsSet:
    """What stands in the journal when a program's job is required to have this, or nothing any more."""
    if required is None:
        return NOTHING_REQUIRED
    bounds = {vertex: (bounds.lower, bounds.upper) for vertex, bounds in required.requirements.items()}
    return RequirementsSet(bounds, dict(parallelism_of(program)), required.request or "")


def still_required(program: JobGraph, running: JobGraph, entry: RequirementsSet) -> Required | None:
    """What a job that is gone on with is required to have, unless its program has changed its mind since."""
    if entry.program != parallelism_of(program):
        return None
    found = {vertex: Bounds(*bounds) for vertex, bounds in entry.bounds.items()}
    return None if any(complaints(running, found)) else Required(found, entry.request or None)


NOTHING_REQUIRED: Final = RequirementsSet({}, {})
