"""What a pass may do: the closed set of acts. Each is idempotent, and each says what it serves.

A world carries them out in order, after the status that announces them was written. One that fails ends the pass; the
next observation tells how far it came.
"""

from dataclasses import dataclass
from typing import Any, Literal, final

from penstock_operator.decide.questions import Question
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import Origin, Status


@final
@dataclass(frozen=True, slots=True)
class SetFinalizer:
    """Have ours on the object, or take it away: the object may then go."""

    present: bool


@final
@dataclass(frozen=True, slots=True)
class KeepRevision:
    """Keep this version of the spec under its name. What was kept under that name before is replaced: a change that is
    applied in place, or scaled, goes on under the name of the revision that runs."""

    revision: str
    generation: int
    spec: FlinkJobSpec


@final
@dataclass(frozen=True, slots=True)
class ForgetRevision:
    """Nobody goes back to it."""

    revision: str


@final
@dataclass(frozen=True, slots=True)
class Deploy:
    """Have the processes of a revision, in standby until told to start, as its spec says."""

    revision: str
    spec: FlinkJobSpec


@final
@dataclass(frozen=True, slots=True)
class Remove:
    """Have nothing of a revision's processes."""

    revision: str


@final
@dataclass(frozen=True, slots=True)
class StartJob:
    """Tell a revision's JobManager to start the job."""

    revision: str
    start_id: str
    origin: Origin
    allow_non_restored: bool
    claim_mode: Literal["NO_CLAIM", "CLAIM"]


@final
@dataclass(frozen=True, slots=True)
class CheckState:
    """Have a standby look again at how it fits a state."""

    revision: str
    against: str | None
    """None: the newest in the journal."""


@final
@dataclass(frozen=True, slots=True)
class TriggerSavepoint:
    """Ask for a savepoint in this folder, and for the job's end after it if so told."""

    revision: str
    trigger_id: str
    directory: str
    stop: bool
    format: Literal["native", "canonical"] = "native"


@final
@dataclass(frozen=True, slots=True)
class TriggerCheckpoint:
    """Ask for a checkpoint now."""

    revision: str
    trigger_id: str


@final
@dataclass(frozen=True, slots=True)
class Rescale:
    """Have a running job at this parallelism, once under its trigger id, and as many TaskManagers as that takes."""

    revision: str
    spec: FlinkJobSpec
    trigger_id: str


@final
@dataclass(frozen=True, slots=True)
class RetainCheckpoints:
    """Have a running job keep so many completed ones from now on, and what is pinned besides."""

    revision: str
    count: int
    pinned: tuple[str, ...] | None
    """None: of a JobManager that knows no pins."""


@final
@dataclass(frozen=True, slots=True)
class Dispose:
    """Remove savepoints or retained checkpoints, and what only they need."""

    paths: tuple[str, ...]
    revision: str
    """Of the JobManager that is to do it; empty: none lives, it is done in the store under the next epoch."""


@final
@dataclass(frozen=True, slots=True)
class Purge:
    """Remove all the job has in the store: checkpoints, its savepoints, journal. Nobody rules it any more."""

    savepoints: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class WriteSnapshotStatus:
    """Of a FlinkStateSnapshot."""

    name: str
    generation: int
    """Of its spec, that this is about."""
    phase: str
    trigger_id: str
    path: str
    attempts: int
    message: str

    def as_json(self) -> dict[str, Any]:
        """What is empty is named too: it takes the place of what was there."""
        return {
            "observedGeneration": self.generation,
            "phase": self.phase,
            "triggerId": self.trigger_id,
            "path": self.path,
            "attempts": self.attempts,
            "message": self.message,
        }


@final
@dataclass(frozen=True, slots=True)
class SetSnapshotFinalizer:
    """Of a FlinkStateSnapshot."""

    name: str
    present: bool


Act = (
    SetFinalizer
    | KeepRevision
    | ForgetRevision
    | Deploy
    | Remove
    | StartJob
    | CheckState
    | TriggerSavepoint
    | TriggerCheckpoint
    | Rescale
    | RetainCheckpoints
    | Dispose
    | Purge
    | WriteSnapshotStatus
    | SetSnapshotFinalizer
)


OfJobManager = StartJob | CheckState | TriggerSavepoint | TriggerCheckpoint | Rescale | RetainCheckpoints | Dispose
"""Those that a JobManager is asked for, by REST."""


@final
@dataclass(frozen=True, slots=True)
class Event:
    """What a person would want to read in `kubectl describe`."""

    type: Literal["Normal", "Warning"]
    reason: str
    """One CamelCase word."""
    message: str
    """A sentence."""


@final
@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a pass: first the status is written, if it differs from what the object has, then come the acts.

    Or, where `ask` is not empty: nothing can be decided before that is looked at too. Nothing else in it counts then;
    the same pass observes again with these questions beside the ones it had, and decides again.
    """

    status: Status
    acts: tuple[Act, ...]
    events: tuple[Event, ...]
    look_again_s: float
    ask: frozenset[Question] = frozenset()
