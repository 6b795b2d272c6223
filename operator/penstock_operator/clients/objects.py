"""The objects of a store, as far as the operator reads, creates and deletes them: a folder of files, or of a bucket.

The same layout and guarantees as the engine's: objects are created whole or not at all, and never twice. Everything
blocks and is called in threads. Nothing here knows what the objects mean.
"""

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final
from urllib.parse import unquote

from penstock_operator.errors import Missing, OperatorError, Rejected, Unavailable

_S3_SCHEMES: Final = ("s3", "s3a", "s3p")
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR})
_REFUSED: Final = frozenset({errno.EACCES, errno.EDQUOT, errno.ENAMETOOLONG, errno.ENOSPC, errno.EPERM, errno.EROFS})
_TEMPORARY: Final = ".penstock-tmp-"
"""How half-written files are called; the engine leaves them out of its listings too."""
_FOLDER_ATTEMPTS: Final = 64


@final
class AlreadyThere(OperatorError):
    """An object that was to be created exists."""


@final
@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One object of a listing."""

    path: str
    size: int
    modified_ms: int


class Objects(Protocol):
    """What lies below one address. Raises Unavailable, Rejected, and what each method names."""

    @property
    def uri(self) -> str:
        """Its address, without a slash at the end; the same for every way of writing it."""

    def read(self, path: str) -> bytes:
        """All of an object. Raises Missing."""

    def create(self, path: str, data: bytes) -> None:
        """A new object, whole. Raises AlreadyThere. After Unavailable it may be there."""

    def delete(self, paths: Iterable[str]) -> None:
        """All of them; those that are not there count as deleted."""

    def list(self, prefix: str) -> list[Found]:
        """All whose path begins so, in order."""

    def abandon(self, prefix: str) -> None:
        """Drop what somebody who died was writing to such paths. Rejected where that may not even be looked for."""


@final
@dataclass(frozen=True, slots=True)
class Address:
    """Where a store lies."""

    bucket: str
    """Empty: `path` is a folder on this machine, from its root."""
    path: str
    """Without slashes at the ends, but for the root of a machine."""

    @classmethod
    def of(cls, uri: str) -> "Address":
        """Raises Rejected for what is none."""
        scheme, separator, rest = uri.partition("://")
        if separator and scheme.lower() in _S3_SCHEMES:
            bucket, _, prefix = rest.partition("/")
            if not bucket:
                raise Rejected(f"{uri!r} names no bucket: expected s3://bucket/folder")
            return cls(bucket, _clean(uri, prefix))
        return cls("", "/" + _clean(uri, _local_path(uri)))

    @property
    def uri(self) -> str:
        """One way of writing it."""
        if not self.bucket:
            return Path(self.path).as_uri()
        return f"s3://{self.bucket}/{self.path}".rstrip("/")

    def split(self) -> tuple["Address", str]:
        """The folder above, and what this one is called in it."""
        above, _, name = self.path.rpartition("/")
        return Address(self.bucket, above or ("" if self.bucket else "/")), name

    def below(self, path: str) -> "Address":
        """A folder below."""
        return Address(self.bucket, "/".join(part for part in (self.path.rstrip("/"), path.strip("/")) if part))


@final
class Files:
    """Objects as files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        return self._folder.as_uri()

    def read(self, path: str) -> bytes:
        with self._translated("read", path):
            return (self._folder / path).read_bytes()

    def create(self, path: str, data: bytes) -> None:
        target = self._folder / path
        with self._translated("create", path):
            for _ in range(_FOLDER_ATTEMPTS):
                # Who deletes the last file of a folder deletes the folder too, so it may vanish again.
                target.parent.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):
                    _write_once(target, data)
                    return
        raise Unavailable(f"cannot create {path} in {self.uri}: its folder keeps vanishing")

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self._translated("delete", path):
                target = self._folder / path
                try:
                    target.unlink()
                except OSError as error:
                    if error.errno not in _ABSENT:
                        raise
                self._drop_empty(target.parent)

    def list(self, prefix: str) -> list[Found]:
        with self._translated("list", prefix):
            return sorted(self._entries(prefix.rpartition("/")[0], prefix))

    def abandon(self, prefix: str) -> None:
        with self._translated("clean", prefix):
            for folder, _, names in os.walk(self._folder / prefix.rpartition("/")[0], topdown=False):
                for partial in (Path(folder, name) for name in names if name.startswith(_TEMPORARY)):
                    if str(partial.relative_to(self._folder)).startswith(prefix):
                        partial.unlink(missing_ok=True)
                # Who dies between making a folder and its first file leaves it empty.
                if f"{Path(folder).relative_to(self._folder)}/".startswith(prefix):
                    self._drop_empty(Path(folder))

    def _entries(self, folder: str, prefix: str) -> Iterator[Found]:
        try:
            children = list(os.scandir(self._folder / folder))
        except OSError as error:
            if error.errno in _ABSENT:
                return
            raise
        for child in children:
            path = f"{folder}/{child.name}" if folder else child.name
            if child.name.startswith(_TEMPORARY):
                continue
            if child.is_dir():
                if path.startswith(prefix) or prefix.startswith(f"{path}/"):
                    yield from self._entries(path, prefix)
            elif path.startswith(prefix):
                with suppress(FileNotFoundError):
                    found = child.stat()
                    yield Found(path, found.st_size, found.st_mtime_ns // 1_000_000)

    def _drop_empty(self, folder: Path) -> None:
        with suppress(OSError):  # Not empty, or gone.
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent

    @contextmanager
    def _translated(self, action: str, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._translate(action, path, error) from error

    def _translate(self, action: str, path: str, error: OSError) -> OperatorError:
        if error.errno == errno.EEXIST:
            return AlreadyThere(f"{path} is already in {self.uri}")
        if action == "read" and error.errno in _ABSENT:
            return Missing(f"{path} is not in {self.uri}")
        text = f"cannot {action} {path or 'objects'} in {self.uri}: {error.strerror}"
        return Rejected(text) if error.errno in _REFUSED else Unavailable(text)


def _write_once(target: Path, data: bytes) -> None:
    """Under a name that nobody lists, then by a link, which refuses an existing name."""
    partial = target.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, target)
        _sync(target.parent)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _local_path(uri: str) -> str:
    scheme, separator, rest = uri.partition(":")
    path = uri
    if separator and "/" not in scheme:
        if scheme.lower() != "file":
            raise Rejected(f"{uri!r}: state lies at file:// or s3:// addresses, not at {scheme}:")
        path = unquote(rest)
        if rest.startswith("//"):
            host, slash, below = rest[2:].partition("/")
            if host not in ("", "localhost"):
                raise Rejected(f"{uri!r} is on the host {host!r}: expected file:///folder")
            path = unquote(slash + below)
    if not path.startswith("/"):
        raise Rejected(f"{uri!r} is no absolute address: expected file:///folder or s3://bucket/folder")
    return path


def _clean(uri: str, path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if {".", ".."} & set(parts) or "\0" in path:
        raise Rejected(f"{uri!r} is no address of a folder: it holds '.', '..' or NUL")
    return "/".join(parts)
