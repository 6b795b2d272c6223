"""Waits for what a JobManager does in its own time, such as a savepoint, and shows how far it has come."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import click

from penstock.base.errors import PeerUnavailable, PenstockError
from penstock.cli.ending import say
from penstock.cli.texts import size
from penstock.rest.client import RestClient, RestRefused

_FIRST_PAUSE_S: Final = 0.05
_PAUSE_MAX_S: Final = 0.5
_SILENCE_MAX_S: Final = 20.0
"""How long a JobManager may not answer before we stop waiting for it."""
_LINE_S: Final = 10.0
"""Where there is no terminal, a line of progress so often."""


@final
class OperationFailed(PenstockError):
    """The JobManager tried, and could not."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One operation that was begun."""

    ask: Callable[[], dict[str, Any]]
    """Its status, as REST has it."""
    what: str
    """As `savepoint of job ...`, for errors."""
    trigger: str
    progress: Callable[[], str] | None = None
    """How far it has come, in a few words; empty when there is nothing to say."""


def wait(waiting: Waiting) -> dict[str, Any]:
    """What came of it. Raises OperationFailed, or what makes it impossible to find out."""
    line = _ProgressLine()
    pause_s, silent_since = _FIRST_PAUSE_S, None
    try:
        while True:
            try:
                answer = waiting.ask()
                silent_since = None
                if answer["status"]["id"] == "COMPLETED":
                    return _result(answer.get("operation") or {}, waiting)
                if waiting.progress is not None:
                    line.show(waiting.progress())
            except PeerUnavailable as error:
                now = time.monotonic()
                silent_since = now if silent_since is None else silent_since
                if now - silent_since > _SILENCE_MAX_S:
                    raise PeerUnavailable(
                        f"{error}; what became of the {waiting.what} is not known, its trigger id is {waiting.trigger}"
                    ) from error
            except RestRefused as error:
                if error.status != 404:
                    raise
                raise OperationFailed(
                    f"the JobManager knows nothing of the {waiting.what} (any more): it was restarted meanwhile;"
                    " look into the target folder before you ask again"
                ) from error
            time.sleep(pause_s)
            pause_s = min(_PAUSE_MAX_S, pause_s * 1.5)
    finally:
        line.clear()


def snapshot_progress(client: RestClient, job: str, *, savepoint: bool) -> Callable[[], str]:
    """Subtasks and bytes of the newest one under way, by the job's checkpoint statistics."""

    def progress() -> str:
        try:
            history = client.checkpoints(job)["history"]
        except PenstockError:
            return ""
        under_way = (e for e in history if e["status"] == "IN_PROGRESS" and bool(e.get("is_savepoint")) is savepoint)
        newest = max(under_way, key=lambda entry: int(entry["id"]), default=None)
        if newest is None:
            return ""
        done, of = newest["num_acknowledged_subtasks"], newest["num_subtasks"]
        written = size(max(newest.get("checkpointed_size") or 0, newest.get("state_size") or 0))
        return f"{done} of {of} subtasks, {written}"

    return progress


def _result(operation: dict[str, Any], waiting: Waiting) -> dict[str, Any]:
    cause = operation.get("failure-cause") or operation.get("failureCause")
    if cause:
        raise OperationFailed(f"the {waiting.what} failed: {_sentence(cause)}")
    return operation


def _sentence(cause: Any) -> str:
    """The first line of a failure, without the class in front."""
    if not isinstance(cause, dict):
        return str(cause)
    kind = str(cause.get("class") or "")
    text = str(cause.get("stack-trace") or kind).strip().partition("\n")[0]
    return text.removeprefix(f"{kind}: ")


@final
class _ProgressLine:
    """On a terminal one line that changes; elsewhere a line every so often."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""
        self._next_line = time.monotonic() + _LINE_S

    def show(self, text: str) -> None:
        if not text or text == self._shown:
            return
        if self._terminal:
            click.echo(f"\r\x1b[K{text}", err=True, nl=False)
            self._shown = text
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_S
            self._shown = text
            say(text)

    def clear(self) -> None:
        if self._terminal and self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
