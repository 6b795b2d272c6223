"""Objects as files below a folder: on this machine's disk, or on a mounted one that several machines share.

An object appears by `link`, which is atomic and refuses an existing name, after its bytes are on disk; the folder is
synced before the call returns. Half-written files have no name (O_TMPFILE), so a crash leaves nothing behind; where
the file system does not know those, they have a reserved name that no listing shows.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, final

from penstock.base.errors import AlreadyExists, NotFound, StorageError, StoreRefused, StoreUnavailable
from penstock.storage.objects import TEMPORARY_PREFIX, Entry, checked_path, checked_prefix, probe_creates

_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})
_REFUSED: Final = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.ENXIO,
        errno.EPERM,
        errno.EROFS,
    }
)
_NO_NAMELESS_FILES: Final = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.EPERM})
"""EPERM is what ext4 says of a folder that was removed meanwhile; asked for a named file, it says ENOENT."""

_NO_LINK_BETWEEN: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
_NAMELESS = os.O_TMPFILE | os.O_WRONLY
_COPY_BYTES: Final = 8 << 20
_FOLDER_ATTEMPTS: Final = 64
"""A folder may vanish between its making and its use, because a `delete` emptied it; nobody loses so often."""


@final
class FileStore:
    """An ObjectStore over one folder, which is made when the first object is."""

    def __init__(self, root: Path) -> None:
        if not root.is_absolute():
            raise StoreRefused(f"{root} is not absolute: processes with other working folders would not find it")
        self._root = root

    @property
    def uri(self) -> str:
        return self._root.as_uri()

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with self._translated("read", path), self._opened(path) as file:
            file.seek(offset)
            return file.read(-1 if length is None else length)

    def create(self, path: str, data: bytes | memoryview) -> None:
        with self._translated("create", path):
            self._write_and_link(self._file(path), memoryview(data).cast("B"))

    def put_file(self, path: str, local_file: Path) -> None:
        with local_file.open("rb", buffering=0) as source, self._translated("create", path):
            os.fsync(source.fileno())
            if not self._linked(local_file, self._file(path)):
                self._write_and_link(self._file(path), source.fileno())

    def fetch_file(self, path: str, local_file: Path, *, unchanging: bool = False) -> None:
        with self._translated("read", path), self._opened(path, buffering=0) as source:
            partial = local_file.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
            if unchanging and _link_between(self._file(path), partial):
                partial.replace(local_file)
                return
            try:
                with partial.open("xb", buffering=0) as copy:
                    _copy(source.fileno(), copy.fileno())
                partial.replace(local_file)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def delete(self, path: str) -> None:
        with self._translated("delete", path):
            file = self._file(path)
            try:
                file.unlink()
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
            self._drop_empty_folders(file.parent)

    def delete_many(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.delete(path)

    def list(self, prefix: str) -> list[Entry]:
        folder, _, _ = checked_prefix(prefix).rpartition("/")
        with self._translated("list", prefix):
            return sorted(self._entries(folder, prefix))

    def probe(self) -> None:
        probe_creates(self)

    def _file(self, path: str) -> Path:
        return self._root / checked_path(path)

    @contextmanager
    def _opened(self, path: str, buffering: int = -1) -> Iterator[IO[bytes]]:
        """For reading. What is no file is refused: a pipe would hold up whoever opens it until somebody writes."""
        with open(self._file(path), "rb", buffering, opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise StoreRefused(f"cannot read {path} in {self.uri}: it is not a file")
            yield file

    def _entries(self, folder: str, prefix: str) -> Iterator[Entry]:
        try:
            children = list(os.scandir(self._root / folder))
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if child.name.startswith(TEMPORARY_PREFIX):
                continue
            if child.is_dir():
                if path.startswith(prefix) or prefix.startswith(f"{path}/"):
                    yield from self._entries(path, prefix)
            elif path.startswith(prefix):
                with suppress(FileNotFoundError):  # Deleted while we were looking.
                    found = child.stat()
                    yield Entry(path, found.st_size, found.st_mtime_ns // 1_000_000)

    def _write_and_link(self, target: Path, content: memoryview | int) -> None:
        """Give `content`, bytes or an open file, the name `target`."""
        for _ in range(_FOLDER_ATTEMPTS):
            with suppress(FileNotFoundError), _unnamed_file_in(target.parent) as (descriptor, name):
                _fill(descriptor, content)
                os.fsync(descriptor)
                _link(name, target)
                _sync_folder(target.parent)
                return
            _make_folder(target.parent)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(target.parent))

    def _linked(self, local_file: Path, target: Path) -> bool:
        """Whether the local file could itself become the object."""
        for _ in range(_FOLDER_ATTEMPTS):
            try:
                os.link(local_file, target)
            except FileNotFoundError:
                _make_folder(target.parent)
            except OSError as error:
                if error.errno in _NO_LINK_BETWEEN:
                    return False
                raise
            else:
                _sync_folder(target.parent)
                return True
        return False

    def _drop_empty_folders(self, folder: Path) -> None:
        with suppress(OSError):  # Not empty, or already gone.
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent

    @contextmanager
    def _translated(self, action: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translate(action, path, error) from error

    def _translate(self, action: str, path: str, error: OSError) -> StorageError:
        if error.errno == errno.EEXIST:
            return AlreadyExists(f"{path} is already in {self.uri}")
        if action == "read" and error.errno in _ABSENT:
            return NotFound(f"{path} is not in {self.uri}")
        text = f"cannot {action} {path or 'objects'} in {self.uri}: {error.strerror}"
        return StoreRefused(text) if error.errno in _REFUSED else StoreUnavailable(text)


@contextmanager
def _unnamed_file_in(folder: Path) -> Iterator[tuple[int, str]]:
    """An open file that vanishes unless it is linked, and the name by which to link it."""
    try:
        descriptor = os.open(folder, _NAMELESS | os.O_CLOEXEC, 0o644)
        name = f"/proc/self/fd/{descriptor}"
        temporary = None
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        name = str(temporary)
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor, name
    finally:
        os.close(descriptor)
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _link(name: str, target: Path) -> None:
    # Only with a folder's descriptor does Python call linkat, which follows the link under /proc to the file itself.
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(name, target.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _fill(descriptor: int, content: memoryview | int) -> None:
    if isinstance(content, int):
        _copy(content, descriptor)
        return
    while content:
        content = content[os.write(descriptor, content) :]


def _copy(source: int, target: int) -> None:
    while os.sendfile(target, source, None, _COPY_BYTES):
        pass


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it so that they survive a crash of the machine.

    It may be gone again on return, where a `delete` finds it empty; the caller tries again.
    """
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    with suppress(FileNotFoundError):
        for each in reversed(missing):
            with suppress(FileExistsError):
                each.mkdir()
            _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link_between(file: Path, other: Path) -> bool:
    """Give a file a second name, where the file system can."""
    try:
        os.link(file, other)
    except OSError as error:
        if error.errno in _NO_LINK_BETWEEN:
            return False
        raise
    return True
