"""Logs: a constant sentence with fields, as lines for people or as JSON for machines. Called once per process.

A process of ours logs all that is said in it; inside a program of the user's we only speak for ourselves.

Fields given as `extra=` follow the sentence as `name=value`. Levels come from `penstock.log.level` (and
PENSTOCK_LOG_LEVEL), for single loggers from `penstock.log.levels`, the form from `penstock.log.format`. Lines go to
standard error, and with `env.log.dir` also to files. Nothing logs configuration values, and secrets that this process
knows of are blotted out of what libraries and users' functions say.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, Final, final

from penstock.base.errors import ConfigurationError, PenstockError, UserFunctionError
from penstock.base.log_files import LogPlace, LogWriter, Tee
from penstock.base.masking import hide_of, masked
from penstock.base.tracebacks import said, users_traceback

log: Final = logging.getLogger(__name__)

_MAIN_THREAD: Final = threading.main_thread().ident
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEVELS_KEY: Final = "penstock.log.levels"


def configure_logging(configuration: Mapping[str, str], *, process: str) -> None:
    """Send this process's log to standard error."""
    _send(logging.getLogger(), configuration, process)


def configure_own_logging(configuration: Mapping[str, str], *, process: str) -> None:
    """Send what we have to say to standard error, unless the program has set up logging itself."""
    ours = logging.getLogger("penstock")
    if not ours.hasHandlers():
        _send(ours, configuration, process)
        ours.propagate = False


def log_to_files(place: LogPlace | None, *, rotate: bool, printed: bool) -> None:
    """Keep this process's log in files too; with `printed` also what it prints. Once set up, nothing is added.

    `rotate`: whether this process is the one that puts away files that have grown too large.
    """
    for logger in (logging.getLogger(), logging.getLogger("penstock")):
        ours = next((handler for handler in logger.handlers if isinstance(handler, _Stream)), None)
        if ours is None or place is None:
            continue
        for earlier in [handler for handler in logger.handlers if isinstance(handler, _File)]:
            logger.removeHandler(earlier)
            earlier.close()
        handler = _File(LogWriter(place.log, partial(_lost, ours, place.log), place.rotate if rotate else None))
        handler.setFormatter(ours.formatter)
        logger.addHandler(handler)
        if printed and not isinstance(sys.stdout, Tee):
            sys.stdout = Tee(sys.stdout, LogWriter(place.out, partial(_lost, ours, place.out)))


def _lost(ours: logging.Handler, file: Path, error: OSError) -> None:
    """Said where it is still heard; a log that cannot be kept is no reason for a job to fail."""
    fields = {"file": file, "reason": error.strerror}
    ours.handle(log.makeRecord(log.name, logging.WARNING, __file__, 0, "logs are lost", (), None, extra=fields))


def _send(logger: logging.Logger, configuration: Mapping[str, str], process: str) -> None:
    hide_of(configuration)
    level = (
        os.environ.get("PENSTOCK_LOG_LEVEL")
        or configuration.get("penstock.log.level")
        or configuration.get("env.log.level")
        or "WARNING"
    )
    handler = _Stream(sys.stderr)
    form = configuration.get("penstock.log.format", "lines")
    handler.setFormatter(_Json(process) if form == "json" else _Lines(process))
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    for name, own in _levels(configuration):
        logging.getLogger(name).setLevel(own.upper())


def _levels(configuration: Mapping[str, str]) -> list[tuple[str, str]]:
    """`penstock.log.levels: botocore:INFO,my.module:DEBUG`, or one `penstock.log.levels.<logger>: LEVEL` each."""
    found = [
        (key.removeprefix(f"{_LEVELS_KEY}."), level)
        for key, level in configuration.items()
        if key.startswith(f"{_LEVELS_KEY}.")
    ]
    for pair in configuration.get(_LEVELS_KEY, "").split(","):
        name, colon, level = pair.partition(":")
        if colon:
            found.append((name.strip(), level.strip()))
    for name, level in found:
        if level.upper() not in logging.getLevelNamesMapping():
            raise ConfigurationError(f"{_LEVELS_KEY}: {level!r} of {name} is not DEBUG, INFO, WARNING or ERROR")
    return found


@final
class LogContext:
    """Whose code runs on the main thread now: fields that every line of it gets, the user's own lines included."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Mapping[str, Any] = {}


CONTEXT: Final = LogContext()
"""Set by a worker's task around each of its steps: one assignment, never per record."""


_JOB: Final[ContextVar[str]] = ContextVar("job")


def log_for(job: str) -> None:
    """Lines of this task or loop, and of all that it starts from here on, are about the job."""
    _JOB.set(job)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    # Lines of other threads are not the task's that happens to run.
    context = CONTEXT.fields if record.thread == _MAIN_THREAD else {}
    job = _JOB.get("")
    return {**({"job": job} if job else {}), **context, **own}


def _exception(formatter: logging.Formatter, record: logging.LogRecord, before: str = "") -> str:
    """What a record says of an exception, after `before`.

    Whoever is on call reads what was raised on purpose as its sentence, with the user's own lines; how we came to raise
    it is for those who look at more.
    """
    if not record.exc_info:
        return ""
    error = record.exc_info[1]
    if record.levelno < logging.WARNING or not isinstance(error, PenstockError):
        return before + formatter.formatException(record.exc_info)
    users = users_traceback(error).rstrip() if isinstance(error, UserFunctionError) else ""
    return before + "\n".join(filter(None, (said(error), users)))


@final
class _Stream(logging.StreamHandler):  # type: ignore[type-arg]
    """To standard error."""


@final
class _File(logging.Handler):
    """To a file."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(f"{self.format(record)}\n")
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._writer.close()
        super().close()


@final
class _Lines(logging.Formatter):
    """`2026-02-03 04:05:06,789 INFO [process] sentence name=value`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at},{int(record.msecs):03d} {record.levelname} [{self._process}] {record.getMessage()}{fields}"
        return masked(line + _exception(self, record, "\n"))


@final
class _Json(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": round(record.created, 3),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        entry |= {name: _shown(value) for name, value in _fields(record).items() if name not in entry}
        if exception := _exception(self, record):
            entry["exception"] = masked(exception)
        return json.dumps(entry, default=str)


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | float | bool) or value is None else masked(str(value))
