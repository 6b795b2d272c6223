"""`_metadata` of checkpoints and savepoints, as far as the operator needs it: whose it is, and which files it has.

Pure. The state itself is never read; that the bytes of a file are right shows only when the engine reads them.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, final

import msgspec
import xxhash

from penstock_operator.clients.journal_format import Damaged
from penstock_operator.errors import Rejected

FORMAT: Final = 1


class _FileHandle(msgspec.Struct, frozen=True):
    path: str
    size: int
    inline: str | None = None
    root: str | None = None


class _StateFile(msgspec.Struct, frozen=True):
    file: _FileHandle
    shared: bool = False


class _Keyed(msgspec.Struct, frozen=True):
    files: tuple[_StateFile, ...] = ()


class _ListState(msgspec.Struct, frozen=True):
    file: _FileHandle


class _OperatorState(msgspec.Struct, frozen=True):
    states: dict[str, _ListState] = {}


class _Subtask(msgspec.Struct, frozen=True):
    keyed: tuple[_Keyed, ...] = ()
    operator: _OperatorState | None = None


class _Operator(msgspec.Struct, frozen=True):
    max_parallelism: int
    subtasks: tuple[_Subtask, ...]
    coordinator: str | None = None

    def files(self) -> Iterator[_StateFile]:
        for subtask in self.subtasks:
            for handle in subtask.keyed:
                yield from handle.files
            for state in (subtask.operator or _OperatorState()).states.values():
                yield _StateFile(state.file)


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["checkpoint", "savepoint"] = "checkpoint"
    job: str
    checkpoint: int
    triggered_ms: int
    operators: tuple[_Operator, ...]


class _Document(msgspec.Struct, frozen=True):
    checksum: str
    content: msgspec.Raw


class _Header(msgspec.Struct):
    format: int


@final
class Metadata(msgspec.Struct, frozen=True):
    """One checkpoint or savepoint."""

    kind: Literal["checkpoint", "savepoint"]
    job: str
    checkpoint: int
    triggered_ms: int
    own: Mapping[str, int]
    """Sizes of its files by path, relative to the folder of the checkpoints or of the savepoint."""
    shared: Mapping[str, int]
    """The same of those that other checkpoints may refer to too."""
    state_bytes: int
    """All that a restore reads."""
    max_parallelism: int | None
    """What most operators that have state say; of several the greatest. None where none has any."""

    @property
    def files(self) -> dict[str, int]:
        return {**self.own, **self.shared}


def checksum_of(data: bytes) -> str:
    return f"xxh3:{xxhash.xxh3_128_hexdigest(data)}"


def decode(data: bytes, where: str) -> Metadata:
    """Damaged where it is not what was written; Rejected for a later format."""
    try:
        version = msgspec.json.decode(data, type=_Header).format
        if version > FORMAT:
            raise Rejected(f"{where} has format {version}; this operator reads up to format {FORMAT}: upgrade it first")
        document = msgspec.json.decode(data, type=_Document)
        if checksum_of(bytes(document.content)) != document.checksum:
            raise Damaged(f"{where} is damaged: its checksum is not {document.checksum}")
        content = msgspec.json.decode(document.content, type=_Content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"{where} is damaged: {error}") from error
    return _metadata(content, where)


def _metadata(content: _Content, where: str) -> Metadata:
    own: dict[str, int] = {}
    shared: dict[str, int] = {}
    total = 0
    for operator in content.operators:
        total += len(operator.coordinator or "") * 3 // 4
        for state in operator.files():
            total += state.file.size
            if state.file.inline is None and state.file.root is None:
                _check_path(state.file.path, where)
                (shared if state.shared else own)[state.file.path] = state.file.size
    return Metadata(
        content.kind,
        content.job,
        content.checkpoint,
        content.triggered_ms,
        own,
        shared,
        total,
        _max_parallelism(content.operators),
    )


def _max_parallelism(operators: tuple[_Operator, ...]) -> int | None:
    said = [operator.max_parallelism for operator in operators if any(True for _ in operator.files())]
    return max(said, key=lambda number: (said.count(number), number), default=None)


def _check_path(path: str, where: str) -> None:
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise Damaged(f"{where} is damaged: {path!r} is no path of a file")
