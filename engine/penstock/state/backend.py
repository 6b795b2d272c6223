"""What a keyed state backend offers: to operators (handles, prepare) and to the task (snapshots, restore).

Both backends implement these protocols and pass one conformance suite. Everything here runs on the task's
thread, except `KeyedSnapshot.write`, which runs in a thread of the worker's pool.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, Protocol, final

import msgspec

from penstock.base.errors import StateError
from penstock.base.ids import CheckpointId
from penstock.records.key_groups import KeyGroupRange
from penstock.state.descriptors import StateDescriptor
from penstock.state.handles import FileHandle, KeyedHandle, StateInfo

SnapshotForm = Literal["incremental", "anew", "full", "canonical"]
"""What a snapshot is to be: of what changed, as the settings allow; of everything, for later ones to build on; native
and alone, referring to no other snapshot's files; or in the open form that every backend reads, alone too. Nothing
builds on the last two."""


@final
class _NoKey:
    """Stands where no record and no timer is being processed. No state is kept under it: looking it up is an error."""

    def __hash__(self) -> int:
        raise StateError(
            "no key is set: keyed state is read and written while a record or a timer is processed, not in open()"
        )


@final
class CurrentKey:
    """The key whose state is reachable now. The operator's loop sets `key` before each record: one slot, no call."""

    __slots__ = ("key",)

    def __init__(self) -> None:
        self.key: Any = _NoKey()


@final
class NativeState(msgspec.Struct, frozen=True):
    """What the database under a backend says of itself."""

    figures: dict[str, dict[str, int]]
    """By state, then by name; of the whole database under the empty name."""
    family_as_variable: bool


class SnapshotWriter(Protocol):
    """Where a snapshot puts its bytes: the checkpoint's store, or inline for small pieces."""

    def write(self, name: str, data: bytes, *, shared: bool) -> FileHandle:
        """Make `data` durable under a name of its own and return its handle.

        In a savepoint a name with a slash in it is the file's path below the savepoint's folder, and makes a file
        however small it is; nothing is shared there.
        """

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        """As `write`, from a local file, streaming."""


class SnapshotReader(Protocol):
    """Where a restore reads from. Both raise DamagedData when the bytes are not those that were written."""

    def read(self, handle: FileHandle) -> bytes:
        """All bytes of a file."""

    def fetch(self, handle: FileHandle, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        """The file, downloaded to a local path. `unchanging`: it will only be read and removed there.

        `again`: tasks beside ours will probably fetch it too, or we shall.
        """


class KeyedSnapshot(Protocol):
    """A snapshot under way: what the barrier fixed, serialised in slices, then written in a thread."""

    def advance(self, budget_s: float) -> bool:
        """Serialise on the task's thread for about `budget_s`; True when nothing is left to do there."""

    def write(self, writer: SnapshotWriter) -> KeyedHandle:
        """Write it out (in a thread, once `advance` has returned True)."""

    def discard(self) -> None:
        """Forget it: the checkpoint was aborted. What it would have contained belongs to the next one again."""


class KeyedBackend(Protocol):
    """The keyed state of one operator's subtask."""

    current: CurrentKey
    key_groups: KeyGroupRange
    recent_keys: Sequence[Any]
    """What `prepare` was given last; for metrics."""

    def state(self, descriptor: StateDescriptor, *, namespaced: bool = False) -> Any:
        """The handle of a state, created or found again. StateError when the name is taken by another type.

        Namespaced handles have `set_namespace(namespace)` besides (windows use it).
        """

    def prepare(self, keys: Sequence[Any]) -> None:
        """Once per batch, before it runs: the keys whose state it may read or change.

        What a running snapshot still needs of them is serialised now; they are noted as touched;
        misses are fetched together.
        """

    def entries(self, name: str) -> Iterator[tuple[Any, Any, Any, Any]]:
        """(key, namespace, map key or None, value) of every entry of a state; of a list, each element.

        For timers after a restore and for tools.
        """

    def snapshot(self, checkpoint: CheckpointId, *, form: SnapshotForm) -> KeyedSnapshot:
        """The synchronous part, at the barrier."""

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        """This checkpoint is confirmed: later ones may build on its files."""

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        """This checkpoint will never be confirmed."""

    def idle(self, budget_s: float) -> bool:
        """Housekeeping between batches (overlay drain, expired entries); True when there is nothing more to do."""

    def infos(self) -> tuple[StateInfo, ...]:
        """Every state registered so far, for `_metadata`. Called in the writing thread too."""

    def key_info(self) -> dict[str, Any] | None:
        """Snapshot of the key's serialiser for `_metadata`; None while no key was seen and none declared."""

    def size_bytes(self) -> int:
        """Roughly what the state occupies; for metrics."""

    def size_keys(self) -> int:
        """Roughly how many keys have state; for metrics."""

    def native_figures(self) -> NativeState | None:
        """What the database under it says of itself, where that was asked for; for metrics."""

    def sample_keys(self, start: int, count: int) -> Sequence[Any]:
        """`count` keys from the `start`-th on, in whatever order costs nothing; fewer at the end. For metrics."""

    def close(self) -> None:
        """Release memory, local files and handles."""
