"""What is left of state once it is written: handles, values that travel in acknowledgements and lie in `_metadata`.

State backends make and read them, the checkpoint layer counts and places them, RPC carries them. They live here, below
`checkpoint`, because backends may not import what is above them. Nothing here opens a file: see `SnapshotWriter`.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, final

import msgspec

KeyGroups = tuple[int, int]
"""First and last key group of a contiguous range, both included."""

ListMode = Literal["split", "union", "broadcast"]


@final
class FileHandle(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some written bytes: a file in a store, or, when small, the bytes themselves."""

    path: str
    """Relative to `root`; empty when inline."""

    size: int

    checksum: str
    """Algorithm and hexadecimal digest, as `xxh3:0123...`."""

    inline: bytes | None = None
    """The bytes themselves (base64 in JSON)."""

    root: str | None = None
    """Address of the folder `path` begins in; None: the checkpoint folder of the job, or that of the savepoint."""


@final
class StateFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file of a keyed snapshot under the name its backend knows it by."""

    name: str
    file: FileHandle
    shared: bool = False
    """Later checkpoints may refer to this file too, so it lives in `shared/` and is counted."""


def is_reusable(state: StateFile) -> bool:
    """Whether a later checkpoint of the job may refer to the file: shared, and in the job's own folder."""
    return state.shared and state.file.root is None


@final
class StateInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a registered state is: enough to tell whether a program that asks for it later asks for the same."""

    name: str
    kind: str
    """value, list, map, reducing, aggregating, timers; or list, union, broadcast for operator state."""

    types: dict[str, Any] = {}
    """Snapshot of the serialiser of each part (value, map key, namespace...), by part, as the type describes itself."""

    options: dict[str, Any] = {}
    """What else restoring needs to know, such as time to live."""


@final
class KeyedHandle(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keyed state of a range of key groups, as one subtask wrote it."""

    backend: str
    key_groups: KeyGroups
    files: tuple[StateFile, ...] = ()
    """In the order in which the backend must apply them."""

    meta: dict[str, Any] = {}
    """Whatever the backend needs besides; JSON values only."""


@final
class OperatorListHandle(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operator list or broadcast state of one subtask: a file of which each partition is one element."""

    mode: ListMode
    file: FileHandle
    partitions: tuple[tuple[int, int], ...]
    """Offset and length of each element that belongs to this handle; redistribution moves elements, not files."""


@final
class OperatorStateHandle(msgspec.Struct, frozen=True, omit_defaults=True):
    """All operator state of one subtask, by state name. Splits of a source reader are a split list state too."""

    states: dict[str, OperatorListHandle] = {}


def file_stem(uid: str, checkpoint: int) -> str:
    """How names of an operator's files begin: whatever the uid is, nothing that a path or an address cannot hold."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', uid)[:40]}-{checkpoint}"


def files_of(keyed: tuple[KeyedHandle, ...], operator: OperatorStateHandle | None) -> Iterator[StateFile]:
    """Every file these handles refer to, inline ones included."""
    for handle in keyed:
        yield from handle.files
    if operator is not None:
        for name, state in operator.states.items():
            yield StateFile(name, state.file)
