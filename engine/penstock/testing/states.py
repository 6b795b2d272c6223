"""One subtask's keyed state by itself, for tests and experiments: a backend, files in memory, a clock to move."""

from pathlib import Path
from typing import Any, Literal, final

from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import TypeInformation
from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import KeyedBackend, SnapshotForm
from penstock.state.handles import KeyedHandle
from penstock.state.open import open_backend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles

ALL = KeyGroupRange(0, 127)


@final
class MovableClock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.at_ms = 1_000_000

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1_000


@final
class OneSubtask:
    """The keyed state of one subtask with files in memory, restored as often as a test likes."""

    def __init__(self, kind: Literal["hashmap", "rocksdb"], directory: Path, *, memory_bytes: int = 8 << 20) -> None:
        self.kind: Literal["hashmap", "rocksdb"] = kind
        self.directory = directory
        self.files = MemoryFiles()
        self.clock = MovableClock()
        self.memory = RocksMemory(memory_bytes)
        self.settings = StateSettings(incremental=True)
        self.checkpoints = 0
        self.key_type: TypeInformation | None = None
        self.backend = self.open([])

    def open(
        self,
        handles: list[KeyedHandle],
        key_groups: KeyGroupRange = ALL,
        *,
        restored_keys: dict[str, Any] | None = None,
    ) -> KeyedBackend:
        """A backend with what these handles hold; `backend` is the first of them."""
        return open_backend(
            self.kind,
            operator_name="sessions",
            uid="sessions",
            key_groups=key_groups,
            max_parallelism=128,
            key_type=self.key_type,
            restore=handles,
            restored_keys=restored_keys,
            reader=self.files,
            directory=self.directory,
            clock=self.clock,
            memory=self.memory,
            settings=self.settings,
        )

    def on(self, key: Any) -> None:
        """A batch of one record with this key begins."""
        self.backend.prepare([key])
        self.backend.current.key = key

    def snapshot(self, *, form: SnapshotForm = "incremental") -> KeyedHandle:
        """A checkpoint, taken, written and confirmed."""
        self.checkpoints += 1
        snapshot = self.backend.snapshot(CheckpointId(self.checkpoints), form=form)
        snapshot.advance(float("inf"))
        handle = snapshot.write(self.files)
        self.backend.notify_complete(CheckpointId(self.checkpoints))
        return handle

    def restart(self, *, form: SnapshotForm = "incremental") -> None:
        """Begin again from a checkpoint taken now."""
        handle = self.snapshot(form=form)
        self.backend.close()
        self.backend = self.open([handle])
