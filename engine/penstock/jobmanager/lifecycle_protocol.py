"""What a job's lifecycle is told, and what it asks for. Values only; `lifecycle.py` decides."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from penstock.base.ids import AttemptId, SubtaskId, VertexId, WorkerId
from penstock.common.job_status import JobStatus
from penstock.jobmanager.placement import SlotKey


class TaskStatus(enum.Enum):
    """Flink's execution states, as far as they exist here."""

    CREATED = "CREATED"
    SCHEDULED = "SCHEDULED"
    INITIALIZING = "INITIALIZING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    FAILED = "FAILED"

    @property
    def is_terminal(self) -> bool:
        return self in (TaskStatus.FINISHED, TaskStatus.CANCELED, TaskStatus.FAILED)


@final
@dataclass(frozen=True, slots=True)
class Failure:
    """Why something failed, in words for people."""

    message: str
    traceback: str = ""
    subtask: SubtaskId | None = None
    worker: WorkerId | None = None
    type: str = ""
    """The exception's class, where there was one."""
    follows: bool = False
    """Whether another failure must be behind it: a peer of the task is gone."""


@final
@dataclass(frozen=True, slots=True)
class Shape:
    """Of which subtasks a job consists."""

    regions: tuple[frozenset[SubtaskId], ...]
    """Which are connected, so that they start, fail and restart together."""

    slot_of: Mapping[SubtaskId, SlotKey]

    @property
    def parallelism(self) -> dict[VertexId, int]:
        found: dict[VertexId, int] = {}
        for subtask in self.slot_of:
            found[subtask.vertex] = found.get(subtask.vertex, 0) + 1
        return found


# Events.


@final
@dataclass(frozen=True, slots=True)
class WorkersChanged:
    """These workers are alive and may be given tasks, oldest first."""

    alive: tuple[WorkerId, ...]
    fates: Mapping[WorkerId, str] = field(default_factory=dict)
    """What became of others, as far as that is known."""


@final
@dataclass(frozen=True, slots=True)
class SlotsTimedOut:
    """`slot.request.timeout` has passed since slots were asked for."""

    request: int


@final
@dataclass(frozen=True, slots=True)
class TaskInitialized:
    """State is restored, channels are registered; the task waits for its start."""

    attempt: AttemptId


@final
@dataclass(frozen=True, slots=True)
class TaskFinished:
    """The task has ended well."""

    attempt: AttemptId


@final
@dataclass(frozen=True, slots=True)
class TaskCanceled:
    """The task has ended because it was told to."""

    attempt: AttemptId


@final
@dataclass(frozen=True, slots=True)
class TaskFailed:
    """The task has ended badly."""

    attempt: AttemptId
    failure: Failure


@final
@dataclass(frozen=True, slots=True)
class RestartDue:
    """The delay before a region's restart has passed."""

    region: int
    round: int


@final
@dataclass(frozen=True, slots=True)
class GlobalFailure:
    """Something that concerns the whole job failed: a coordinator, too many checkpoints."""

    failure: Failure
    final: bool = False
    """Whether it would be the same after a restart, however often, so that there is none."""


@final
@dataclass(frozen=True, slots=True)
class RestartWithFailed:
    """Regions that run cannot go on after the failure of another one, which the restart strategy has counted."""

    failure: Failure


@final
@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Someone asked to cancel the job."""


@final
@dataclass(frozen=True, slots=True)
class ReshapeRequested:
    """End the tasks and go on as this shape. Until all of its tasks run, any failure brings the old shape back."""

    shape: Shape


Event = (
    WorkersChanged
    | SlotsTimedOut
    | TaskInitialized
    | TaskFinished
    | TaskCanceled
    | TaskFailed
    | RestartDue
    | GlobalFailure
    | RestartWithFailed
    | CancelRequested
    | ReshapeRequested
)

# Commands.


@final
@dataclass(frozen=True, slots=True)
class DeployRegion:
    """Send these attempts to their workers, to restore and wait."""

    region: int
    attempts: Mapping[AttemptId, WorkerId]


@final
@dataclass(frozen=True, slots=True)
class StartRegion:
    """All attempts of the region are initialized: let them run."""

    region: int
    attempts: tuple[AttemptId, ...]


@final
@dataclass(frozen=True, slots=True)
class CancelTasks:
    """Tell these attempts to end."""

    attempts: tuple[AttemptId, ...]


@final
@dataclass(frozen=True, slots=True)
class RegionDown:
    """A region failed: abort running checkpoints; its coordinators give again what was given since the last one."""

    region: int
    failure: Failure
    whole_job: bool


@final
@dataclass(frozen=True, slots=True)
class ScheduleRestart:
    """Feed `RestartDue(region, round)` after the delay."""

    region: int
    round: int
    delay_s: float


@final
@dataclass(frozen=True, slots=True)
class AwaitSlots:
    """Feed `SlotsTimedOut(request)` after `slot.request.timeout` unless the job was placed."""

    request: int
    missing: int


@final
@dataclass(frozen=True, slots=True)
class StatusChanged:
    """For the record and for those who watch."""

    status: JobStatus
    failure: Failure | None = None


@final
@dataclass(frozen=True, slots=True)
class CauseFound:
    """What was told as a failure has followed from another one: that is the failure."""

    told: Failure
    cause: Failure


@final
@dataclass(frozen=True, slots=True)
class Reshaped:
    """No task is left: from here on the job consists of these."""

    shape: Shape


@final
@dataclass(frozen=True, slots=True)
class FellBack:
    """The new shape could not be brought to run; the old one comes back."""

    failure: Failure


Command = (
    DeployRegion
    | StartRegion
    | CancelTasks
    | RegionDown
    | ScheduleRestart
    | AwaitSlots
    | StatusChanged
    | CauseFound
    | Reshaped
    | FellBack
)
