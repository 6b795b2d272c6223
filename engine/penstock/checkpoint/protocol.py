"""What the checkpoint coordinator is told, and what it asks for. Values only.

The JobManager turns what it hears into events and carries out commands in the order in which they come; appends to
the journal one after the other. `now` is seconds of one monotonic clock.
"""

from collections.abc import Mapping
from typing import final

import msgspec

from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.plan import TaskShape
from penstock.checkpoint.retention import FinalState
from penstock.records.batch import SavepointOptions, StopMode


@final
class SavepointOrder(msgspec.Struct, frozen=True):
    """A savepoint that somebody wants."""

    id: str
    """What they ask about it by."""

    options: SavepointOptions
    stop: StopMode | None = None
    """Whether the job ends with it."""


# Events.


@final
class Running(msgspec.Struct, frozen=True):
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
class Tick(msgspec.Struct, frozen=True):
    """Time has passed: see `Coordinator.next_tick_at`."""

    now: float


@final
class Asked(msgspec.Struct, frozen=True):
    """A checkpoint is wanted now: by a person, or because all tasks wait for their last one."""

    now: float
    anew: bool = False
    """Refer to no file of earlier ones."""


@final
class SavepointAsked(msgspec.Struct, frozen=True):
    """A savepoint is wanted, at once: neither interval, pause nor concurrency hold it back."""

    now: float
    order: SavepointOrder


@final
class CoordinatorsTaken(msgspec.Struct, frozen=True):
    """Answer to `TakeCoordinators`."""

    now: float
    checkpoint: CheckpointId
    states: Mapping[OperatorUid, bytes]


@final
class TriggerFailed(msgspec.Struct, frozen=True):
    """A counterpart in the JobManager could not give its state, or a task could not be asked."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
class Acknowledged(msgspec.Struct, frozen=True):
    """A task has made its part durable."""

    now: float
    checkpoint: CheckpointId
    snapshot: TaskSnapshot


@final
class Declined(msgspec.Struct, frozen=True):
    """A task takes no part. `failure` is DECLINED, TASK_ERROR, SUBSUMED, NOT_READY or TASK_CLOSING."""

    now: float
    checkpoint: CheckpointId
    task: SubtaskId
    failure: Failure
    reason: str


@final
class TaskEnded(msgspec.Struct, frozen=True):
    """A task has done all its work and is gone."""

    now: float
    task: SubtaskId


@final
class TasksFailed(msgspec.Struct, frozen=True):
    """Tasks failed and will be restored. Wait for `RestoreNow` before choosing from what."""

    now: float


@final
class JobEnded(msgspec.Struct, frozen=True):
    """All tasks are gone and none will be started again."""

    now: float
    state: FinalState


@final
class MetadataWritten(msgspec.Struct, frozen=True):
    """Answer to `WriteMetadata`."""

    now: float
    checkpoint: CheckpointId
    path: str
    checksum: str


@final
class WriteFailed(msgspec.Struct, frozen=True):
    """Other answer to `WriteMetadata`: it could not be written, or subtasks contradict each other."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
class Journaled(msgspec.Struct, frozen=True):
    """Answer to `AppendCompleted` and `AppendStopped`: the checkpoint exists; the job is stopped."""

    now: float
    checkpoint: CheckpointId


@final
class JournalRefused(msgspec.Struct, frozen=True):
    """Other answer to them: the entry is certainly not there. While that is unknown there is no answer."""

    now: float
    checkpoint: CheckpointId
    reason: str


@final
class Reserved(msgspec.Struct, frozen=True):
    """Answer to `ReserveIds`."""

    now: float
    below: CheckpointId


@final
class ReserveRefused(msgspec.Struct, frozen=True):
    """Other answer to `ReserveIds`: the entry is certainly not there."""

    now: float
    reason: str


@final
class Forgot(msgspec.Struct, frozen=True):
    """Answer to `AppendForgotten`."""

    now: float
    checkpoint: CheckpointId


@final
class Unwanted(msgspec.Struct, frozen=True):
    """Somebody wants a retained checkpoint gone. The newest one stays, and so do those that are pinned."""

    now: float
    checkpoint: CheckpointId


