"""What the checkpoint coordinator is told, and what it asks for. Values only.

The JobManager turns what it hears into events and carries out commands in the order in which they come; appends to
the journal one after the other. `now` is seconds of one monotonic clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.plan import TaskShape
from penstock.checkpoint.retention import FinalState
from penstock.records.batch import SavepointOptions, StopMode


@final
@dataclass(frozen=True, slots=True)
class SavepointOrder:
    """A savepoint that somebody wants."""

    id: str
    """What they ask about it by."""

    options: SavepointOptions
    stop: StopMode | None = None
    """Whether the job ends with it."""


# Events.


@final
@dataclass(frozen=True, slots=True)
class Running:
    """All tasks run, for the first time or again."""

    now: float
    chance: float
    """In [0, 1): spreads the first trigger."""

    tasks: tuple[TaskShape, ...]
    coordinators: frozenset[OperatorUid]
    """Operators with a counterpart in the JobManager whose state belongs to checkpoints."""

    restored: CheckpointId | None
    """The checkpoint of this job that they were restored from."""

    ended: frozenset[SubtaskId] = frozenset()
    """Tasks that were not started because they had finished before."""


@final
@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: see `Coordinator.next_tick_at`."""

    now: float


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """A checkpoint is wanted now: by a person, or because all tasks wait for their last one."""

    now: float
    anew: bool = False
    """Refer to no file of earlier ones."""


@final
@dataclass(frozen=True, slots=True)
class SavepointAsked:
    """A savepoint is wanted, at once: neither interval, pause nor concurrency hold it back."""

    now: float
    order: SavepointOrder


@final
@dataclass(frozen=True, slots=True)
class CoordinatorsTaken:
    """Answer to `TakeCoordinators`."""

    now: float
    checkpoint: CheckpointId
    states: Mapping[OperatorUid, bytes]


@final
@dataclass(frozen=True, slots=True)
class TriggerFailed:
    """A counterpart in the JobManager could not give its state, or a task could not be asked."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A task has made its part durable."""

    now: float
    checkpoint: CheckpointId
    snapshot: TaskSnapshot


@final
@dataclass(frozen=True, slots=True)
class Declined:
    """A task takes no part. `failure` is DECLINED, TASK_ERROR, SUBSUMED, NOT_READY or TASK_CLOSING."""

    now: float
    checkpoint: CheckpointId
    task: SubtaskId
    failure: Failure
    reason: str


@final
@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task has done all its work and is gone."""

    now: float
    task: SubtaskId


@final
@dataclass(frozen=True, slots=True)
class TasksFailed:
    """Tasks failed and will be restored. Wait for `RestoreNow` before choosing from what."""

    now: float


@final
@dataclass(frozen=True, slots=True)
class JobEnded:
    """All tasks are gone and none will be started again."""

    now: float
    state: FinalState


@final
@dataclass(frozen=True, slots=True)
class MetadataWritten:
    """Answer to `WriteMetadata`."""

    now: float
    checkpoint: CheckpointId
    path: str
    checksum: str


@final
@dataclass(frozen=True, slots=True)
class WriteFailed:
    """Other answer to `WriteMetadata`: it could not be written, or subtasks contradict each other."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Journaled:
    """Answer to `AppendCompleted` and `AppendStopped`: the checkpoint exists; the job is stopped."""

    now: float
    checkpoint: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class JournalRefused:
    """Other answer to them: the entry is certainly not there. While that is unknown there is no answer."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Reserved:
    """Answer to `ReserveIds`."""

    now: float
    below: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class ReserveRefused:
    """Other answer to `ReserveIds`: the entry is certainly not there."""

    now: float
    reason: str


@final
@dataclass(frozen=True, slots=True)
class Forgot:
    """Answer to `AppendForgotten`."""

    now: float
    checkpoint: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class Unwanted:
    """Somebody wants a retained checkpoint gone. The newest one stays, and so do those that are pinned."""

    now: float
    checkpoint: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class Keep:
    """So many completed checkpoints are to be retained from now on, and beside them those that are pinned."""

    now: float
    retained_max: int
    pinned: frozenset[CheckpointId]


@final
@dataclass(frozen=True, slots=True)
class OriginForgot:
    """Answer to `AppendOriginForgotten`."""

    now: float


@final
@dataclass(frozen=True, slots=True)
class EndJournaled:
    """Answer to `AppendFinished`."""

    now: float


@final
@dataclass(frozen=True, slots=True)
class Deposed:
    """Another JobManager leads the job: nothing more is asked for, ever."""


Event = (
    Running
    | Tick
    | Asked
    | SavepointAsked
    | CoordinatorsTaken
    | TriggerFailed
    | Acknowledged
    | Declined
    | TaskEnded
    | TasksFailed
    | JobEnded
    | MetadataWritten
    | WriteFailed
    | Journaled
    | JournalRefused
    | Reserved
    | ReserveRefused
    | Forgot
    | Unwanted
    | Keep
    | OriginForgot
    | EndJournaled
    | Deposed
)


# Commands.


@final
@dataclass(frozen=True, slots=True)
class TakeCoordinators:
    """Take the state of every enumerator; hold back what they send until `TriggerTasks` has been carried out."""

    checkpoint: CheckpointId
    order: SavepointOrder | None = None


@final
@dataclass(frozen=True, slots=True)
class TriggerTasks:
    """Ask these tasks for the checkpoint: they emit its barrier."""

    checkpoint: CheckpointId
    tasks: frozenset[SubtaskId]
    base: CheckpointId | None
    """Newest confirmed checkpoint: incremental snapshots build on it and on none before it."""
    order: SavepointOrder | None = None
    """Not None: this is a savepoint."""
    anew: bool = False
    """Tasks are to refer to no file of earlier checkpoints."""


@final
@dataclass(frozen=True, slots=True)
class WriteMetadata:
    """Put the parts together (`metadata.gather`) and write `_metadata`."""

    checkpoint: CheckpointId
    snapshots: tuple[TaskSnapshot, ...]
    ended: tuple[TaskShape, ...]
    coordinators: Mapping[OperatorUid, bytes]
    order: SavepointOrder | None = None
    """Of a savepoint: it goes into the savepoint's own folder."""


