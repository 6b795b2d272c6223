"""`FlinkJob.status`: what the operator knows, what it is about, and what it says.

Written before anything is done, so that whoever comes after an operator that died finds out what was under way. Times
are RFC 3339 in UTC as Kubernetes writes them, sizes are bytes. Read from objects that a person may have edited: what
cannot be read at all counts as not there, because all of it can be observed again except `operation`, and that is kept
in a form that is either whole or refused.
"""

from enum import StrEnum
from typing import Literal, final

import msgspec


class Wire(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A part of an object as JSON: camelCase, without what has its default. Unknown fields are ignored."""


@final
class LifecycleState(StrEnum):
    """Where the FlinkJob is, in one word."""

    CREATED = "Created"
    """Seen, and nothing started yet."""
    SUSPENDED = "Suspended"
    UPGRADING = "Upgrading"
    DEPLOYED = "Deployed"
    """Told to start; not yet as many checkpoints as make it stable."""
    STABLE = "Stable"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    """Runs, stable, at the last stable spec instead of the one that was asked for."""
    FINISHED = "Finished"
    """A bounded job came to its end."""
    FAILED = "Failed"
    DELETING = "Deleting"


@final
class OperationKind(StrEnum):
    """What is under way: one at a time."""

    DEPLOY = "Deploy"
    """Start a revision where none runs."""
    UPGRADE = "Upgrade"
    """From one revision to another."""
    SUSPEND = "Suspend"
    ROLLBACK = "Rollback"
    SCALE = "Scale"
    """A running job to another parallelism, without a new revision."""
    DELETE = "Delete"


@final
class Step(StrEnum):
    """Where an operation is. Not every kind has every step; the order is this one."""

    PREPARING = "Preparing"
    """The new revision's processes are applied in standby; waits until they could start."""
    SAVEPOINTING = "Savepointing"
    """The old revision was told to stop with a savepoint under `trigger_id` into `savepoint_dir`."""
    VERIFYING = "Verifying"
    """The savepoint is looked at in the store."""
    STOPPING = "Stopping"
    """The old revision's processes are removed; waits until they are gone."""
    STARTING = "Starting"
    """The new revision was told to start under `start_id`."""
    SETTLING = "Settling"
    """It runs; waits for as many completed checkpoints as make it stable."""
    CLEANING = "Cleaning"
    """A deletion: the job's data are removed."""


@final
class Origin(Wire, frozen=True):
    """From what state a revision is started."""

    kind: Literal["empty", "newest", "savepoint"]
    path: str | None = None
    """Of a savepoint's or retained checkpoint's folder."""


@final
class Operation(Wire, frozen=True):
    """The intent: written before the first act of each step, and enough to go on from after the operator's death."""

    kind: OperationKind
    step: Step
    started_at: str
    step_started_at: str
    revision: str = ""
    """The one to be started; empty where none is."""
    from_revision: str = ""
    """The one that runs or ran before; empty where none did."""
    upgrade_mode: Literal["savepoint", "last-state", "stateless"] = "savepoint"
    beside: bool = True
    """Whether the new revision's processes are started beside the old ones. False: there was no room for both."""
    trigger_id: str = ""
    """32 hexadecimal digits under which the job is asked for the savepoint; each attempt has its own."""
    savepoint_dir: str = ""
    """Where the savepoint goes: a folder of its own below the savepoint directory, so that it can be found without
    the JobManager's answer."""
    start_id: str = ""
    """Under which the new revision is told to start."""
    origin: Origin | None = None
    """From what it starts; known from STARTING on."""
    attempt: int = 1
    """Of this step."""
    reason: str = ""
    """Why, in a sentence: of a rollback what failed, of an upgrade what changed."""
    previous_path: str = ""
    """What the state was before a start without it: where a rollback of a stateless upgrade goes on from."""
    restarts_seen: int = 0
    """While settling: of the job, so far."""
    completed_then: int = 0
    """How many checkpoints were completed when the last restart was seen; those after it count for stability."""


@final
class Condition(Wire, frozen=True, omit_defaults=False):
    """One of the conditions Ready, Progressing, Degraded, Restorable, StateCompatible."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


@final
class JobStatus(Wire, frozen=True):
    """The job as its JobManager tells of it."""

    job_id: str
    state: str = ""
    """As in Flink's REST: INITIALIZING, CREATED, RUNNING, RESTARTING, FAILING, FAILED, CANCELED, FINISHED, ...;
    RECONCILING while it cannot be asked."""
    start_time: str | None = None


@final
class CompletedCheckpoint(Wire, frozen=True):
    """The newest one."""

    id: int
    path: str
    time: str
    size: int


@final
class Checkpoints(Wire, frozen=True):
    """Refreshed every 5 minutes at most while nothing else changes."""

    last_completed: CompletedCheckpoint | None = None
    count: int = 0
    """Completed since the revision was started."""
    failed: int = 0
    restarts: int = 0
    """Of the job since the revision was started."""
    refreshed_at: str | None = None


@final
class SavepointRecord(Wire, frozen=True):
    """A savepoint that the operator had taken."""

    path: str
    time: str
    cause: Literal["upgrade", "manual", "periodic", "suspend", "delete", "snapshot"]
    revision: str = ""
    pinned: bool = False
    """Needed: never removed by retention."""
    size: int = 0
    removing: bool = False
    """Retention removes it; the record goes when it is seen to be gone."""


@final
class PendingSnapshot(Wire, frozen=True):
    """A savepoint or checkpoint that a running job was asked for, apart from operations."""

    trigger_id: str
    kind: Literal["savepoint", "checkpoint"]
    cause: Literal["manual", "periodic", "snapshot"]
    triggered_at: str
    path: str = ""
    nonce: int | None = None
    snapshot: str = ""
    """Name of the FlinkStateSnapshot that asks for it."""


@final
class RevisionRecord(Wire, frozen=True):
    """A version of the spec that was run, and what it began with. The spec itself is in the ControllerRevision."""

    name: str
    generation: int
    origin: Origin | None = None
    started_at: str | None = None
    stable: bool = False


@final
class TaskManagers(Wire, frozen=True):
    """Of the revision that runs."""

    replicas: int = 0
    ready: int = 0
    restarts: int = 0


@final
class Nonces(Wire, frozen=True):
    """Those that were seen and done."""

    restart: int | None = None
    savepoint: int | None = None
    checkpoint: int | None = None


@final
class Status(Wire, frozen=True):
    """The whole of it."""

    observed_generation: int = 0
    lifecycle_state: LifecycleState = LifecycleState.CREATED
    conditions: tuple[Condition, ...] = ()
    job_status: JobStatus | None = None
    checkpoints: Checkpoints = Checkpoints()
    savepoints: tuple[SavepointRecord, ...] = ()
    """Newest first."""
    revisions: tuple[RevisionRecord, ...] = ()
    """Newest first."""
    active_revision: str = ""
    """The one that rules the job, or was the last to."""
    stable_revision: str = ""
    """The last one that was stable: where a rollback goes."""
    refused_generation: int = 0
    """The spec of this generation was tried and given up: not tried again until it changes."""
    task_managers: TaskManagers = TaskManagers()
    operation: Operation | None = None
    pending: tuple[PendingSnapshot, ...] = ()
    last_periodic_at: str | None = None
    """When the last periodic snapshot was due."""
    nonces: Nonces = Nonces()
    state_exists: bool = False
    """Something was or may have been checkpointed: from now on the job never starts empty unless told so."""
    max_parallelism: int | None = None
    """Of the state."""
    parallelism: int | None = None
    """In effect; what the scale subresource reads."""
    label_selector: str = ""
    error: str = ""
    """One sentence."""
