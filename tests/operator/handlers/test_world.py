"""What is written to a FlinkJob is there afterwards, or nothing is done that rests on it."""

from typing import Any

import pytest
from aiohttp import web

from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.decide.facts import JobObject
from penstock_operator.errors import Rejected
from penstock_operator.handlers.world import ClusterWorld
from penstock_operator.model.status import Operation, OperationKind, RevisionRecord, Status, Step

NOW = "2026-01-01T00:00:00Z"
STATUS = Status(
    operation=Operation(OperationKind.DEPLOY, Step.STARTING, NOW, NOW, revision="r1", start_id="s1"),
    revisions=(RevisionRecord("r1", 1, None, NOW), RevisionRecord("r2", 2, None, NOW)),
)


@pytest.fixture
def written(api_server: Any) -> Any:
    """Has a status written to an API server that forgets these fields of it; None: all of it."""

    async def write(*forgets: tuple[str, ...] | None) -> Cache:
        async def answer(request: web.Request) -> web.Response:
            body = await request.json()
            for path in forgets:
                forget(body, path)
            body["metadata"]["resourceVersion"] = "8"
            return web.json_response(body)

        api_server.behave = answer
        cache = Cache(clock=lambda: 0.0)
        world: Any = ClusterWorld(api_server.client(), cache, None, None, None)  # type: ignore[arg-type]
        job = JobObject("ns", "j", "u", 1, "7", NOW, None, (), Status())
        await world.write_status(job, STATUS)
        return cache

    return write


def forget(body: dict[str, Any], path: tuple[str, ...] | None) -> None:
    if path is None:
        del body["status"]
        return
    inner = body["status"]
    for name in path[:-1]:
        inner = inner[name]
    for one in inner if isinstance(inner, list) else [inner]:
        del one[path[-1]]


async def test_a_status_that_is_kept_whole_is_seen_at_once(written: Any) -> None:
    cache = await written()
    assert cache.job(Owner("ns", "j"))["metadata"]["resourceVersion"] == "8"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("operation", "startId"), "status.operation.startId"),
        (("revisions", "startedAt"), r"status.revisions\[\].startedAt$"),
        (("operation",), "status.operation"),
        (None, "status$"),
    ],
)
async def test_a_definition_that_is_older_than_the_operator_is_named_with_what_it_does_not_know(
    written: Any, path: tuple[str, ...] | None, named: str
) -> None:
    with pytest.raises(Rejected, match=f"penstock-operator crds .*It does not know {named}"):
        await written(path)
