"""What a pass has seen: the closed set of observations that `decide` decides on.

Built by a world (`observe` in a cluster, `local` on this machine) in answer to the pass's questions, and by the
simulated world of the tests. Nothing in here is a guess: what could not be found out is an `Unknown` that says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, final

from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import Status


@final
@dataclass(frozen=True, slots=True)
class Unknown:
    """It was asked, and there was no answer: a connection refused, a time-out, an error of the server."""

    reason: str
    """A sentence for people."""


@final
@dataclass(frozen=True, slots=True)
class JobObject:
    """The FlinkJob as it was read."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created_at: str
    spec: FlinkJobSpec | None
    """None where it cannot be read; `errors` says why."""
    errors: tuple[FieldError, ...]
    """Every one; empty where the spec is valid as far as it can be told without looking elsewhere."""
    status: Status
    deleting_since: str | None = None
    paused: bool = False
    """The annotation `penstock.dev/paused`."""
    finalizer: bool = False
    """Whether ours is set."""
    status_damaged: bool = False
    """There is more in its status than can be read: it is written again."""


@final
@dataclass(frozen=True, slots=True)
class Revision:
    """A kept version of the spec."""

    name: str
    generation: int
    spec: FlinkJobSpec


@final
class Trouble(StrEnum):
    """Why a process cannot run, where that can be told apart."""

    IMAGE = "image"
    """It cannot be pulled, or is no image."""
    NO_ROOM = "no room"
    """No node has room for it, or a quota forbids it."""
    CONFIG = "config"
    """A Secret or ConfigMap that it needs is missing, or a mount is impossible."""
    CRASHES = "crashes"
    """It ends again and again."""


@final
@dataclass(frozen=True, slots=True)
class Processes:
    """The JobManager, or the TaskManagers, of one revision."""

    wanted: int
    ready: int
    restarts: int
    trouble: Trouble | None = None
    message: str = ""
    """What the world says of the trouble, in its own words."""


@final
@dataclass(frozen=True, slots=True)
class Deployed:
    """What exists of one revision's children. A revision of which nothing exists has none."""

    revision: str
    jobmanager: Processes
    taskmanagers: Processes
    being_removed: bool = False
    """Its removal was asked for, and is not over."""
    drifted: bool = False
    """Something of it is missing or not as we would apply it."""


@final
@dataclass(frozen=True, slots=True)
class Unheard:
    """A process whose time to end is long up, on a machine that nobody hears of. It counts as gone: should it live, the
    journal refuses whatever it would publish."""

    revision: str
    what: str
    """What it is and where, for people."""


@final
class StandbyState(StrEnum):
    """Of a JobManager that waits to be told to start."""

    LOADING = "LOADING"
    FAILED = "FAILED"
    """The script could not be loaded."""
    WAITING = "WAITING"
    STARTING = "STARTING"
    STARTED = "STARTED"
    ENDED = "ENDED"


@final
@dataclass(frozen=True, slots=True)
class Preflight:
    """How a revision's job fits the state that it would start from."""

    compatible: bool | None
    """None: not known yet."""
    against: str | None
    findings: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What a revision's JobManager says, in one call."""

    state: StandbyState
    start_id: str = ""
    error: str = ""
    slots_required: int = 0
    slots_registered: int = 0
    preflight: Preflight = Preflight(None, None)
    job_state: str = ""
    """Flink's word; empty before it was told to start."""
    start_time_ms: int = 0
    completed: int = 0
    """Checkpoints since it was started."""
    failed: int = 0
    restarts: int = 0
    checkpoint_id: int | None = None
    """The newest completed one."""
    checkpoint_path: str = ""
    checkpoint_time_ms: int = 0
    checkpoint_bytes: int = 0
    retained_max: int | None = None
    """How many completed checkpoints it keeps; None where it does not say."""
    pinned: tuple[str, ...] | None = None
    """What it keeps besides; None where it does not say."""
    parallelism: int | None = None
    failure: str = ""
    """The root cause of the last failure, its first line."""
    bounded: bool = False
    """Whether all its sources end, so that the job will come to its end."""
    stopped_with: str = ""
    """The savepoint that its journal says it was stopped with, though it may not have ended yet."""


