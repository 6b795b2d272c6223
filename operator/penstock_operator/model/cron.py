"""Times of day and week as cron writes them, in UTC: `minute hour day-of-month month day-of-week`.

Used for periodic snapshots. Pure: the moment to look from is given.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from penstock_operator.errors import InvalidValue

CRON_PATTERN: Final = r"^\S+( \S+){4}$"
CRON_ALLOWED: Final = (
    "five fields `minute hour day-of-month month day-of-week` in UTC, such as `0 3 * * *` (at three every night) or "
    "`*/30 8-18 * * mon-fri`, that come about at least once in eight years"
)
_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
_YEARS_MAX: Final = 8
"""Between two 29ths of February there may be so many."""


@final
@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule that was read; made by `read_cron`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    either_day: bool
    """Whether one of days and weekdays suffices: cron's rule where both are restricted."""

    def next_after(self, moment_s: float) -> float | None:
        """The first moment of the schedule that is later (seconds since 1970), if there is one within eight years."""
        moment = datetime.fromtimestamp(moment_s, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        last_year = moment.year + _YEARS_MAX
        while moment.year <= last_year:
            if moment.month not in self.months:
                moment = _first_of_next_month(moment)
            elif not self._on_day(moment):
                moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes:
                moment += timedelta(minutes=1)
            else:
                return moment.timestamp()
        return None

    def _on_day(self, moment: datetime) -> bool:
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either_day else day and weekday


def read_cron(text: str) -> Cron:
    """Raises InvalidValue."""
    fields = text.lower().split(" ")
    if len(fields) != 5:
        raise InvalidValue(CRON_ALLOWED)
    try:
        cron = Cron(
            minutes=_field(fields[0], 0, 59, {}),
            hours=_field(fields[1], 0, 23, {}),
            days=_field(fields[2], 1, 31, {}),
            months=_field(fields[3], 1, 12, _MONTHS),
            weekdays=frozenset(day % 7 for day in _field(fields[4], 0, 7, _DAYS)),
            either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        )
    except ValueError:
        raise InvalidValue(CRON_ALLOWED) from None
    if cron.next_after(0.0) is None:
        raise InvalidValue(CRON_ALLOWED)
    return cron


def _first_of_next_month(moment: datetime) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month, 12)
    return moment.replace(year=year, month=month + 1, day=1, hour=0, minute=0)


def _field(text: str, smallest: int, largest: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            low, high = smallest, largest
        else:
            low = _number(first, names)
            high = _number(last, names) if dash else (largest if slash else low)
        stride = _number(step, {}) if slash else 1
        if not (smallest <= low <= high <= largest and stride > 0):
            raise ValueError(text)
        found.update(range(low, high + 1, stride))
    return frozenset(found)


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)
