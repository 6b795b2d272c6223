"""Snapshot files in memory: the writer and reader that backends are given in tests and benchmarks."""

import itertools
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import final

import xxhash

from penstock.base.errors import DamagedData
from penstock.state.handles import FileHandle


@final
class MemoryFiles:
    """Both a SnapshotWriter and a SnapshotReader."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.written_bytes = 0
        self._numbers = itertools.count(1)

    def write(self, name: str, data: bytes, *, shared: bool) -> FileHandle:
        path = f"{'shared' if shared else 'exclusive'}/{next(self._numbers)}-{name}"
        self.files[path] = data
        self.written_bytes += len(data)
        return FileHandle(path, len(data), _checksum(data))

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        return self.write(name, Path(path).read_bytes(), shared=shared)

    def read(self, handle: FileHandle) -> bytes:
        data = self.files[handle.path] if handle.inline is None else handle.inline
        _verify(handle, _checksum(data))
        return data

    def keep_only(self, handles: Iterable[FileHandle]) -> None:
        """Delete what none of these refers to, as a coordinator does when a checkpoint is subsumed."""
        kept = {handle.path for handle in handles}
        self.files = {path: data for path, data in self.files.items() if path in kept}

    def fetch(self, handle: FileHandle, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        Path(path).write_bytes(self.read(handle))


def _checksum(data: bytes) -> str:
    return f"xxh3:{xxhash.xxh3_64_hexdigest(data)}"


@final
class FilesBelow:
    """A SnapshotWriter and SnapshotReader over a folder, in which savepoints lie as they do in a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)

    def write(self, name: str, data: bytes, *, shared: bool) -> FileHandle:
        path = self._place(name)
        (self.folder / path).write_bytes(data)
        return FileHandle(path, len(data), _checksum(data))

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        placed = self._place(name)
        shutil.copyfile(path, self.folder / placed)
        return FileHandle(placed, Path(path).stat().st_size, _checksum_of_file(Path(path)))

    def read(self, handle: FileHandle) -> bytes:
        data = (self.folder / handle.path).read_bytes() if handle.inline is None else handle.inline
        _verify(handle, _checksum(data))
        return data

    def fetch(self, handle: FileHandle, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        shutil.copyfile(self.folder / handle.path, path)
        _verify(handle, _checksum_of_file(Path(path)))

    def _place(self, name: str) -> str:
        path = name if "/" in name else f"{next(self._numbers)}-{name}"
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        return path


def _checksum_of_file(path: Path) -> str:
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return f"xxh3:{digest.hexdigest()}"


def _verify(handle: FileHandle, found: str) -> None:
    if found != handle.checksum:
        raise DamagedData(f"{handle.path} has checksum {found}, expected {handle.checksum}")
