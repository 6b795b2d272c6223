"""Files of a checkpoint that tasks of one TaskManager are restored from: each is fetched and verified once for all.

The workers of a TaskManager share a folder of links, and none of them is in charge. A worker holds the folder while
tasks of its own are being restored; the last one that lets go of it empties it, and a worker that dies lets go.
Everything blocks and is called in threads.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from penstock.checkpoint.handles import FileHandle

_HOLDERS: Final = ".holders"
_LOCK_SUFFIX: Final = ".lock"


@final
class FetchedFiles:
    """One worker's view of the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._owners: set[Hashable] = set()
        self._descriptor: int | None = None
        """Of the holders' lock, while this worker holds the folder."""

    def hold(self, owner: Hashable) -> None:
        """What is fetched from here on stays until every owner, in every worker, has let go."""
        with self._lock:
            if self._descriptor is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._descriptor = _locked(self._folder / _HOLDERS, fcntl.LOCK_SH)
            self._owners.add(owner)

    def let_go(self, owner: Hashable) -> None:
        """Also of an owner that never held it."""
        with self._lock:
            self._owners.discard(owner)
            if self._owners or self._descriptor is None:
                return
            descriptor, self._descriptor = self._descriptor, None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # Another worker still needs what is here.
            else:
                self._empty()
            finally:
                os.close(descriptor)

    def fetch(self, handle: FileHandle, local: Path, download: Callable[[Path], None]) -> None:
        """Have a file at `local`, which nobody will change.

        `download` puts it somewhere, whole and verified, or raises and leaves nothing.
        """
        if self._descriptor is None:
            download(local)
            return
        place = self._folder / _name_of(handle)
        with _lock_of(place):
            if not place.exists():
                partial = place.with_suffix(".partial")
                partial.unlink(missing_ok=True)
                download(partial)
                partial.replace(place)
        try:
            os.link(place, local)
        except OSError:
            shutil.copyfile(place, local)

    def _empty(self) -> None:
        for path in self._folder.iterdir():
            if path.name != _HOLDERS:
                path.unlink(missing_ok=True)


def _name_of(handle: FileHandle) -> str:
    said = f"{handle.root or ''}\n{handle.path}\n{handle.size}\n{handle.checksum}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def _lock_of(place: Path) -> Iterator[None]:
    """One thread of all workers at a time."""
    descriptor = _locked(place.with_suffix(_LOCK_SUFFIX), fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
