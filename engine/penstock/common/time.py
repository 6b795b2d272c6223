"""Amounts and points of time as users write them; mirrors pyflink.common.time."""

from datetime import UTC, datetime, timedelta
from functools import total_ordering
from numbers import Real
from typing import final

from penstock.common.arguments import check_argument

__all__ = ["Duration", "Instant", "Time"]

_NANOS_PER_SECOND = 1_000_000_000
_NANOS_PER_MILLI = 1_000_000


@final
@total_ordering
class Duration:
    """An amount of time, to the nanosecond."""

    __slots__ = ("_nanos",)

    def __init__(self, nanos: int) -> None:
        self._nanos = nanos

    @staticmethod
    def of_days(days: int) -> "Duration":
        check_argument(days, Real, "Duration.of_days()")
        return Duration.of_seconds(days * 86_400)

    @staticmethod
    def of_hours(hours: int) -> "Duration":
        check_argument(hours, Real, "Duration.of_hours()")
        return Duration.of_seconds(hours * 3_600)

    @staticmethod
    def of_minutes(minutes: int) -> "Duration":
        check_argument(minutes, Real, "Duration.of_minutes()")
        return Duration.of_seconds(minutes * 60)

    @staticmethod
    def of_seconds(seconds: int) -> "Duration":
        check_argument(seconds, Real, "Duration.of_seconds()")
        return Duration(int(seconds * _NANOS_PER_SECOND))

    @staticmethod
    def of_millis(millis: int) -> "Duration":
        check_argument(millis, Real, "Duration.of_millis()")
        return Duration(int(millis * _NANOS_PER_MILLI))

    @staticmethod
    def of_nanos(nanos: int) -> "Duration":
        return Duration(nanos)

    @staticmethod
    def of_timedelta(delta: timedelta) -> "Duration":
        return Duration((delta // timedelta(microseconds=1)) * 1_000)

    def to_millis(self) -> int:
        return self._nanos // _NANOS_PER_MILLI

    def to_nanos(self) -> int:
        return self._nanos

    def to_seconds(self) -> float:
        return self._nanos / _NANOS_PER_SECOND

    def __eq__(self, other: object) -> bool:
        return self._nanos == other._nanos if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other: "Duration") -> bool:
        return self._nanos < other._nanos

    def __hash__(self) -> int:
        return hash(("Duration", self._nanos))

    def __repr__(self) -> str:
        return f"Duration({self})"

    def __str__(self) -> str:
        """As Java prints it: `PT1M30S`, `PT0.1S`."""
        if not self._nanos:
            return "PT0S"
        sign = -1 if self._nanos < 0 else 1
        seconds, nanos = divmod(abs(self._nanos), _NANOS_PER_SECOND)
        hours, minutes, seconds = seconds // 3_600 * sign, seconds % 3_600 // 60 * sign, seconds % 60
        text = "PT" + (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
        if seconds or nanos:
            text += "-" if sign < 0 else ""
            text += f"{seconds}.{nanos:09d}".rstrip("0").rstrip(".") + "S"
        return text


@final
@total_ordering
class Instant:
    """A point on the time line, to the nanosecond: seconds since 1970 (UTC), and nanoseconds within that second."""

    __slots__ = ("nanos", "seconds")

    def __init__(self, seconds: int, nanos: int) -> None:
        self.seconds = seconds
        self.nanos = nanos

    @staticmethod
    def of_epoch_milli(epoch_milli: int) -> "Instant":
        seconds, millis = divmod(epoch_milli, 1_000)
        return Instant(seconds, millis * _NANOS_PER_MILLI)

    def to_epoch_milli(self) -> int:
        return self.seconds * 1_000 + self.nanos // _NANOS_PER_MILLI

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Instant):
            return NotImplemented
        return self.seconds == other.seconds and self.nanos == other.nanos

    def __lt__(self, other: "Instant") -> bool:
        return (self.seconds, self.nanos) < (other.seconds, other.nanos)

    def __hash__(self) -> int:
        return hash((self.seconds, self.nanos))

    def __repr__(self) -> str:
        return f"Instant<{self.seconds}, {self.nanos}>"

    def to_iso(self) -> str:
        """As Java prints it: `2026-02-03T00:00:00Z`, the fraction in groups of three digits."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)
        fraction = f"{self.nanos:09d}"
        while fraction.endswith("000"):
            fraction = fraction[:-3]
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"


@final
class Time:
    """A size or slide of windows, in milliseconds."""

    __slots__ = ("_milliseconds",)

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def to_milliseconds(self) -> int:
        return self._milliseconds

    @staticmethod
    def milliseconds(milliseconds: int) -> "Time":
        return Time(milliseconds)

    @staticmethod
    def seconds(seconds: int) -> "Time":
        return Time.milliseconds(seconds * 1_000)

    @staticmethod
    def minutes(minutes: int) -> "Time":
        return Time.seconds(minutes * 60)

    @staticmethod
    def hours(hours: int) -> "Time":
        return Time.minutes(hours * 60)

    @staticmethod
    def days(days: int) -> "Time":
        return Time.hours(days * 24)

    def __eq__(self, other: object) -> bool:
        return self._milliseconds == other._milliseconds if isinstance(other, Time) else NotImplemented

    def __hash__(self) -> int:
        return hash(("Time", self._milliseconds))

    def __repr__(self) -> str:
        return f"Time({self._milliseconds} ms)"
