"""One snapshot of the RocksDB backend: write back what was dirty at the barrier, take a native checkpoint, upload it.

Phases: *freezing*, in which what was dirty at the barrier is written, in slices and before a batch changes it;
*locked*, from the last such write until the native checkpoint has returned, in which nothing is written at all; then
the upload, which concerns nobody. `advance` and `save` run on the task's thread, `write` in a thread, and the native
checkpoint in one of its own, so that it need not wait for other operators of the task.
"""

import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, final

from penstock.base.errors import CheckpointFailed
from penstock.base.ids import CheckpointId
from penstock.state.backend import SnapshotWriter
from penstock.state.handles import KeyedHandle, StateFile

SLICE_KEYS: Final = 256
_NEEDED: Final = ("CURRENT", "MANIFEST-")
"""Besides table files: what opening a copy needs. Options are given anew, the log is empty."""


@final
class RocksSnapshot:
    """See `penstock.state.backend.KeyedSnapshot`."""

    def __init__(
        self,
        checkpoint: CheckpointId,
        frozen: set[Any],
        *,
        name: str,
        shared: bool,
        known: Mapping[str, StateFile],
        directory: Path,
        write_back: Callable[[Collection[Any]], None],
        native: Callable[[Path], None],
        give_back: Callable[[set[Any]], None],
        describe: Callable[[], tuple[tuple[int, int], dict[str, Any]]],
        written: "Callable[[RocksSnapshot, tuple[StateFile, ...]], None]",
        transfer_threads: int,
        export: Callable[[Path, SnapshotWriter], KeyedHandle] | None,
    ) -> None:
        """`known`: files of a confirmed checkpoint, to be referred to; `write_back` drains keys at once.

        `export` makes of the native checkpoint what is to be kept in its place.
        """
        self.checkpoint = checkpoint
        self.frozen = frozen
        self.is_shared = shared
        self._name = name
        self._known = known
        self._directory = directory
        self._write_back = write_back
        self._native = native
        self._give_back = give_back
        self._describe = describe
        self._written = written
        self._transfer_threads = transfer_threads
        self._export = export
        self._meta: tuple[tuple[int, int], dict[str, Any]] | None = None
        self._discarded = False
        self._error: BaseException | None = None
        self._begun = False
        self._returned = threading.Event()
        """Set in the thread of the native checkpoint, by this alone: there is no moment between two states."""

    @property
    def is_freezing(self) -> bool:
        return not self._begun and not self._returned.is_set()

    @property
    def is_locked(self) -> bool:
        """Whether the native checkpoint is under way, so that nothing may be written."""
        return self._begun and not self._returned.is_set()

    def save(self, keys: Collection[Any]) -> None:
        """A batch will touch these keys."""
        needed = self.frozen.intersection(keys)
        if needed:
            self.frozen.difference_update(needed)
            self._write_back(list(needed))

    def advance(self, budget_s: float) -> bool:
        deadline = time.perf_counter() + budget_s
        while self.is_freezing:
            if not self.frozen:
                self._lock()
                break
            pop = self.frozen.pop
            self._write_back([pop() for _ in range(min(SLICE_KEYS, len(self.frozen)))])
            if time.perf_counter() > deadline:
                break
        return not self.is_freezing

    def wait_unlocked(self) -> None:
        """Until the native checkpoint has returned; it is under way in its own thread."""
        assert not self.is_freezing
        self._returned.wait()

    def write(self, writer: SnapshotWriter) -> KeyedHandle:
        self._returned.wait()
        try:
            if self._error is not None:
                raise self._error
            if self._discarded:
                raise CheckpointFailed(f"checkpoint {self.checkpoint} was given up")
            if self._export is not None:
                return self._export(self._directory, writer)
            files = self._upload(writer)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
        assert self._meta is not None
        self._written(self, files)
        return KeyedHandle("rocksdb", self._meta[0], files, self._meta[1])

    def discard(self) -> None:
        self._discarded = True
        if self.is_freezing:
            self._returned.set()
            self._give_back(self.frozen)
            self.frozen = set()
        elif self._returned.is_set():
            shutil.rmtree(self._directory, ignore_errors=True)

    def _lock(self) -> None:
        self._begun = True
        self._meta = self._describe()
        threading.Thread(target=self._take, name=f"rocksdb-checkpoint-{self.checkpoint}", daemon=True).start()

    def _take(self) -> None:
        """In its own thread."""
        try:
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            self._native(self._directory)
        except BaseException as error:
            self._error = error
        self._returned.set()
        if self._discarded:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _upload(self, writer: SnapshotWriter) -> tuple[StateFile, ...]:
        names = sorted(path.name for path in self._directory.iterdir())
        needed = [name for name in names if name.endswith(".sst") or name.startswith(_NEEDED)]

        def put(name: str) -> StateFile:
            known = self._known.get(name)
            if known is not None:
                return known
            shared = self.is_shared and name.endswith(".sst")
            file = writer.put_file(f"{self._name}-{name}", str(self._directory / name), shared=shared)
            return StateFile(name, file, shared)

        with ThreadPoolExecutor(self._transfer_threads, thread_name_prefix="rocksdb-upload") as pool:
            return tuple(pool.map(put, needed))
