"""Listing and reading input files: of this machine, and of S3.

The enumerator lists, on the JobManager; readers open, in tasks. Nothing here writes.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol, final

from penstock.base.errors import ConfigurationError, NotFound, StoreRefused
from penstock.connectors.byte_streams import ByteStream, LocalFile
from penstock.connectors.splits import InputFile
from penstock.storage.objects import ObjectStore
from penstock.storage.opening import Opening, folder_of
from penstock.storage.settings import S3Settings

_ADDRESS: Final = re.compile(r"file:|[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_S3_PREFIXES = ("s3://", "s3a://", "s3p://")


def is_remote(path: str) -> bool:
    """Whether reading this path means waiting for a network."""
    return path.lower().startswith(_S3_PREFIXES)


class InputFiles(Protocol):
    """Where input files are."""

    def list(self, path: str) -> list[InputFile]:
        """The file at `path`, or those below the folder, in order; hidden ones left out. Raises NotFound."""

    def open(self, path: str) -> ByteStream:
        """Read a file that was listed."""


@final
class LocalFiles:
    """Files of this machine, or mounted on it."""

    def list(self, path: str) -> list[InputFile]:
        root = Path(path)
        if root.is_file():
            return [_described(root)]
        if not root.is_dir():
            raise NotFound(f"{path}: there is no such file or folder to read")
        return sorted(_visible_files(root))

    def open(self, path: str) -> ByteStream:
        return LocalFile(path)


@final
class S3Files:
    """Objects of one S3 endpoint; paths are whole URIs."""

    def __init__(self, settings: S3Settings) -> None:
        self._opening = Opening(settings)
        self._stores: dict[str, ObjectStore] = {}

    def list(self, path: str) -> list[InputFile]:
        bucket, key = _parts(path)
        store, prefix = self._store(bucket), key.rstrip("/")
        found = [
            InputFile(f"{bucket}/{entry.path}", entry.size, entry.modified_ms)
            for entry in store.list(prefix)
            if entry.path == prefix or _is_below(entry.path, prefix)
        ]
        if not found:
            raise NotFound(f"{path}: there is no such object, nor any below it")
        return sorted(found)

    def open(self, path: str) -> ByteStream:
        bucket, key = _parts(path)
        return _S3Object(self._store(bucket), key)

    def _store(self, bucket: str) -> ObjectStore:
        store = self._stores.get(bucket)
        if store is None:
            store = self._stores[bucket] = self._opening.store(bucket)
        return store


@final
class AnyFiles:
    """Local or S3, as each path says."""

    def __init__(self, settings: S3Settings) -> None:
        self._local = LocalFiles()
        self._s3 = S3Files(settings)

    def list(self, path: str) -> list[InputFile]:
        return self._s3.list(path) if is_remote(path) else self._local.list(local_path(path))

    def open(self, path: str) -> ByteStream:
        return self._s3.open(path) if is_remote(path) else self._local.open(path)


def local_path(path: str) -> str:
    """The absolute path that a path or a `file:` address means; other addresses are refused."""
    if not path:
        raise ConfigurationError("an empty path is that of no file and no folder")
    if _ADDRESS.match(path):
        return str(folder_of(path))
    return os.path.abspath(path)


def is_hidden(name: str) -> bool:
    """Names that file sources pass over: half-written files, and what other tools keep beside their data."""
    return name.startswith(("_", "."))


def _visible_files(folder: Path) -> Iterator[InputFile]:
    # What is taken away while we look, a file or a folder, was never there.
    with suppress(FileNotFoundError):
        for entry in os.scandir(folder):
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield from _visible_files(Path(entry.path))
            elif entry.is_file():
                with suppress(FileNotFoundError):
                    yield _described(Path(entry.path))


def _described(file: Path) -> InputFile:
    found = file.stat()
    return InputFile(str(file), found.st_size, found.st_mtime_ns // 1_000_000)


def _parts(uri: str) -> tuple[str, str]:
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _is_below(path: str, prefix: str) -> bool:
    inside = path.removeprefix(f"{prefix}/") if prefix else path
    if (prefix and inside == path) or path.endswith("/"):
        return False
    return not any(is_hidden(part) for part in inside.split("/"))


@final
class _S3Object:
    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key

    def read_at(self, offset: int, length: int) -> bytes:
        try:
            return self._store.read(self._key, offset=offset, length=length)
        except NotFound as error:
            raise StoreRefused(f"{self._store.uri}/{self._key} is not there any more") from error

    def size(self) -> int:
        found = next((entry.size for entry in self._store.list(self._key) if entry.path == self._key), None)
        if found is None:
            raise StoreRefused(f"{self._store.uri}/{self._key} is not there any more")
        return found

    def close(self) -> None:
        """Nothing is held open."""
