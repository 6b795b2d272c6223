"""Logs of the operator: one JSON object a line, or text for people, on standard error; never a secret.

A line is a constant sentence and fields, given as `extra`.
"""

import json
import logging
import sys
import time
from typing import Any, Final, Literal, TextIO, final

from penstock_operator.telemetry.masking import MASK, masked, masked_value, names_secret

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_NOT_OURS: Final = frozenset({"settings", "k8s_skip", "k8s_ref", "color_message"})
"""What libraries put into records for themselves."""
_QUIET: Final = ("kopf.objects", "kopf.activities", "aiohttp.access", "botocore", "boto3", "urllib3", "asyncio")
"""A line for every event, or for every request."""


def set_up_logs(level: str, form: Literal["json", "text"], stream: TextIO | None = None) -> None:
    """Of the whole process, from now on; may be called again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


@final
class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        for name, value in _fields(record).items():
            found.setdefault(name, value)
        if record.exc_info:
            found["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(found, default=str)


@final
class TextLines(logging.Formatter):
    """For a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.name}: {masked(record.getMessage())}{fields}"
        return f"{line}\n{masked(self.formatException(record.exc_info))}" if record.exc_info else line


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _STANDARD | _NOT_OURS}
    return {name: MASK if names_secret(name) else masked_value(value) for name, value in given.items()}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