@final
class Keep(msgspec.Struct, frozen=True):
    """So many completed checkpoints are to be retained from now on, and beside them those that are pinned."""

    now: float
    retained_max: int
    pinned: frozenset[CheckpointId]


@final
class OriginForgot(msgspec.Struct, frozen=True):
    """Answer to `AppendOriginForgotten`."""

    now: float


@final
class EndJournaled(msgspec.Struct, frozen=True):
    """Answer to `AppendFinished`."""

    now: float


@final
class Deposed(msgspec.Struct, frozen=True):
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
class TakeCoordinators(msgspec.Struct, frozen=True):
    """Take the state of every enumerator; hold back what they send until `TriggerTasks` has been carried out."""

    checkpoint: CheckpointId
    order: SavepointOrder | None = None


@final
class TriggerTasks(msgspec.Struct, frozen=True):
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
class WriteMetadata(msgspec.Struct, frozen=True):
    """Put the parts together (`metadata.gather`) and write `_metadata`."""

    checkpoint: CheckpointId
    snapshots: tuple[TaskSnapshot, ...]
    ended: tuple[TaskShape, ...]
    coordinators: Mapping[OperatorUid, bytes]
    order: SavepointOrder | None = None
    """Of a savepoint: it goes into the savepoint's own folder."""


@final
class AppendCompleted(msgspec.Struct, frozen=True):
    """Append to the journal, again and again until the outcome is known."""

    checkpoint: CheckpointId
    path: str
    checksum: str
    ids_below: CheckpointId


@final
class AppendStopped(msgspec.Struct, frozen=True):
    """Append `SavepointStopped`, again and again until the outcome is known."""

    checkpoint: CheckpointId
    order: SavepointOrder
    checksum: str


@final
class SavepointDone(msgspec.Struct, frozen=True):
    """The savepoint is there. If the job stops with it, the tasks have been told to end."""

    checkpoint: CheckpointId
    order: SavepointOrder


@final
class SavepointFailed(msgspec.Struct, frozen=True):
    """There will be no savepoint."""

    order: SavepointOrder
    reason: str


@final
class DropSavepoint(msgspec.Struct, frozen=True):
    """Delete all that is in the folder of a savepoint that was given up. Tasks may still be writing into it: whatever
    they report later is dropped by another such command."""

    order: SavepointOrder


@final
class NotifyComplete(msgspec.Struct, frozen=True):
    """Tell the tasks: what waited for this checkpoint may be made visible. Enumerators too."""

    checkpoint: CheckpointId
    tasks: frozenset[SubtaskId]
    stops: bool = False
    """Whether they end with it."""


@final
class NotifyAborted(msgspec.Struct, frozen=True):
    """Tell the tasks: this checkpoint will never complete."""

    checkpoint: CheckpointId
    tasks: frozenset[SubtaskId]
    failure: Failure
    reason: str


@final
class AppendForgotten(msgspec.Struct, frozen=True):
    checkpoint: CheckpointId


@final
class AppendOriginForgotten(msgspec.Struct, frozen=True):
    """What the job was started from, and has claimed, is needed no more: append that it is not to be used again."""


@final
class DeleteOrigin(msgspec.Struct, frozen=True):
    """Delete it. Failing is no harm: the next reign tries again."""


@final
class AppendFinished(msgspec.Struct, frozen=True):
    state: FinalState


@final
class ReserveIds(msgspec.Struct, frozen=True):
    """Append `IdsReserved`."""

    below: CheckpointId


@final
class DeleteFiles(msgspec.Struct, frozen=True):
    """In this order. Failing is no harm: a later sweep finds them."""

    paths: tuple[str, ...]


@final
class RestoreNow(msgspec.Struct, frozen=True):
    """Everything about checkpoints is settled: choose what to restore from and start the tasks again."""


@final
class FailJob(msgspec.Struct, frozen=True):
    """Too many checkpoints failed: fail the job's tasks, and let the restart strategy decide."""

    reason: str


@final
class BeginAgain(msgspec.Struct, frozen=True):
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
