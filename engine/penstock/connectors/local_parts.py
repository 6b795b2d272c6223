"""Part files in a folder of this machine: written under a hidden name, fsynced, renamed at the commit.

A file that an earlier attempt began is copied up to its valid length before it grows again: that attempt may
still run, stopped or cut off, and hold the old file open. It then writes into what nobody reads.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from penstock.base.errors import DamagedData, StoreRefused
from penstock.connectors.part_files import (
    Commit,
    Finishing,
    Lineage,
    LocalCommit,
    LocalDiscard,
    LocalResumable,
    PartFile,
    PartFiles,
    PartName,
    Resumable,
    UploadResumable,
)

log = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 256 << 10
_COPY_BYTES: Final = 8 << 20
_IN_PROGRESS: Final = ".inprogress."


@final
class LocalPartFiles(PartFiles):
    """Below one base folder."""

    def __init__(self, base: Path, lineage: Lineage) -> None:
        self._base = base
        self._lineage = lineage

    def begin(self, bucket: str, name: PartName) -> PartFile:
        target = self._base / bucket / str(name)
        return _LocalPart(_hidden(target, self._lineage), target, 0, [])

    def resume(self, state: Resumable) -> PartFile | Commit:
        match state:
            case LocalResumable():
                return _taken_over(state, self._lineage)
            case UploadResumable():
                return state.as_it_stands()

    def leavings(self) -> list[Commit]:
        return [
            LocalDiscard(os.path.join(folder, name))
            for folder, _, names in os.walk(self._base)
            for name in names
            if name.startswith(".") and self._lineage.is_leaving(name.partition(_IN_PROGRESS)[2])
        ]


def finished_as_it_stands(state: LocalResumable, lineage: Lineage) -> Commit:
    """What publishes a file as the checkpoint knew it."""
    return _taken_over(state, lineage).finish()()


@final
class LocalPublisher:
    """Renames within a folder."""

    def publish(self, commit: LocalCommit | LocalDiscard) -> None:
        """Carry out, once or several times."""
        match commit:
            case LocalCommit():
                self._rename(commit)
            case LocalDiscard(hidden):
                Path(hidden).unlink(missing_ok=True)

    def _rename(self, commit: LocalCommit) -> None:
        hidden, target = Path(commit.hidden), Path(commit.target)
        try:
            size = hidden.stat().st_size
        except FileNotFoundError:
            if not target.exists():
                # Committed earlier, and taken away by whoever reads the folder since.
                log.warning("a file to be committed is gone and so is its result", extra={"file": commit.target})
        else:
            if size != commit.size:
                raise DamagedData(f"{hidden}: expected {commit.size} bytes, found {size}")
            os.rename(hidden, target)
            _sync_folder(target.parent)
        for replaced in commit.replaced:
            Path(replaced).unlink(missing_ok=True)


@final
class _LocalPart(PartFile):
    def __init__(self, hidden: Path, target: Path, size: int, replaced: list[str]) -> None:
        self._hidden = hidden
        self._target = target
        self._replaced = replaced
        self._descriptor = -1
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._durable = size
        self.size = size

    def write(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        self.size += len(data)
        if self._pending_bytes >= _BUFFER_BYTES:
            self._flush()

    def persist(self) -> LocalResumable:
        self._sync()
        return LocalResumable(str(self._hidden), str(self._target), self.size, self._replaced)

    def finish(self) -> Finishing:
        self._sync()
        self.abandon()
        commit = LocalCommit(str(self._hidden), str(self._target), self.size, self._replaced)
        return lambda: commit

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _sync(self) -> None:
        if self._durable == self.size:
            return
        begun = self._durable == 0
        self._flush()
        with _refusals(self._hidden):
            os.fsync(self._descriptor)
            if begun:
                _sync_folder(self._hidden.parent)
        self._durable = self.size

    def _flush(self) -> None:
        if self._descriptor < 0:
            self._descriptor = _open_to_append(self._hidden)
        data = memoryview(b"".join(self._pending))
        self._pending.clear()
        self._pending_bytes = 0
        with _refusals(self._hidden):
            while data:
                data = data[os.write(self._descriptor, data) :]


def _taken_over(state: LocalResumable, lineage: Lineage) -> _LocalPart:
    old, target = Path(state.hidden), Path(state.target)
    # Restored from a checkpoint older than the last commit, the file has its name already: it begins with our bytes.
    source = target if target.exists() and not old.exists() else old
    copy = _hidden(target, lineage)
    _copy_beginning(source, copy, state.size)
    return _LocalPart(copy, target, state.size, [*state.replaced, state.hidden])


def _hidden(target: Path, lineage: Lineage) -> Path:
    return target.with_name(f".{target.name}{_IN_PROGRESS}{lineage.new_mark()}")


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """A full disk or a forbidden folder as an error of ours that names the file."""
    try:
        yield
    except OSError as error:
        raise StoreRefused(f"cannot write {path}: {error.strerror}") from error


def _open_to_append(path: Path) -> int:
    with _refusals(path):
        _make_folder(path.parent)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


def _copy_beginning(source: Path, copy: Path, size: int) -> None:
    """The first `size` bytes of a file, durable in another."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise DamagedData(f"{source}, which the checkpoint goes on with, is gone") from error
    try:
        found = os.fstat(descriptor).st_size
        if found < size:
            raise DamagedData(f"{source}: the checkpoint goes on at {size} bytes, found {found}")
        target = _open_to_append(copy)
        try:
            with _refusals(copy):
                _copy_bytes(descriptor, target, size)
                os.fsync(target)
                _sync_folder(copy.parent)
        finally:
            os.close(target)
    finally:
        os.close(descriptor)


def _copy_bytes(source: int, target: int, size: int) -> None:
    offset = 0
    while offset < size:
        data = memoryview(os.pread(source, min(_COPY_BYTES, size - offset), offset))
        offset += len(data)
        while data:
            data = data[os.write(target, data) :]


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it so that they survive a crash of the machine."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
