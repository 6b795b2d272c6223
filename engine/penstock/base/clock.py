"""Time as a value that is given, never taken: the system clock, and the protocol that tests replace."""

import time
from typing import Protocol, final


class Clock(Protocol):
    """A source of time."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 (UTC)."""


@final
class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


def utc_text(at_ms: int) -> str:
    """A time for people and programs: in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms / 1000))
