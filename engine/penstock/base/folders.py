"""Folders for one process's temporary files, which never outlive it for long.

A process that ends takes its folder away. One that is killed cannot: but it holds a lock on its folder, which the
kernel lets go when it dies, and whoever makes a folder beside it later takes away what nobody holds. So a machine on
which processes die does not fill up.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, final

_PREFIX: Final = "penstock-"
_LOCK: Final = ".held"


@final
class OwnFolder:
    """A folder of this process alone."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    def remove(self) -> None:
        """Take it away with all that is in it. Safe to call twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def own_folder(name: str, parent: Path | None = None) -> OwnFolder:
    """A new folder in `parent` (the usual one for temporary files), and none of those that died there is left."""
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    parent.mkdir(parents=True, exist_ok=True)
    _sweep(parent)
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{name}-", dir=parent))
        lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            # A file system without locks: never swept, because nobody can know.
            (path / _LOCK).unlink(missing_ok=True)
            return OwnFolder(path, lock)
        if os.fstat(lock).st_nlink:
            return OwnFolder(path, lock)
        os.close(lock)  # Another process took it for abandoned before it was locked.


def _sweep(parent: Path) -> None:
    for found in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            if found.stat().st_uid == os.getuid():
                _remove_unheld(found)


def _remove_unheld(lock_file: Path) -> None:
    lock = os.open(lock_file, os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            shutil.rmtree(lock_file.parent, ignore_errors=True)
    finally:
        os.close(lock)
