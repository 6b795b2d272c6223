"""`_metadata`: everything a restore needs to know about one checkpoint or savepoint, as JSON that people can read.

The coordinator's shell writes it, recovery and the command line read it, and so does the operator. The outer object
holds the format version and a checksum over the inner one, byte for byte as it stands in the file, so that damage shows
even where no journal is at hand. Nothing here does I/O.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.handles import (
    FileHandle,
    KeyedHandle,
    OperatorListHandle,
    OperatorSnapshot,
    OperatorStateHandle,
    StateFile,
    StateInfo,
    TaskSnapshot,
    files_of,
)
from penstock.checkpoint.plan import TaskShape
from penstock.records.key_types import joined_json

FORMAT: Final = 1


@final
class SubtaskState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one subtask of an operator left behind."""

    index: int
    keyed: tuple[KeyedHandle, ...] = ()
    operator: OperatorStateHandle | None = None
    finished: bool = False
    """It had ended before the checkpoint began, with nothing left to commit: it has nothing to do again."""

    @property
    def is_empty(self) -> bool:
        return not self.keyed and (self.operator is None or not self.operator.states)


@final
class OperatorState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All state of one operator."""

    uid: OperatorUid
    parallelism: int
    max_parallelism: int
    subtasks: tuple[SubtaskState, ...]
    """In order of index. A subtask that is absent had no state."""

    name: str = ""
    states: tuple[StateInfo, ...] = ()
    key_type: dict[str, Any] | None = None
    coordinator: bytes | None = None
    """State of the operator's counterpart in the JobManager, such as a source's enumerator."""

    @property
    def finished(self) -> bool:
        """Whether the whole operator had finished."""
        return len(self.subtasks) == self.parallelism and all(subtask.finished for subtask in self.subtasks)

    @property
    def is_empty(self) -> bool:
        return self.coordinator is None and all(subtask.is_empty for subtask in self.subtasks)

    def files(self) -> Iterator[StateFile]:
        for subtask in self.subtasks:
            yield from files_of(subtask.keyed, subtask.operator)


@final
class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One checkpoint or savepoint."""

    kind: Literal["checkpoint", "savepoint"] = "checkpoint"
    job: JobId
    job_name: str = ""
    checkpoint: CheckpointId
    epoch: Epoch
    triggered_ms: int
    fingerprint: str
    """Of the graph that wrote it."""

    operators: tuple[OperatorState, ...]

    def files(self) -> Iterator[StateFile]:
        for operator in self.operators:
            yield from operator.files()

    def paths(self, *, shared: bool) -> frozenset[str]:
        """Paths of the files in the job's own folder: those of this checkpoint alone, or those it may share."""
        own = (f for f in self.files() if f.file.inline is None and f.file.root is None)
        return frozenset(f.file.path for f in own if f.shared is shared)

    def state_bytes(self) -> int:
        return sum(f.file.size for f in self.files()) + sum(len(o.coordinator or b"") for o in self.operators)

    def rebased(self, root: str) -> "Metadata":
        """The same, for another job to restore from: every path begins in the folder `root`."""
        return _rebase(self, root)


class _Document(msgspec.Struct, frozen=True):
    format: int
    checksum: str
    content: msgspec.Raw


def encode(metadata: Metadata) -> bytes:
    content = msgspec.json.format(msgspec.json.encode(metadata), indent=1)
    document = _Document(FORMAT, checksum_of(content), msgspec.Raw(content))
    return msgspec.json.encode(document)


