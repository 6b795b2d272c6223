"""What stands in a job's journal, and what it amounts to: the operator's own reading of the engine's format. Pure.

`tests/contract` holds both readings against each other. Within a format the engine only ever adds: fields that are not
known here are ignored, and so are entries of types that are not known, but they are counted (`JournalState.unknown`),
and nothing is written to or deleted beside a journal that holds any. What would make an older reader go wrong is a new
format, and that is refused.
"""

from typing import Any, Final, Literal, final, get_args

import msgspec

from penstock_operator.errors import OperatorError, Rejected

FORMAT: Final = 1
STATE_EVERY: Final = 64
"""Every so many slots one also holds the state before it."""


@final
class Damaged(OperatorError):
    """Bytes are there, but not those that were written."""


@final
class EpochTaken(msgspec.Struct, frozen=True, tag="Epoch", tag_field="type"):
    number: int
    owner: str
    first_id: int
    ids_below: int


@final
class FromEmpty(msgspec.Struct, frozen=True, tag="empty", tag_field="kind"):
    pass


@final
class FromCheckpoint(msgspec.Struct, frozen=True, tag="checkpoint", tag_field="kind"):
    id: int


@final
class FromSavepoint(msgspec.Struct, frozen=True, tag="savepoint", tag_field="kind"):
    path: str
    claimed: bool = False


Origin = FromEmpty | FromCheckpoint | FromSavepoint


@final
class Started(msgspec.Struct, frozen=True, tag_field="type"):
    origin: Origin
    fingerprint: str
    start_id: str = ""


@final
class Completed(msgspec.Struct, frozen=True, tag_field="type"):
    id: int
    path: str
    checksum: str
    ids_below: int


@final
class IdsReserved(msgspec.Struct, frozen=True, tag_field="type"):
    ids_below: int


@final
class SavepointStopped(msgspec.Struct, frozen=True, tag_field="type"):
    id: int
    path: str
    checksum: str


@final
class Forgotten(msgspec.Struct, frozen=True, tag_field="type"):
    id: int


@final
class OriginForgotten(msgspec.Struct, frozen=True, tag_field="type"):
    pass


