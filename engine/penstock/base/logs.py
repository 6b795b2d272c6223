"""Logs: a constant sentence with fields, as lines for people or as JSON for machines. Called once per process.

A process of ours logs all that is said in it; inside a program of the user's we only speak for ourselves.

Fields given as `extra=` follow the sentence as `name=value`. Levels come from `penstock.log.level` (and
PENSTOCK_LOG_LEVEL), the form from `penstock.log.format`. Secrets never get here: nothing logs configuration values.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, final

_MAIN_THREAD: Final = threading.main_thread().ident
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure_logging(configuration: Mapping[str, str], *, process: str) -> None:
    """Send this process's log to standard error."""
    _send(logging.getLogger(), configuration, process)


def configure_own_logging(configuration: Mapping[str, str], *, process: str) -> None:
    """Send what we have to say to standard error, unless the program has set up logging itself."""
    ours = logging.getLogger("penstock")
    if not ours.hasHandlers():
        _send(ours, configuration, process)
        ours.propagate = False


def _send(logger: logging.Logger, configuration: Mapping[str, str], process: str) -> None:
    level = os.environ.get("PENSTOCK_LOG_LEVEL") or configuration.get("penstock.log.level") or "WARNING"
    handler = logging.StreamHandler(sys.stderr)
    form = configuration.get("penstock.log.format", "lines")
    handler.setFormatter(_Json(process) if form == "json" else _Lines(process))
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())


@final
class LogContext:
    """Whose code runs on the main thread now: fields that every line of it gets, the user's own lines included."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: Mapping[str, Any] = {}


CONTEXT: Final = LogContext()
"""Set by a worker's task around each of its steps: one assignment, never per record."""


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    # Lines of other threads are not the task's that happens to run.
    context = CONTEXT.fields if record.thread == _MAIN_THREAD else {}
    return {**context, **own}


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
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


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
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in _fields(record).items() if name not in entry}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)
