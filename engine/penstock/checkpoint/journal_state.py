"""What a job's journal says: its entries, and the state that they fold into. Pure.

`journal.py` reads and appends; recovery, the coordinator and the operator's contract tests ask the state. Entries are
facts and are never changed; the order of slots is the order of events.
"""

from collections.abc import Iterable
from typing import Final, Literal, final

import msgspec

from penstock.base.errors import DamagedData
from penstock.base.ids import CheckpointId, Epoch, VertexId

IDS_AHEAD: Final = 4
"""How many checkpoint ids beyond the newest completed one a reign may use before it must reserve more.

A successor begins beyond what was reserved, so that no id is ever used twice, even by a JobManager that slept
through its succession."""

FIRST_CHECKPOINT: Final = CheckpointId(1)


@final
class EpochTaken(msgspec.Struct, frozen=True, tag="Epoch", tag_field="type"):
    """A JobManager began its reign. The nonce of its slot is what its owner knows it by."""

    number: Epoch
    owner: str
    first_id: CheckpointId
    """Checkpoints of this reign have this id or a later one; none of an earlier reign has."""

    ids_below: CheckpointId
    """This reign may use ids below this one."""


@final
class FromEmpty(msgspec.Struct, frozen=True, tag="empty", tag_field="kind"):
    """Without state."""


@final
class FromCheckpoint(msgspec.Struct, frozen=True, tag="checkpoint", tag_field="kind"):
    """From a completed checkpoint of this very job."""

    id: CheckpointId


@final
class FromSavepoint(msgspec.Struct, frozen=True, tag="savepoint", tag_field="kind"):
    """From a folder with a `_metadata`: a savepoint, or a retained checkpoint of another job."""

    path: str
    """Address of the folder."""

    claimed: bool = False
    """Whether it has become the job's own, to be deleted when it is needed no more."""


Origin = FromEmpty | FromCheckpoint | FromSavepoint


@final
class Started(msgspec.Struct, frozen=True, tag_field="type"):
    """The job began to run from `origin`; nothing before that is recovered from, but what `origin` itself came from."""

    origin: Origin
    fingerprint: str
    start_id: str = ""
    """By which whoever told the JobManager to start knows this start; empty when nobody told it to."""


@final
class Completed(msgspec.Struct, frozen=True, tag_field="type"):
    """The checkpoint exists."""

    id: CheckpointId
    path: str
    """Of its `_metadata`, relative to the checkpoint folder."""

    checksum: str
    """Of its `_metadata`."""

    ids_below: CheckpointId


@final
class IdsReserved(msgspec.Struct, frozen=True, tag_field="type"):
    """Many checkpoints in a row did not complete: their ids are used up, this reign goes on with later ones."""

    ids_below: CheckpointId


@final
class SavepointStopped(msgspec.Struct, frozen=True, tag_field="type"):
    """The job was stopped with this savepoint: it stands for everything the job has done."""

    id: CheckpointId
    path: str
    """Address of the savepoint's folder."""

    checksum: str
    """Of its `_metadata`."""


@final
class Forgotten(msgspec.Struct, frozen=True, tag_field="type"):
    """The checkpoint is no longer to be recovered from; its files may go."""

    id: CheckpointId


@final
class OriginForgotten(msgspec.Struct, frozen=True, tag_field="type"):
    """What the job was started from is no longer to be recovered from; claimed as it was, it is to be deleted."""


