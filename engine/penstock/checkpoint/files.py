"""Snapshot files: written under names of their own, with checksums, and read back verified.

A task makes one `SnapshotFiles` for each checkpoint it takes part in and hands it to its state backends as their
`SnapshotWriter`; a restoring task reads through `SnapshotReading`. Both block and are called in threads. Nothing
here decides which files may be deleted, except that a writer may take back what it never handed over.

Steps a fault test may stop at: `checkpoint.file.before`, `checkpoint.file.written`.
"""

import logging
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final, final

import msgspec
import xxhash

from penstock.base.errors import DamagedData, NotFound, StateTooLarge, StorageError
from penstock.base.ids import JobId
from penstock.base.steps import reached
from penstock.checkpoint.fetched import FetchedFiles
from penstock.checkpoint.handles import FileHandle
from penstock.checkpoint.layout import Provenance, exclusive_path, file_name, shared_path
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)

_ALGORITHM: Final = "xxh3"
_CHUNK_BYTES: Final = 1 << 20


def checksum_of(data: bytes | memoryview) -> str:
    return f"{_ALGORITHM}:{xxhash.xxh3_128_hexdigest(data)}"


def checksum_of_file(local: Path) -> tuple[int, str]:
    """Size and checksum of a local file."""
    digest, size = xxhash.xxh3_128(), 0
    with local.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, f"{_ALGORITHM}:{digest.hexdigest()}"


@final
class JobFolder(msgspec.Struct, frozen=True):
    """Files of a checkpoint lie in the job's own folder, some of them shared with other checkpoints."""

    store: ObjectStore | None
    """None keeps everything inline: storage in the JobManager."""
    job: JobId
    provenance: Provenance

    def is_named(self, name: str) -> bool:
        """Whether the name is the file's path already."""
        return False

    def path(self, file: str, *, shared: bool) -> str:
        return shared_path(self.job, file) if shared else exclusive_path(self.job, self.provenance.checkpoint, file)


@final
class SavepointFolder(msgspec.Struct, frozen=True):
    """Files of a savepoint lie in a folder of its own, which can be moved: nothing is shared."""

    store: ObjectStore
    """The savepoint's folder."""
    provenance: Provenance

    def is_named(self, name: str) -> bool:
        """Whether the name is the file's path already: then it makes a file however small."""
        return "/" in name

    def path(self, file: str, *, shared: bool) -> str:
        assert not shared, "what is part of a savepoint is part of nothing else"
        return file


@final
class SnapshotFiles:
    """Where one task puts the files of one checkpoint or savepoint. Small ones become part of their handle."""

    def __init__(
        self,
        place: JobFolder | SavepointFolder,
        *,
        writer: str,
        inline_max_bytes: int,
        random: Callable[[], str],
    ) -> None:
        """In a place without a store `inline_max_bytes` is the limit.

        `writer` names the attempt (as `count-3.1`), for people; `random` gives digits that no one else gets.
        """
        self._folder = place
        self._store = place.store
        self._writer = writer
        self._inline_max_bytes = inline_max_bytes
        self._random = random
        self._written: list[str] = []
        self.bytes_written = 0
        """Sum of everything written for this snapshot, inline pieces included."""

    @property
    def uploaded(self) -> tuple[str, ...]:
        """Paths of every file created so far."""
        return tuple(self._written)

    def write(self, name: str, data: bytes | memoryview, *, shared: bool) -> FileHandle:
        """Make `data` durable and return its handle. `shared`: later checkpoints may refer to it."""
        size, checksum = len(data), checksum_of(data)
        self.bytes_written += size
        if size <= self._inline_max_bytes and not self._folder.is_named(name):
            return FileHandle("", size, checksum, inline=bytes(data))
        store, path = self._place(name, size, shared)
        reached("checkpoint.file.before")
        store.create(path, data)
        reached("checkpoint.file.written")
        return FileHandle(path, size, checksum)

    def put_file(self, name: str, path: str, *, shared: bool) -> FileHandle:
        """As `write`, from a local file, which must not change any more."""
        local = Path(path)
        if local.stat().st_size <= self._inline_max_bytes and not self._folder.is_named(name):
            return self.write(name, local.read_bytes(), shared=shared)
        size, checksum = checksum_of_file(local)
        self.bytes_written += size
        store, target = self._place(name, size, shared)
        reached("checkpoint.file.before")
        store.put_file(target, local)
        reached("checkpoint.file.written")
        return FileHandle(target, size, checksum)

    def discard(self) -> None:
        """Delete what was uploaded. Only while nothing of it has been acknowledged: then nobody can refer to it."""
        if self._store is not None and self._written:
            self._store.delete_many(self._written)
        self._written.clear()

    def discard_quietly(self) -> None:
        """As `discard`, where a failure is already being reported: what stays is found by a later sweep."""
        try:
            self.discard()
        except StorageError:
            log.warning(
                "files of a failed snapshot could not be deleted", extra={"writer": self._writer}, exc_info=True
            )

    def _place(self, name: str, size: int, shared: bool) -> tuple[ObjectStore, str]:
        if self._store is None:
            raise StateTooLarge(size, self._inline_max_bytes)
        place = self._folder
        if place.is_named(name):
            path = name
        else:
            file = file_name(place.provenance, f"{self._writer}.{name}", self._random())
            path = place.path(file, shared=shared)
        # Noted before the upload: an upload whose outcome is unknown may have left the file there.
        self._written.append(path)
        return self._store, path