@final
@dataclass(frozen=True, slots=True)
class AppendCompleted:
    """Append to the journal, again and again until the outcome is known."""

    checkpoint: CheckpointId
    path: str
    checksum: str
    ids_below: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class AppendStopped:
    """Append `SavepointStopped`, again and again until the outcome is known."""

    checkpoint: CheckpointId
    order: SavepointOrder
    checksum: str


@final
@dataclass(frozen=True, slots=True)
class SavepointDone:
    """The savepoint is there. If the job stops with it, the tasks have been told to end."""

    checkpoint: CheckpointId
    order: SavepointOrder


@final
@dataclass(frozen=True, slots=True)
class SavepointFailed:
    """There will be no savepoint."""

    order: SavepointOrder
    reason: str


@final
@dataclass(frozen=True, slots=True)
class DropSavepoint:
    """Delete all that is in the folder of a savepoint that was given up. Tasks may still be writing into it: whatever
    they report later is dropped by another such command."""

    order: SavepointOrder


@final
@dataclass(frozen=True, slots=True)
class NotifyComplete:
    """Tell the tasks: what waited for this checkpoint may be made visible. Enumerators too."""

    checkpoint: CheckpointId
    tasks: frozenset[SubtaskId]
    stops: bool = False
    """Whether they end with it."""


@final
@dataclass(frozen=True, slots=True)
class NotifyAborted:
    """Tell the tasks: this checkpoint will never complete."""

    checkpoint: CheckpointId
    tasks: frozenset[SubtaskId]
    failure: Failure
    reason: str


@final
@dataclass(frozen=True, slots=True)
class AppendForgotten:
    checkpoint: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class AppendOriginForgotten:
    """What the job was started from, and has claimed, is needed no more: append that it is not to be used again."""


@final
@dataclass(frozen=True, slots=True)
class DeleteOrigin:
    """Delete it. Failing is no harm: the next reign tries again."""


@final
@dataclass(frozen=True, slots=True)
class AppendFinished:
    state: FinalState


@final
@dataclass(frozen=True, slots=True)
class ReserveIds:
    """Append `IdsReserved`."""

    below: CheckpointId


@final
@dataclass(frozen=True, slots=True)
class DeleteFiles:
    """In this order. Failing is no harm: a later sweep finds them."""

    paths: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class RestoreNow:
    """Everything about checkpoints is settled: choose what to restore from and start the tasks again."""


@final
@dataclass(frozen=True, slots=True)
class FailJob:
    """Too many checkpoints failed: fail the job's tasks, and let the restart strategy decide."""

    reason: str


@final
@dataclass(frozen=True, slots=True)
class BeginAgain:
    """Tasks failed, and those that still run cannot go on: they are to begin again with these."""

    reason: str


Command = (
    TakeCoordinators
    | TriggerTasks
    | WriteMetadata
    | AppendCompleted
    | AppendStopped
    | SavepointDone
    | SavepointFailed
    | DropSavepoint
    | NotifyComplete
    | NotifyAborted
    | AppendForgotten
    | AppendOriginForgotten
    | DeleteOrigin
    | AppendFinished
    | ReserveIds
    | DeleteFiles
    | RestoreNow
    | FailJob
    | BeginAgain
)
