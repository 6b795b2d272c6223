"""Log files: written by several processes, rotated by one, read piece by piece by those who ask from afar.

A file is opened for appending and each line is one write, so processes may share it. Who rotates renames it; the
others see that the name leads elsewhere and open it anew. Readers give a plain name and never leave the folder.
"""

import contextlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TextIO, final

import msgspec

from penstock.base.errors import PenstockError

_LOOK_S: Final = 1.0
"""A file that was renamed is noticed so soon; until then lines go to the old one, where they belong too."""
_NAME_MAX: Final = 255


@final
class NoSuchLog(PenstockError):
    """There is no such file among the logs."""


@final
class LogFile(msgspec.Struct, frozen=True):
    """A file in the log folder."""

    name: str
    size: int
    modified_ms: int


@final
class LogPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where one process, or a TaskManager with its workers, writes."""

    log: Path
    kept_max: int
    """Files before the newest."""
    bytes_max: int
    """A file that has grown beyond this is put aside."""

    @property
    def folder(self) -> Path:
        return self.log.parent

    @property
    def out(self) -> Path:
        """What is printed."""
        return self.log.with_suffix(".out")

    def rotate(self) -> None:
        """Put aside what has grown too large. To be called by one process only."""
        for path in (self.log, self.out):
            with contextlib.suppress(OSError):
                if path.stat().st_size > self.bytes_max:
                    _put_aside(path, self.kept_max)


def list_logs(folder: Path | None) -> tuple[LogFile, ...]:
    """The files in the folder itself, by name; links and folders are left out."""
    found: list[LogFile] = []
    if folder is None:
        return ()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and entry.name.isprintable():
                    status = entry.stat(follow_symlinks=False)
                    found.append(LogFile(entry.name, status.st_size, status.st_mtime_ns // 1_000_000))
    return tuple(sorted(found, key=lambda file: file.name))


def read_log(folder: Path | None, name: str, offset: int, bytes_max: int) -> bytes:
    """A piece of a file of the folder; empty behind its end. NoSuchLog if it is none of the folder's own files."""
    refusal = NoSuchLog(f"there is no log file {name!r}")
    # One part of a path and no more, so that nothing outside the folder is ever opened.
    if folder is None or not name or name in (".", "..") or "/" in name or "\0" in name or len(name) > _NAME_MAX:
        raise refusal
    try:
        fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, UnicodeEncodeError) as error:
        raise refusal from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise refusal
        return os.pread(fd, bytes_max, offset)
    finally:
        os.close(fd)


@final
class LogWriter:
    """Appends to a file that others append to and somebody may rename. Never raises: logging must not fail a job."""

    def __init__(self, path: Path, lost: Callable[[OSError], None], rotate: Callable[[], None] | None = None) -> None:
        """`lost` is told of the first line that could not be written, and again after one that could.

        `rotate` is called now and then by the one process that rotates.
        """
        self._path = path
        self._lost = lost
        self._rotate = rotate
        self._writes = True
        self._fd = -1
        self._look_at = 0.0
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Append; lines of several processes do not mix."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            with self._lock:
                self._append(data)
        except OSError as error:
            wrote, self._writes = self._writes, False
            if wrote:
                self._lost(error)
        else:
            self._writes = True

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        now_s = time.monotonic()
        if self._fd < 0 or now_s >= self._look_at:
            self._look_at = now_s + _LOOK_S
            self._look()
        os.write(self._fd, data)

    def _look(self) -> None:
        if self._rotate is not None:
            self._rotate()
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._fd), os.stat(self._path)):
                    return
            os.close(self._fd)
            self._fd = -1
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


@final
class Tee(io.TextIOBase):
    """Standard output that is also kept in a file."""

    def __init__(self, stream: TextIO, writer: LogWriter) -> None:
        super().__init__()
        self._stream = stream
        self._writer = writer

    def write(self, text: str) -> int:
        self._writer.write(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def __getattr__(self, name: str) -> Any:
        """What else programs want of standard output, such as its buffer: bytes that they print there are not kept."""
        return getattr(self._stream, name)


def _put_aside(path: Path, kept_max: int) -> None:
    for number in range(kept_max - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}.{number}", f"{path}.{number + 1}")
    if kept_max > 0:
        os.replace(path, f"{path}.1")
    else:
        path.unlink()