@final
class SnapshotReading:
    """Reads what handles refer to and makes sure that it is what was written."""

    def __init__(
        self, store: ObjectStore | None, *, open_root: Callable[[str], ObjectStore], fetched: FetchedFiles | None = None
    ) -> None:
        """`store` holds the job's own checkpoints; `open_root` opens the folder of a savepoint or of another job.

        `fetched`: where several processes share what they fetch; None where there is nobody to share with.
        """
        self._store = store
        self._open_root = open_root
        self._fetched = fetched

    def hold(self, owner: Hashable) -> None:
        """From here on until `let_go`, what is fetched and wanted again is fetched once. Blocks, but not for long."""
        if self._fetched is not None:
            self._fetched.hold(owner)

    def let_go(self, owner: Hashable) -> None:
        """This owner has what it needs, or needs it no more. Blocks, but not for long."""
        if self._fetched is not None:
            self._fetched.let_go(owner)

    def read(self, handle: FileHandle) -> bytes:
        """All bytes; DamagedData when they are missing or not those that were written."""
        if handle.inline is not None:
            return _verified(handle, handle.inline)
        try:
            return _verified(handle, self._store_of(handle).read(handle.path))
        except NotFound as error:
            raise DamagedData(f"{_where(handle)} is missing: {handle.size} bytes expected") from error

    def fetch(self, handle: FileHandle, path: str, *, unchanging: bool = False, again: bool = False) -> None:
        """The same into a local file, which a failure does not leave behind.

        `unchanging`: it will only be read and removed there, and need not be a copy. `again`: others beside us will
        probably want it too.
        """
        local = Path(path)
        if handle.inline is not None:
            local.write_bytes(_verified(handle, handle.inline))
        elif unchanging and again and self._fetched is not None:
            self._fetched.fetch(handle, local, lambda partial: self._download(handle, partial, unchanging=True))
        else:
            self._download(handle, local, unchanging=unchanging)

    def _download(self, handle: FileHandle, local: Path, *, unchanging: bool) -> None:
        try:
            self._store_of(handle).fetch_file(handle.path, local, unchanging=unchanging)
            size, checksum = checksum_of_file(local)
            _compare(handle, size, checksum)
        except NotFound as error:
            raise DamagedData(f"{_where(handle)} is missing: {handle.size} bytes expected") from error
        except DamagedData:
            local.unlink(missing_ok=True)
            raise

    def _store_of(self, handle: FileHandle) -> ObjectStore:
        if handle.root is not None:
            return self._open_root(handle.root)
        if self._store is None:
            raise DamagedData(f"{handle.path} lies in a checkpoint folder, but none is configured")
        return self._store


def _verified(handle: FileHandle, data: bytes) -> bytes:
    _compare(handle, len(data), checksum_of(data))
    return data


def _compare(handle: FileHandle, size: int, checksum: str) -> None:
    if size != handle.size:
        raise DamagedData(f"{_where(handle)} has {size} bytes where {handle.size} were written")
    if checksum != handle.checksum:
        reached("checkpoint.file.damaged")
        raise DamagedData(f"{_where(handle)} is damaged: checksum {checksum}, expected {handle.checksum}")


def _where(handle: FileHandle) -> str:
    if handle.inline is not None:
        return "a piece of state inside _metadata"
    return handle.path if handle.root is None else f"{handle.root}/{handle.path}"