@final
class Finished(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """The job reached a final state: a successor must not run it again. A later `Started` begins it anew."""

    state: Literal["FINISHED", "CANCELED", "FAILED"]
    claimed: bool = False
    """Another job has claimed a checkpoint of this one, and ended it: nothing that lies there is deleted for it."""


@final
class Rescaled(msgspec.Struct, frozen=True, tag_field="type"):
    """The job runs at another parallelism than its program says; appended once it does. Any checkpoint fits either."""

    parallelism: dict[VertexId, int]
    """Of every vertex that differs from the program."""

    program: dict[VertexId, int]
    """What the program said of these: should it say something else one day, that is the newer word."""


@final
class RequirementsSet(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """Somebody requires the job to have a parallelism within bounds, as long as nobody says otherwise."""

    bounds: dict[VertexId, tuple[int, int]]
    """The lower and the upper one, of every vertex; of none: nothing is required any more."""

    program: dict[VertexId, int]
    """What the program said of these: should it say something else one day, that is the newer word."""

    request: str = ""
    """What somebody knows it by who asked for it once: nothing is required any more when it has come about."""


Entry = (
    EpochTaken
    | Started
    | Completed
    | IdsReserved
    | SavepointStopped
    | Forgotten
    | OriginForgotten
    | Finished
    | Rescaled
    | RequirementsSet
)


@final
class Candidate(msgspec.Struct, frozen=True):
    """Something the job may be recovered from."""

    origin: Origin
    metadata_path: str = ""
    """Relative to the checkpoint folder, for a checkpoint."""

    checksum: str = ""
    """Of `_metadata`; empty when the journal does not know it."""


@final
class JournalState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the entries up to `slots` amount to."""

    slots: int = 0
    """How many slots are filled; the next one to fill."""

    epoch: Epoch = Epoch(0)
    owner: str = ""
    first_id: CheckpointId = FIRST_CHECKPOINT
    """Of the current reign."""

    ids_below: CheckpointId = FIRST_CHECKPOINT
    started: Started | None = None
    """With what the job's lineage came from, and the id of the start that the owner of the reign was told last."""

    started_by: str = ""
    """Whose reign it was when the job last began to run; `owner` may have taken its epoch since, and not begun."""

    stopped: SavepointStopped | None = None
    origin_forgotten: bool = False
    """Whether what it was started from is none of the candidates any more."""

    finished: str | None = None
    claimed: bool = False
    """See `Finished.claimed`."""

    lineage: tuple[Completed, ...] = ()
    """Completed, not forgotten, and part of what the job now runs from; oldest first."""

    abandoned: tuple[Completed, ...] = ()
    """Completed, not forgotten, but of a past that a `Started` has turned away from; their files are still there."""

    rescaled: Rescaled | None = None
    required: RequirementsSet | None = None

    @property
    def next_id(self) -> CheckpointId:
        """Where the next reign begins to count."""
        return self.ids_below

    @property
    def retained(self) -> tuple[Completed, ...]:
        """All that was completed and not forgotten, oldest first."""
        return tuple(sorted((*self.lineage, *self.abandoned), key=lambda completed: completed.id))

    @property
    def terminal(self) -> bool:
        """Whether the job came to its end and must not be run again by a mere successor.

        One that was stopped has not, while nobody has recorded its end: what its sinks prepared may not be committed.
        """
        return self.finished is not None

    @property
    def owns_origin(self) -> bool:
        """Whether the job has claimed what it was started from, and still holds it."""
        origin = None if self.started is None else self.started.origin
        return isinstance(origin, FromSavepoint) and origin.claimed and not self.origin_forgotten

    def candidates(self) -> tuple[Candidate, ...]:
        """What may be recovered from, best first; empty when nothing was ever started or completed."""
        if self.stopped is not None:
            # Some of what was done since the checkpoint before it may be visible already: there is no way back.
            return (Candidate(FromSavepoint(self.stopped.path), checksum=self.stopped.checksum),)
        found = [Candidate(FromCheckpoint(c.id), c.path, c.checksum) for c in reversed(self.lineage)]
        if self.origin_forgotten:
            return tuple(found)
        match self.started and self.started.origin:
            case FromSavepoint() | FromEmpty() as origin:
                found.append(Candidate(origin))
            case FromCheckpoint() | None:
                pass
        return tuple(found)

    def after(self, entry: Entry) -> "JournalState":
        """The state once `entry` stands in the next slot. DamagedData when it cannot stand there."""
        return msgspec.structs.replace(_fold(self, entry), slots=self.slots + 1)


def folded(entries: Iterable[Entry]) -> JournalState:
    state = JournalState()
    for entry in entries:
        state = state.after(entry)
    return state


def _fold(state: JournalState, entry: Entry) -> JournalState:
    replace = msgspec.structs.replace
    match entry:
        case EpochTaken(number, owner, first_id, ids_below):
            _check(number > state.epoch, state, f"epoch {number} follows epoch {state.epoch}")
            _check(first_id >= state.ids_below, state, f"epoch {number} uses ids from {first_id} again")
            return replace(state, epoch=number, owner=owner, first_id=first_id, ids_below=max(first_id, ids_below))
        case Started():
            return _started(state, entry)
        case Completed(id=id, ids_below=ids_below):
            newest = max((c.id for c in state.retained), default=0)
            _check(newest < id < state.ids_below, state, f"checkpoint {id} follows {newest}")
            return replace(
                state, lineage=(*state.lineage, entry), ids_below=max(state.ids_below, ids_below), stopped=None
            )
        case IdsReserved(ids_below):
            return replace(state, ids_below=max(state.ids_below, ids_below))
        case SavepointStopped():
            return replace(state, stopped=entry)
        case Forgotten(id):
            keep = [c for c in state.lineage if c.id != id]
            return replace(state, lineage=tuple(keep), abandoned=tuple(c for c in state.abandoned if c.id != id))
        case OriginForgotten():
            return replace(state, origin_forgotten=True)
        case Finished(name, claimed):
            return replace(state, finished=name, claimed=claimed)
        case Rescaled():
            return replace(state, rescaled=entry)
        case RequirementsSet(bounds):
            return replace(state, required=entry if bounds else None)


def _started(state: JournalState, entry: Started) -> JournalState:
    match entry.origin:
        case FromCheckpoint(id):
            kept, left = _turned_to(state, id)
        case FromSavepoint() | FromEmpty():
            kept, left = (), state.retained
    # What the lineage itself once came from stays its last resort while a checkpoint of it is what the job runs from.
    origin = entry if not isinstance(entry.origin, FromCheckpoint) or state.started is None else state.started
    start_id = entry.start_id
    if not start_id and state.started is not None and state.started_by == state.owner:
        start_id = state.started.start_id  # It goes on with what it was told to begin.
    started = Started(origin.origin, entry.fingerprint, start_id)
    forgotten = state.origin_forgotten and isinstance(entry.origin, FromCheckpoint)
    return msgspec.structs.replace(
        state,
        started=started,
        started_by=state.owner,
        stopped=None,
        origin_forgotten=forgotten,
        finished=None,
        claimed=False,
        lineage=kept,
        abandoned=left,
        # A job that had ended and begins anew is the program's again.
        rescaled=None if state.terminal else state.rescaled,
        required=None if state.terminal else state.required,
    )


def _turned_to(state: JournalState, id: CheckpointId) -> tuple[tuple[Completed, ...], tuple[Completed, ...]]:
    """The lineage up to a checkpoint, and all that is left beside it."""
    chosen = next((c for c in state.retained if c.id == id), None)
    if chosen is None:
        raise DamagedData(f"journal slot {state.slots}: started from checkpoint {id}, which is not retained")
    # Of a checkpoint that was turned away from before, what it was built on is no longer known.
    kept = tuple(c for c in state.lineage if c.id <= id) if chosen in state.lineage else (chosen,)
    return kept, tuple(c for c in state.retained if c not in kept)


def _check(holds: bool, state: JournalState, found: str) -> None:
    if not holds:
        raise DamagedData(f"journal slot {state.slots}: {found}")
