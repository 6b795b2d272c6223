"""Cron's times, in UTC."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_operator.errors import InvalidValue
from penstock_operator.model.cron import read_cron


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 3 * * *", "2026-02-27T02:59:59", "2026-02-27T03:00:00"),
        ("0 3 * * *", "2026-02-27T03:00:00", "2026-02-28T03:00:00"),
        ("*/15 * * * *", "2026-12-31T23:50:00", "2027-01-01T00:00:00"),
        ("5/20 1 * * *", "2026-01-01T01:05:30", "2026-01-01T01:25:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 9 * * mon-fri", "2026-11-20T09:00:00", "2026-11-23T09:00:00"),
        ("0 9 * * 7", "2026-11-20T09:00:00", "2026-11-22T09:00:00"),
        ("0 9 13 * fri", "2026-11-10T00:00:00", "2026-11-13T09:00:00"),
        ("0 9 13 * fri", "2026-11-13T10:00:00", "2026-11-20T09:00:00"),
        ("30 4 1,15 JAN,JUL *", "2026-02-01T00:00:00", "2026-07-01T04:30:00"),
    ],
)
def test_the_next_time_is_the_first_one_later(schedule: str, after: str, expected: str) -> None:
    assert read_cron(schedule).next_after(at(after)) == at(expected)


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "*/0 * * * *",
     "a * * * *", "1, * * * *", "0 0 30 2 *", "@daily", "-1 * * * *", "² * * * *", "5-1 * * * *"],
)  # fmt: skip
def test_what_never_comes_about_or_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="five fields"):
        read_cron(text)


@given(st.integers(0, 59), st.integers(0, 23), st.integers(0, 4_000_000_000))
def test_a_daily_schedule_comes_within_a_day_and_where_it_should(minute: int, hour: int, moment: int) -> None:
    found = read_cron(f"{minute} {hour} * * *").next_after(moment)
    assert found is not None
    time = datetime.fromtimestamp(found, UTC)
    assert (time.minute, time.hour, time.second) == (minute, hour, 0)
    assert moment < found <= moment + timedelta(days=1).total_seconds()
