"""A clock that moves when it is told to."""

from collections.abc import Callable
from typing import final


@final
class ManualClock:
    """Begins at a given time; runs due timers as it goes on."""

    def __init__(self, now_ms: int = 1_000_000) -> None:
        self._now_ms = now_ms
        self._due: list[tuple[int, _Timer]] = []

    def monotonic(self) -> float:
        return self._now_ms / 1000

    def now_ms(self) -> int:
        return self._now_ms

    def at(self, timestamp_ms: int, callback: Callable[[int], object]) -> "_Timer":
        """ProcessingTime's way to set a timer."""
        timer = _Timer(callback)
        self._due.append((timestamp_ms, timer))
        return timer

    def advance(self, milliseconds: int) -> None:
        """Let time pass, timer by timer."""
        end_ms = self._now_ms + milliseconds
        while due := [entry for entry in self._due if entry[0] <= end_ms]:
            entry = min(due, key=lambda each: each[0])
            self._due.remove(entry)
            self._now_ms = max(self._now_ms, entry[0])
            if entry[1].wanted:
                entry[1].callback(entry[0])
        self._now_ms = end_ms


@final
class _Timer:
    def __init__(self, callback: Callable[[int], object]) -> None:
        self.callback = callback
        self.wanted = True

    def cancel(self) -> None:
        self.wanted = False
