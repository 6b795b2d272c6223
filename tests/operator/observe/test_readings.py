"""What many jobs refer to at once is read once, and read again soon."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from penstock_operator.clients.resources import CONFIG_MAPS, SECRETS
from penstock_operator.errors import Unavailable
from penstock_operator.observe import readings
from penstock_operator.observe.readings import Readings

SECRET = "/api/v1/namespaces/ns/secrets/s3"


@pytest.fixture
async def known(api_server: Any) -> Readings:
    api_server.put(SECRET, {"metadata": {"name": "s3"}, "data": {"key": "dmFsdWU="}})
    return Readings(api_server.client())


async def test_who_asks_at_once_or_just_after_shares_one_answer(known: Readings, api_server: Any) -> None:
    found = await asyncio.gather(*(known.of(SECRETS, "ns", "s3") for _ in range(20)))
    assert found == [{"key": "dmFsdWU="}] * 20
    assert await known.of(SECRETS, "ns", "s3") == found[0]
    assert await known.of(CONFIG_MAPS, "ns", "s3") is None
    assert await known.of(SECRETS, "other", "s3") is None
    assert len(api_server.requests) == 3


async def test_an_answer_holds_for_a_moment_only(
    known: Readings, api_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "JUST_S", 0.0)
    await known.of(SECRETS, "ns", "s3")
    api_server.put(SECRET, {"metadata": {"name": "s3"}, "data": {"mended": ""}})
    assert await known.of(SECRETS, "ns", "s3") == {"mended": ""}


async def test_no_answer_is_told_to_all_who_asked_and_to_nobody_later(
    known: Readings, api_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"message": "not now"}, status=503)

    api_server.behave = refuse
    asked = await asyncio.gather(*(known.of(SECRETS, "ns", "s3") for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in asked] == [Unavailable] * 5 and len(api_server.requests) == 1
    api_server.behave = None
    monkeypatch.setattr(readings, "JUST_S", 0.0)
    assert await known.of(SECRETS, "ns", "s3") == {"key": "dmFsdWU="}


async def test_who_gives_up_does_not_take_the_answer_from_others(known: Readings, api_server: Any) -> None:
    asked = asyncio.Event()

    async def wait(_: web.Request) -> None:
        if not asked.is_set():
            asked.set()
            await asyncio.Event().wait()

    api_server.behave = wait
    first = asyncio.create_task(known.of(SECRETS, "ns", "s3"))
    await asked.wait()
    second = asyncio.create_task(known.of(SECRETS, "ns", "s3"))
    first.cancel()
    assert await second == {"key": "dmFsdWU="}
    with pytest.raises(asyncio.CancelledError):
        await first
