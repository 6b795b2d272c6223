"""Snapshots without a FlinkJob are looked after, and those that only seem to be without one are not."""

import asyncio
from typing import Any

import pytest

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.resources import SNAPSHOTS
from penstock_operator.errors import Missing, Unavailable
from penstock_operator.handlers import orphans
from penstock_operator.handlers.orphans import Orphans
from penstock_operator.render.names import FINALIZER

OWNER = Owner("ns", "j")


def a_snapshot() -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": "s", "uid": "u", "resourceVersion": "1", "finalizers": [FINALIZER]}
    spec = {"jobReference": {"name": "j"}, "savepoint": {}}
    return {"metadata": {**metadata, "deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec}


class Api:
    """Answers about one FlinkJob, and hears what is done."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.done: list[tuple[Owner, Any]] = []
        self.heard = asyncio.Event()

    async def get(self, *asked: Any) -> dict[str, Any]:
        answer = self.answers.pop(0)
        if not self.answers:
            self.heard.set()
        if isinstance(answer, Exception):
            raise answer
        return dict(answer)

    async def about_snapshot(self, owner: Owner, act: Any) -> None:
        self.done.append((owner, act))


async def looked(api: Api, cache: Cache) -> list[Any]:
    it: Any = Orphans(api, cache, api)  # type: ignore[arg-type]
    it.look(OWNER)
    running = asyncio.create_task(it.run())
    async with asyncio.timeout(10):
        await api.heard.wait()
        while it._waiting:
            await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [act.present for _, act in api.done]


def cached() -> Cache:
    cache = Cache(clock=lambda: 0.0)
    cache.put(SNAPSHOTS, OWNER, a_snapshot())
    return cache


async def test_one_whose_job_is_gone_loses_its_finalizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "RETRY_S", 0.0)
    assert await looked(Api(Unavailable("no answer"), Missing("no such job")), cached()) == [False]


async def test_one_whose_job_is_only_not_known_yet_is_left_to_it() -> None:
    assert await looked(Api({"metadata": {"name": "j"}}), cached()) == []


async def test_one_whose_job_is_known_is_not_even_asked_about() -> None:
    cache = cached()
    cache.read_job({"metadata": {"namespace": "ns", "name": "j", "uid": "u1", "resourceVersion": "2"}})
    api = Api()
    it = Orphans(api, cache, api)  # type: ignore[arg-type]
    it.look(OWNER)
    assert not it._waiting
