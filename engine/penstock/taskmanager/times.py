"""What a task spends its time with: its steps note it, metrics read it. Some clock readings a step, none a record."""

import time
from typing import final


@final
class TaskTimes:
    """One task's, in seconds of time.perf_counter()."""

    __slots__ = ("_blocked_s", "_blocked_since", "_kicked", "busy_s", "started", "waited_s")

    def __init__(self) -> None:
        self.started = 0.0
        self.busy_s = 0.0
        self.waited_s = 0.0
        """With something to do, while the worker did something else."""
        self._blocked_s = 0.0
        self._blocked_since: float | None = None
        self._kicked = 0.0

    @property
    def blocked_s(self) -> float:
        """Time spent without credit so far."""
        since = self._blocked_since
        return self._blocked_s + (time.perf_counter() - since if since is not None else 0.0)

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for credit."""
        return self._blocked_since is not None

    def start(self) -> None:
        """The task may run from now on."""
        self.started = time.perf_counter()

    def kicked(self) -> None:
        """A step was asked for; it comes when the worker is free."""
        self._kicked = time.perf_counter()

    def begin(self) -> float:
        """A step begins; when that is."""
        begun = time.perf_counter()
        if self._blocked_since is None:
            self.waited_s += begun - self._kicked
        return begun

    def end(self, begun: float) -> None:
        """The step that began then is over."""
        self.busy_s += time.perf_counter() - begun

    def block(self, begun: float) -> None:
        """There is no credit, since then or earlier."""
        if self._blocked_since is None:
            self._blocked_since = begun

    def unblock(self, begun: float) -> None:
        """There is."""
        if self._blocked_since is not None:
            self._blocked_s += begun - self._blocked_since
            self._blocked_since = None
