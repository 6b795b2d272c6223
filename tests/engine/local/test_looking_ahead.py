"""Looks at a state before the start: what is to be seen of them while others are asked for."""

import asyncio
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from penstock.jobmanager.preflight import Report
from penstock.local.looking_ahead import LookingAhead

NEVER: Any = None


class Looks:
    """Each takes until the test says what is found."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: SimpleQueue[Report] = SimpleQueue()
        self.count = 0
        monkeypatch.setattr(LookingAhead, "_looked", self.looked)
        self.ahead = LookingAhead(
            job=NEVER,
            script=Path(),
            arguments=(),
            given=NEVER,
            graph=NEVER,
            configuration=NEVER,
            stores=NEVER,
            read_journal=NEVER,
            child=None,
        )

    def looked(self, against: str | None, allow_unclaimed: bool | None) -> tuple[Report, str | None]:
        self.count += 1
        return self.found.get(timeout=30), against

    async def ask(self, against: str | None = None) -> "asyncio.Task[Report]":
        task = asyncio.create_task(self.ahead.look(against, None))
        await asyncio.sleep(0)
        return task


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


async def test_a_report_is_there_until_the_next_one(looks: Looks) -> None:
    first, second = Report(outcome="compatible"), Report(outcome="incompatible")
    looking = await looks.ask()
    again = await looks.ask()
    assert looks.ahead.report is None

    looks.found.put(first)
    assert await looking is first
    assert looks.ahead.report is first

    looks.found.put(second)
    assert await again is second
    assert looks.ahead.report is second


async def test_all_who_ask_during_a_look_share_the_next(looks: Looks) -> None:
    report = Report(outcome="compatible")
    asked = [await looks.ask() for _ in range(5)]
    looks.found.put(report)
    looks.found.put(report)
    assert await asyncio.gather(*asked) == [report] * 5
    assert looks.count == 2


async def test_a_report_about_another_state_is_not_shown(looks: Looks) -> None:
    looks.found.put(Report(outcome="compatible"))
    await (await looks.ask())
    other = await looks.ask("s3://bucket/savepoint")
    assert looks.ahead.report is None
    looks.found.put(Report(outcome="incompatible"))
    await other
    assert looks.ahead.against == "s3://bucket/savepoint"
