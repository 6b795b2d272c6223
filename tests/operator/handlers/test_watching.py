"""What the watches deliver ends in the cache, and wakes whom it concerns and nobody else."""

import asyncio
from typing import Any

import kopf
from aiohttp import web

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.resources import DEPLOYMENTS, FLINK_JOBS, PODS, SNAPSHOTS
from penstock_operator.cycle.world import JobKey
from penstock_operator.handlers.resync import Resync
from penstock_operator.handlers.watching import WATCHED, Wakes, delivered, register, watch_settings
from penstock_operator.render.names import JOB_LABEL

KEY = JobKey("ns", "j", "u1")


class Woken:
    def __init__(self) -> None:
        self.cache = Cache(clock=lambda: 0.0)
        self.news: list[JobKey] = []
        self.gone: list[JobKey] = []
        self.orphaned: list[Owner] = []
        self.wakes = Wakes(
            news=self.news.append, gone=self.gone.append, orphaned=self.orphaned.append, stop=lambda: None
        )

    def deliver(self, resource: Any, body: dict[str, Any], kind: str | None = "MODIFIED") -> None:
        delivered(resource, self.cache, self.wakes, kind, body)


def job(version: int) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "j", "uid": "u1", "resourceVersion": str(version)}}


def pod(version: int, uid: str = "p1", **labels: str) -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": uid, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, "labels": {JOB_LABEL: "j", **labels}}}


def test_a_job_is_attended_to_from_its_first_sight_on() -> None:
    woken = Woken()
    woken.deliver(FLINK_JOBS, job(1), None)
    woken.deliver(FLINK_JOBS, job(1), None)
    woken.deliver(FLINK_JOBS, job(2))
    assert woken.news == [KEY, KEY]


def test_what_belongs_to_a_job_wakes_it() -> None:
    woken = Woken()
    woken.deliver(PODS, pod(1))
    assert woken.news == [], "nobody is there to be woken yet"
    assert woken.orphaned == [Owner("ns", "j")]
    woken.deliver(FLINK_JOBS, job(2))
    woken.deliver(PODS, pod(3))
    woken.deliver(PODS, pod(3))
    woken.deliver(PODS, pod(4), "DELETED")
    woken.deliver(SNAPSHOTS, {"metadata": pod(5)["metadata"] | {"labels": {}}, "spec": {"jobReference": {"name": "j"}}})
    assert woken.news == [KEY] * 4
    assert woken.cache.belongings(Owner("ns", "j"), PODS) == []


def test_what_belongs_to_nobody_is_left_alone() -> None:
    woken = Woken()
    woken.deliver(FLINK_JOBS, job(1))
    stranger = pod(2)
    stranger["metadata"]["labels"] = {}
    woken.deliver(PODS, stranger)
    assert woken.news == [KEY]


def test_a_deletion_ends_the_task() -> None:
    woken = Woken()
    woken.deliver(FLINK_JOBS, job(1))
    woken.deliver(FLINK_JOBS, job(2), "DELETED")
    assert woken.gone == [KEY]
    assert woken.orphaned == [Owner("ns", "j")]
    assert woken.cache.job(Owner("ns", "j")) is None


def test_kopf_is_given_handlers_that_write_nothing() -> None:
    registry = kopf.OperatorRegistry()
    woken = Woken()
    register(registry, woken.cache, woken.wakes)
    assert len(registry._watching.get_all_handlers()) == len(WATCHED)
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()
    settings = watch_settings()
    assert not settings.posting.enabled
    assert settings.scanning.disabled


async def test_what_went_while_nobody_watched_is_found_out(api_server: Any) -> None:
    woken = Woken()
    woken.deliver(FLINK_JOBS, job(1))
    woken.deliver(PODS, pod(2))
    woken.deliver(DEPLOYMENTS, pod(3, "d1"))

    async def lists(request: Any) -> Any:
        path = request.path
        items = [job(1)] if path.endswith("flinkjobs") else [pod(9, "p2")] if path.endswith("pods") else []
        return web.json_response({"items": items})

    api_server.behave = lists
    wrong: list[Owner] = []
    resync = Resync(api_server.client(), woken.cache, namespaces=(), interval_s=1, wrong=wrong.append)
    assert await resync.load()
    assert set(wrong) == {Owner("ns", "j")}
    found = [body["metadata"]["uid"] for body in woken.cache.belongings(Owner("ns", "j"), PODS)]
    assert found == ["p2"]
    assert woken.cache.belongings(Owner("ns", "j"), DEPLOYMENTS) == []


async def test_only_what_is_news_is_asked_for_whole(api_server: Any) -> None:
    woken = Woken()
    stored = {"flinkjobs": [job(1)], "pods": [pod(2), pod(3, "p2")]}
    asked: list[str] = []

    async def lists(request: Any) -> Any:
        kind, _, name = request.path.partition("/namespaces/ns/")[2].partition("/")
        if name:
            asked.append(name)
            return web.json_response(next(body for body in stored[kind] if body["metadata"]["name"] == name))
        items = stored.get(request.path.rpartition("/")[2], [])
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            items = [{"metadata": body["metadata"]} for body in items]
        return web.json_response({"items": items})

    api_server.behave = lists
    wrong: list[Owner] = []
    resync = Resync(api_server.client(), woken.cache, namespaces=(), interval_s=1, wrong=wrong.append)
    assert await resync.load()
    stored["pods"] = [pod(2), pod(9, "p2"), pod(10, "p3")]
    await resync.once()
    assert asked == ["p2", "p3"]
    assert wrong == [Owner("ns", "j")] * 2
    found = {body["metadata"]["name"]: body for body in woken.cache.belongings(Owner("ns", "j"), PODS)}
    assert {name: body["metadata"]["resourceVersion"] for name, body in found.items()} == {
        "p1": "2",
        "p2": "9",
        "p3": "10",
    }


async def test_nobody_is_attended_to_before_everything_is_loaded(api_server: Any) -> None:
    told: list[int] = []

    async def lists(request: Any) -> Any:
        return web.json_response({"items": [job(1)] if request.path.endswith("flinkjobs") else []})

    api_server.behave = lists
    cache = Cache(clock=lambda: 0.0)
    resync = Resync(
        api_server.client(),
        cache,
        namespaces=(),
        interval_s=1,
        wrong=lambda owner: told.append(len(api_server.requests)),
    )
    assert await resync.load()
    assert told == [len(WATCHED)]


async def test_a_namespace_that_may_not_be_looked_into_is_left_out_until_it_may(api_server: Any) -> None:
    closed = {"b"}

    async def lists(request: Any) -> Any:
        namespace = request.path.split("/namespaces/")[1].partition("/")[0]
        if namespace in closed:
            return web.json_response({"message": "flinkjobs is forbidden"}, status=403)
        return web.json_response({"items": []})

    api_server.behave = lists
    resync = Resync(
        api_server.client(),
        Cache(clock=lambda: 0.0),
        namespaces=("a", "b"),
        interval_s=0.001,
        wrong=lambda owner: None,
    )
    assert await resync.load()
    assert resync.namespaces == ("a",)
    opened = asyncio.create_task(resync.run())
    while len(api_server.requests) < 40:
        await asyncio.sleep(0)
    assert not opened.done()
    closed.clear()
    assert await opened == "b"
    closed |= {"a", "b"}
    assert not await resync.load()


async def test_a_cache_that_could_not_be_filled_is_not_full(api_server: Any) -> None:
    resync = Resync(
        api_server.client(), Cache(clock=lambda: 0.0), namespaces=(), interval_s=1, wrong=lambda owner: None
    )
    assert not await resync.load()