@final
class Finished(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    state: Literal["FINISHED", "CANCELED", "FAILED"]
    claimed: bool = False
    """Another job has claimed a checkpoint of this one, and ended it: nothing that lies there is deleted for it."""


@final
class Rescaled(msgspec.Struct, frozen=True, tag_field="type"):
    parallelism: dict[str, int]
    program: dict[str, int]


@final
class RequirementsSet(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type"):
    bounds: dict[str, tuple[int, int]]
    program: dict[str, int]
    request: str = ""
    """Of whoever asked for it once; empty when it is required for good."""


@final
class UnknownEntry(msgspec.Struct, frozen=True):
    """Of a type that came after this operator. Never written."""

    name: str


KnownEntry = (
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
Entry = KnownEntry | UnknownEntry
_KNOWN: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(KnownEntry))


@final
class Candidate(msgspec.Struct, frozen=True):
    """Something the job may be recovered from."""

    origin: Origin
    metadata_path: str = ""
    checksum: str = ""


@final
class JournalState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the slots before `slots` amount to. Fields as the engine's, so that either reads the other's."""

    slots: int = 0
    epoch: int = 0
    owner: str = ""
    first_id: int = 1
    ids_below: int = 1
    started: Started | None = None
    started_by: str = ""
    stopped: SavepointStopped | None = None
    origin_forgotten: bool = False
    finished: str | None = None
    claimed: bool = False
    """See `Finished.claimed`."""

    lineage: tuple[Completed, ...] = ()
    abandoned: tuple[Completed, ...] = ()
    rescaled: Rescaled | None = None
    required: RequirementsSet | None = None
    unknown: tuple[str, ...] = ()
    """What of it is not understood; never written."""

    @property
    def retained(self) -> tuple[Completed, ...]:
        """All that was completed and not forgotten, oldest first."""
        return tuple(sorted((*self.lineage, *self.abandoned), key=lambda completed: completed.id))

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What may be recovered from, best first."""
        if self.stopped is not None:
            return (Candidate(FromSavepoint(self.stopped.path), checksum=self.stopped.checksum),)
        found = [Candidate(FromCheckpoint(c.id), c.path, c.checksum) for c in reversed(self.lineage)]
        origin = None if self.started is None or self.origin_forgotten else self.started.origin
        if isinstance(origin, FromSavepoint | FromEmpty):
            found.append(Candidate(origin))
        return tuple(found)

    def after(self, entry: Entry) -> "JournalState":
        """With one entry more. Damaged where it cannot stand there."""
        return msgspec.structs.replace(_fold(self, entry), slots=self.slots + 1)


@final
class Record(msgspec.Struct, frozen=True):
    """One slot."""

    nonce: str
    epoch: int
    at_ms: int
    entry: Entry
    state: JournalState | None = None


_NULL: Final = msgspec.Raw(b"null")


class _Wire(msgspec.Struct):
    format: int
    nonce: str
    epoch: int
    at_ms: int
    entry: msgspec.Raw
    state: msgspec.Raw = _NULL


class _Header(msgspec.Struct):
    format: int


class _EntryType(msgspec.Struct):
    type: str


_STATE_FIELDS: Final = frozenset(JournalState.__struct_fields__) - {"unknown"}


def decode(data: bytes, where: str) -> Record:
    """A slot's bytes. Damaged; Rejected for a later format."""
    try:
        version = msgspec.json.decode(data, type=_Header).format
        if version > FORMAT:
            raise Rejected(f"{where} has format {version}; this operator reads up to format {FORMAT}: upgrade it first")
        wire = msgspec.json.decode(data, type=_Wire)
        state = None if wire.state == _NULL else _state(wire.state)
        return Record(wire.nonce, wire.epoch, wire.at_ms, _entry(wire.entry), state)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"{where} is damaged: {error}") from error


def encode(record: Record) -> bytes:
    """As the engine writes it."""
    assert not isinstance(record.entry, UnknownEntry), "what is not understood is never written"
    assert record.state is None or not record.state.unknown, "what is not understood is never written"
    wire: dict[str, Any] = {
        "format": FORMAT,
        "nonce": record.nonce,
        "epoch": record.epoch,
        "at_ms": record.at_ms,
        "entry": record.entry,
    }
    return msgspec.json.encode(wire if record.state is None else wire | {"state": record.state})


def _entry(raw: msgspec.Raw) -> Entry:
    name = msgspec.json.decode(raw, type=_EntryType).type
    return msgspec.json.decode(raw, type=KnownEntry) if name in _KNOWN else UnknownEntry(name)


def _state(raw: msgspec.Raw) -> JournalState:
    state = msgspec.json.decode(raw, type=JournalState)
    strange = sorted(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).keys() - _STATE_FIELDS)
    return msgspec.structs.replace(state, unknown=tuple(strange))


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
            lineage, below = (*state.lineage, entry), max(state.ids_below, ids_below)
            return replace(state, lineage=lineage, ids_below=below, stopped=None)
        case IdsReserved(ids_below):
            return replace(state, ids_below=max(state.ids_below, ids_below))
        case SavepointStopped():
            return replace(state, stopped=entry)
        case Forgotten(id):
            lineage, abandoned = _without(state.lineage, id), _without(state.abandoned, id)
            return replace(state, lineage=lineage, abandoned=abandoned)
        case OriginForgotten():
            return replace(state, origin_forgotten=True)
        case Finished(name, claimed):
            return replace(state, finished=name, claimed=claimed)
        case Rescaled():
            return replace(state, rescaled=entry)
        case RequirementsSet(bounds):
            return replace(state, required=entry if bounds else None)
        case UnknownEntry(name):
            return replace(state, unknown=(*state.unknown, name))


def _started(state: JournalState, entry: Started) -> JournalState:
    from_checkpoint = isinstance(entry.origin, FromCheckpoint)
    kept: tuple[Completed, ...] = ()
    if isinstance(entry.origin, FromCheckpoint):
        kept = _turned_to(state, entry.origin.id)
    origin = state.started.origin if from_checkpoint and state.started is not None else entry.origin
    start_id = entry.start_id
    if not start_id and state.started is not None and state.started_by == state.owner:
        start_id = state.started.start_id
    return msgspec.structs.replace(
        state,
        started=Started(origin, entry.fingerprint, start_id),
        started_by=state.owner,
        stopped=None,
        origin_forgotten=state.origin_forgotten and from_checkpoint,
        finished=None,
        claimed=False,
        lineage=kept,
        abandoned=tuple(c for c in state.retained if c not in kept),
        rescaled=None if state.finished is not None else state.rescaled,
        required=None if state.finished is not None else state.required,
    )


def _turned_to(state: JournalState, id: int) -> tuple[Completed, ...]:
    chosen = next((c for c in state.retained if c.id == id), None)
    if chosen is None:
        raise Damaged(f"journal slot {state.slots}: started from checkpoint {id}, which is not retained")
    return tuple(c for c in state.lineage if c.id <= id) if chosen in state.lineage else (chosen,)


def _without(completed: tuple[Completed, ...], id: int) -> tuple[Completed, ...]:
    return tuple(c for c in completed if c.id != id)


def _check(holds: bool, state: JournalState, found: str) -> None:
    if not holds:
        raise Damaged(f"journal slot {state.slots}: {found}")