def decode(data: bytes, where: str) -> Metadata:
    """`where` is the address, for errors. DamagedData: not what was written; IncompatibleState: of a later Penstock."""
    try:
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("format")
        number = None if version is None else msgspec.json.decode(version, type=int)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedData(f"{where} is damaged: {error}") from error
    if number is None or number < 1:
        raise DamagedData(f"{where} is no checkpoint metadata: it names no format")
    if number > FORMAT:
        raise IncompatibleState(f"{where} has format {number}; this Penstock reads up to format {FORMAT}")
    try:
        document = msgspec.json.decode(data, type=_Document)
        content = bytes(document.content)
        if checksum_of(content) != document.checksum:
            raise DamagedData(f"{where} is damaged: its checksum is not {document.checksum}")
        metadata = msgspec.json.decode(content, type=Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedData(f"{where} is damaged: {error}") from error
    fault = next(_faults(metadata), None)
    if fault is not None:
        raise DamagedData(f"{where} is damaged: {fault}")
    return metadata


def gather(
    tasks: Sequence[TaskSnapshot],
    ended: Sequence[TaskShape],
    coordinators: Mapping[OperatorUid, bytes],
) -> tuple[OperatorState, ...]:
    """What tasks handed over, by operator. `ended`: tasks that were gone before the checkpoint began.

    StateError when subtasks of one operator contradict each other.
    """
    parts: dict[OperatorUid, dict[int, SubtaskState]] = {}
    shapes: dict[OperatorUid, OperatorSnapshot] = {}
    for task in tasks:
        for snapshot in task.operators:
            shapes[snapshot.uid] = _agreed(shapes.get(snapshot.uid), snapshot)
            state = SubtaskState(snapshot.subtask, snapshot.keyed, snapshot.operator, task.finished)
            parts.setdefault(snapshot.uid, {})[snapshot.subtask] = state
    for gone in ended:
        index = gone.subtask.index
        for uid in gone.operators:
            bare = OperatorSnapshot(uid, index, gone.parallelism, gone.max_parallelism)
            shapes[uid] = _agreed(shapes.get(uid), bare)
            parts.setdefault(uid, {})[index] = SubtaskState(index, finished=True)
    assert coordinators.keys() <= parts.keys(), "whatever has a counterpart in the JobManager has tasks"
    return tuple(
        OperatorState(
            uid,
            shapes[uid].parallelism,
            shapes[uid].max_parallelism,
            tuple(subtasks[index] for index in sorted(subtasks)),
            shapes[uid].name,
            shapes[uid].states,
            shapes[uid].key_type,
            coordinators.get(uid),
        )
        for uid, subtasks in sorted(parts.items())
    )


def _agreed(known: OperatorSnapshot | None, new: OperatorSnapshot) -> OperatorSnapshot:
    """What subtasks say together about their operator; the states themselves are dropped."""
    bare = msgspec.structs.replace(new, keyed=(), operator=None)
    if known is None:
        return bare
    name = known.name or new.name
    if (known.parallelism, known.max_parallelism) != (new.parallelism, new.max_parallelism):
        raise StateError(f"subtasks of {name or new.uid} disagree about its parallelism")
    key_type = _agreed_key_type(known.key_type, new.key_type)
    if key_type is None and known.key_type is not None:
        raise StateError(
            f"keys of {name or new.uid} have two types: {known.key_type} and, in subtask {new.subtask}, {new.key_type}"
        )
    states = {info.name: info for info in known.states}
    for info in new.states:
        if states.setdefault(info.name, info) != info:
            raise StateError(f"state {info.name!r} of {name or new.uid} has two types: {states[info.name]} and {info}")
    return msgspec.structs.replace(known, name=name, key_type=key_type, states=tuple(states[n] for n in sorted(states)))


def _agreed_key_type(known: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any] | None:
    """One type for both: a subtask that has only seen None somewhere agrees with any; nothing if they differ."""
    if known is None or new is None:
        return new if known is None else known
    joined = joined_json(known["key"], new["key"])
    return None if joined is None else {"key": joined}


def _faults(metadata: Metadata) -> Iterator[str]:
    uids = [operator.uid for operator in metadata.operators]
    if len(set(uids)) != len(uids):
        yield "it names an operator twice"
    for operator in metadata.operators:
        yield from (f"operator {operator.uid}: {fault}" for fault in _operator_faults(operator))


def _operator_faults(operator: OperatorState) -> Iterator[str]:
    if not 1 <= operator.parallelism <= operator.max_parallelism:
        yield f"parallelism {operator.parallelism} of at most {operator.max_parallelism}"
    indexes = [subtask.index for subtask in operator.subtasks]
    if indexes != sorted(set(indexes)) or any(not 0 <= index < operator.parallelism for index in indexes):
        yield f"subtasks {indexes} of {operator.parallelism}"
    for subtask in operator.subtasks:
        for handle in subtask.keyed:
            if not 0 <= handle.key_groups[0] <= handle.key_groups[1] < operator.max_parallelism:
                yield f"key groups {handle.key_groups} of {operator.max_parallelism}"
        for name, state in (subtask.operator.states if subtask.operator else {}).items():
            if any(at < 0 or length < 0 or at + length > state.file.size for at, length in state.partitions):
                yield f"state {name!r} has elements outside its file"
    yield from filter(None, (_file_fault(file.file) for file in operator.files()))


def _file_fault(file: FileHandle) -> str | None:
    if file.size < 0:
        return f"a file of {file.size} bytes"
    if file.inline is not None:
        if len(file.inline) != file.size or checksum_of(file.inline) != file.checksum:
            return "inline state does not match its checksum"
    elif any(part in ("", ".", "..") for part in file.path.split("/")):
        return f"{file.path!r} is no path of a file"
    return None


def _rebase(metadata: Metadata, root: str) -> Metadata:
    def file(handle: FileHandle) -> FileHandle:
        return handle if handle.inline is not None or handle.root else msgspec.structs.replace(handle, root=root)

    def keyed(handle: KeyedHandle) -> KeyedHandle:
        files = tuple(StateFile(f.name, file(f.file), f.shared) for f in handle.files)
        return msgspec.structs.replace(handle, files=files)

    def listed(handle: OperatorListHandle) -> OperatorListHandle:
        return msgspec.structs.replace(handle, file=file(handle.file))

    def subtask(state: SubtaskState) -> SubtaskState:
        states = state.operator and OperatorStateHandle({n: listed(h) for n, h in state.operator.states.items()})
        return msgspec.structs.replace(state, keyed=tuple(keyed(k) for k in state.keyed), operator=states)

    operators = (msgspec.structs.replace(o, subtasks=tuple(subtask(s) for s in o.subtasks)) for o in metadata.operators)
    return msgspec.structs.replace(metadata, operators=tuple(operators))
