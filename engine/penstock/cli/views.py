"""What people see of a running job on standard error: a live view on a terminal, a line per change elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, final

from penstock.cli.progress import Progress, changes, checkpoint_line, restart_line

_CHECKPOINT_LINES_S: Final = 10.0
"""At most one line about completed checkpoints in so many seconds."""


class View(Protocol):
    """Shows one look after the other. `show` is called on the cluster's loop and never blocks it for long."""

    def show(self, progress: Progress) -> None:
        """This is how it is now."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@final
class _Restarts:
    """Tells which restarts are said: each time twice as many. A job may fail over and over between two looks."""

    def __init__(self, first: int) -> None:
        self._first = self._next = first
        self._job = ""

    def due(self, progress: Progress) -> bool:
        if progress.job != self._job:
            self._job, self._next = progress.job, self._first
        due = progress.restarts >= self._next
        if due:
            self._next = 2 * progress.restarts
        return due


@final
class QuietView:
    """Nothing, but for restarts: a job that never gets anywhere would not be heard of."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._restarts = _Restarts(1)

    def show(self, progress: Progress) -> None:
        if self._restarts.due(progress):
            self._say(restart_line(progress))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


@final
class PlainView:
    """A line whenever something changes, and every so often about checkpoints."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._before: Progress | None = None
        self._said_at_s = float("-inf")
        self._said_checkpoint: int | None = None
        self._restarts = _Restarts(2)  # The first one is a change.

    def show(self, progress: Progress) -> None:
        before = self._before if self._before is not None and self._before.job == progress.job else None
        for sentence in changes(before, progress):
            self._say(sentence)
        if self._restarts.due(progress):
            self._say(restart_line(progress))
        due = progress.at_s - self._said_at_s >= _CHECKPOINT_LINES_S
        if progress.last_checkpoint is not None and progress.last_checkpoint != self._said_checkpoint and due:
            self._said_at_s, self._said_checkpoint = progress.at_s, progress.last_checkpoint
            self._say(checkpoint_line(progress))
        self._before = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def live_view() -> View:
    """A view that is drawn anew four times a second; what the job prints goes by above it."""
    from penstock.cli.live import LiveView

    return LiveView()