@final
class TriggerState(StrEnum):
    """Of a savepoint, checkpoint or rescaling that was asked for."""

    UNKNOWN = "unknown"
    """The JobManager has never heard of the trigger id: it was not asked, or died since."""
    IN_PROGRESS = "in progress"
    COMPLETED = "completed"
    FAILED = "failed"


@final
@dataclass(frozen=True, slots=True)
class TriggerAnswer:
    """What became of it."""

    state: TriggerState
    path: str = ""
    failure: str = ""


@final
@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What the journal says, read without the epoch."""

    exists: bool
    """Whether there is a journal at all."""
    recoverable: bool
    """Whether there is anything that a start could go on from."""
    newest_path: str | None = None
    newest_id: int | None = None
    newest_time_ms: int = 0
    ruling_revision: str = ""
    """Owner of the last epoch."""
    started_from: str = ""
    """Of the reign: `empty`, or the path."""
    completed_in_reign: int = 0
    """Checkpoints since the last `Started`."""
    stopped_path: str | None = None
    """The savepoint that the job was stopped with, if that is the last word."""
    ended: str | None = None
    """FINISHED, CANCELED or FAILED, if that is the last word."""
    max_parallelism: int | None = None
    damaged: str = ""
    """What is wrong with the newest state, in a sentence; the one before it is then `newest_path`."""


@final
@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One that is retained."""

    path: str
    time_ms: int
    """When it was taken; 0 where that cannot be read."""
    needed: bool
    """The job would go on from it."""
    size: int = 0
    """In bytes; what it shares with others counts too."""


@final
@dataclass(frozen=True, slots=True)
class Verified:
    """A savepoint was looked at in the store."""

    path: str
    """The folder that was found; empty where there is none."""
    sound: bool
    size: int = 0
    finding: str = ""
    """What is wrong, in a sentence."""


@final
@dataclass(frozen=True, slots=True)
class SnapshotObject:
    """A FlinkStateSnapshot that names this job."""

    name: str
    uid: str
    kind: str
    """`savepoint` or `checkpoint`."""
    phase: str
    trigger_id: str
    path: str
    attempts: int
    backoff_limit: int
    deleting: bool
    dispose_on_delete: bool
    finalizer: bool
    created_at: str
    already_exists: bool = False
    """It only names what lies in `directory`."""
    directory: str = ""
    """`spec.savepoint.path`: where the savepoint goes, or lies. Empty: below the job's savepoint directory."""
    format: Literal["canonical", "native"] = "canonical"
    generation: int = 0


@final
@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that one pass knows. A question that was not put has no answer in here; one that was put has one."""

    now_ms: int
    job: JobObject
    revisions: tuple[Revision, ...] = ()
    deployed: tuple[Deployed, ...] | Unknown = ()
    """Of every revision; the question for it is part of every pass."""
    unheard: tuple[Unheard, ...] = ()
    """These are not among the deployed."""
    answers: Mapping[str, JobAnswer | Unknown] | None = None
    """By revision."""
    triggers: Mapping[str, TriggerAnswer | Unknown] | None = None
    """By trigger id."""
    store: StoreFacts | Unknown | None = None
    """None: not asked."""
    retained: tuple[Checkpoint, ...] | Unknown | None = None
    """Newest first. None: not asked."""
    verified: Mapping[str, Verified | Unknown] | None = None
    """By the folder that a savepoint was asked to be written in."""
    snapshots: tuple[SnapshotObject, ...] = ()
    missing: tuple[FieldError, ...] | Unknown | None = None
    """What the spec refers to and is not there, such as its Secret. None: not asked."""
    random_id: str = ""
    """32 hexadecimal digits that were never used before, for whatever this pass begins."""

    def after(self, earlier: "Observed") -> "Observed":
        """A later look of the same pass, with what others had answered before: they are asked once in a pass."""
        return replace(
            self,
            answers={**(earlier.answers or {}), **(self.answers or {})},
            triggers={**(earlier.triggers or {}), **(self.triggers or {})},
            store=earlier.store if self.store is None else self.store,
            retained=earlier.retained if self.retained is None else self.retained,
            verified={**(earlier.verified or {}), **(self.verified or {})},
            missing=earlier.missing if self.missing is None else self.missing,
        )
