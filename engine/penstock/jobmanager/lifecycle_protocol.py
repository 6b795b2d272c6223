"""What a job's lifecycle is told, and what it asks for. Values only; `lifecycle.py` decides."""

import enum
from collections.abc import Mapping
from typing import final

import msgspec

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
class Failure(msgspec.Struct, frozen=True):
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
class Shape(msgspec.Struct, frozen=True):
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
class WorkersChanged(msgspec.Struct, frozen=True):
    """These workers are alive and may be given tasks, oldest first."""

    alive: tuple[WorkerId, ...]
    fates: Mapping[WorkerId, str] = msgspec.field(default_factory=dict)
    """What became of others, as far as that is known."""


@final
class SlotsTimedOut(msgspec.Struct, frozen=True):
    """`slot.request.timeout` has passed since slots were asked for."""

    request: int


@final
class TaskInitialized(msgspec.Struct, frozen=True):
    """State is restored, channels are registered; the task waits for its start."""

    attempt: AttemptId


@final
class TaskFinished(msgspec.Struct, frozen=True):
    """The task has ended well."""

    attempt: AttemptId


@final
class TaskCanceled(msgspec.Struct, frozen=True):
    """The task has ended because it was told to."""

    attempt: AttemptId


@final
class TaskFailed(msgspec.Struct, frozen=True):
    """The task has ended badly."""

    attempt: AttemptId
    failure: Failure


@final
class RestartDue(msgspec.Struct, frozen=True):
    """The delay before a region's restart has passed."""

    region: int
    round: int


@final
class GlobalFailure(msgspec.Struct, frozen=True):
    """Something that concerns the whole job failed: a coordinator, too many checkpoints."""

    failure: Failure
    final: bool = False
    """Whether it would be the same after a restart, however often, so that there is none."""


@final
class RestartWithFailed(msgspec.Struct, frozen=True):
    """Regions that run cannot go on after the failure of another one, which the restart strategy has counted."""

    failure: Failure


@final
class CancelRequested(msgspec.Struct, frozen=True):
    """Someone asked to cancel the job."""


@final
class ReshapeRequested(msgspec.Struct, frozen=True):
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
class DeployRegion(msgspec.Struct, frozen=True):
    """Send these attempts to their workers, to restore and wait."""

    region: int
    attempts: Mapping[AttemptId, WorkerId]


@final
class StartRegion(msgspec.Struct, frozen=True):
    """All attempts of the region are initialized: let them run."""

    region: int
    attempts: tuple[AttemptId, ...]


@final
class CancelTasks(msgspec.Struct, frozen=True):
    """Tell these attempts to end."""

    attempts: tuple[AttemptId, ...]


@final
class RegionDown(msgspec.Struct, frozen=True):
    """A region failed: abort running checkpoints; its coordinators give again what was given since the last one."""

    region: int
    failure: Failure
    whole_job: bool


@final
class ScheduleRestart(msgspec.Struct, frozen=True):
    """Feed `RestartDue(region, round)` after the delay."""

    region: int
    round: int
    delay_s: float


@final
class AwaitSlots(msgspec.Struct, frozen=True):
    """Feed `SlotsTimedOut(request)` after `slot.request.timeout` unless the job was placed."""

    request: int
    missing: int


@final
class StatusChanged(msgspec.Struct, frozen=True):
    """For the record and for those who watch."""

    status: JobStatus
    failure: Failure | None = None


@final
class CauseFound(msgspec.Struct, frozen=True):
    """What was told as a failure has followed from another one: that is the failure."""

    told: Failure
    cause: Failure


@final
class Reshaped(msgspec.Struct, frozen=True):
    """No task is left: from here on the job consists of these."""

    shape: Shape


@final
class FellBack(msgspec.Struct, frozen=True):
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
