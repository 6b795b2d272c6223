"""What is made of a JobManager that answers badly, slowly, or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.operator.decide.simulated import a_spec

from penstock_operator.clients.flink_rest import ANSWER_BYTES_MAX, FlinkRest, open_session
from penstock_operator.decide.acts import CheckState, Rescale, StartJob, TriggerSavepoint
from penstock_operator.decide.facts import TriggerAnswer, TriggerState, Unknown
from penstock_operator.errors import Rejected, Unavailable
from penstock_operator.model.status import Origin

JOB, TRIGGER = "a" * 32, "b" * 32
START = StartJob("rev", "id", Origin(kind="newest"), True, "CLAIM")


class Scripted:
    """Says what a test wants."""

    def __init__(self) -> None:
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.asked: list[tuple[str, str, Any]] = []
        self.address = ""

    def says(self, body: Any, status: int = 200) -> None:
        async def answer(request: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status)

        self.answer = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        assert self.answer is not None
        return await self.answer(request)


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    found = Scripted()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    async with TestServer(app) as server:
        found.address = str(server.make_url("")).rstrip("/")
        yield found


@pytest.fixture
async def rest() -> AsyncIterator[FlinkRest]:
    async with open_session() as session:
        yield FlinkRest(session, count=lambda *said: None)


def impatient() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2))


SUMMARY = {
    "standby": {
        "revision": "rev",
        "state": "STARTED",
        "startId": "s",
        "error": None,
        "slots": {"required": 1, "registered": 1},
        "preflight": {"status": "UNKNOWN", "against": None, "findings": []},
    },
    "job": {"state": "RUNNING", "startTime": 5, "parallelism": 2, "restarts": 1, "failure": None, "stoppedWith": "/s"},
    "checkpoints": {"completed": 3, "failed": 1, "last": None},
}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ([], "is no JobManager of this version"),
        ({"standby": None}, "is not in standby: it was not started by this operator"),
        (SUMMARY | {"job": {"state": 7}}, "is no JobManager of this version"),
        (SUMMARY | {"standby": {"state": "DANCING"}}, "is no JobManager of this version"),
    ],
)
async def test_what_is_no_answer_is_unknown(scripted: Scripted, rest: FlinkRest, body: Any, sentence: str) -> None:
    scripted.says(body)
    found = await rest.answer(scripted.address)
    assert isinstance(found, Unknown) and sentence in found.reason


async def test_a_summary_is_one_request_and_what_is_new_in_it_is_passed_over(
    scripted: Scripted, rest: FlinkRest
) -> None:
    scripted.says(SUMMARY | {"weather": "fine"})
    found = await rest.answer(scripted.address)
    assert not isinstance(found, Unknown)
    assert (found.restarts, found.completed, found.failed, found.preflight.compatible) == (1, 3, 1, None)
    assert found.stopped_with == "/s"
    assert [(verb, path) for verb, path, _ in scripted.asked] == [("GET", "/v1/penstock/summary")]


async def test_nobody_there_is_unknown_and_an_act_was_not_heard(rest: FlinkRest, unused_tcp_port: int) -> None:
    address = f"http://127.0.0.1:{unused_tcp_port}"
    found = await rest.answer(address)
    assert isinstance(found, Unknown) and "does not answer" in found.reason
    with pytest.raises(Unavailable):
        await rest.start(address, START)
    with pytest.raises(Unavailable):
        await rest.check_state(address, CheckState("rev", None))


async def test_whoever_is_silent_is_given_up_after_the_time_out(scripted: Scripted) -> None:
    heard = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        await heard.wait()
        return web.json_response({})

    scripted.answer = silent
    async with impatient() as session:
        rest = FlinkRest(session, count=lambda *said: None)
        found = await rest.answer(scripted.address)
        assert isinstance(found, Unknown) and "no answer in time" in found.reason
        with pytest.raises(Unavailable):
            await rest.start(scripted.address, START)
        await rest.check_state(scripted.address, CheckState("rev", None))  # It is at work.
    heard.set()


async def test_an_answer_without_end_is_cut_off(scripted: Scripted, rest: FlinkRest) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(ANSWER_BYTES_MAX // 65536 + 2):
            await response.write(b" " * 65536)
        return response

    scripted.answer = endless
    found = await rest.answer(scripted.address)
    assert isinstance(found, Unknown) and "more than" in found.reason


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Rejected), (409, Rejected), (503, Unavailable), (500, Unavailable), (302, Rejected)]
)
async def test_a_refusal_is_told_in_the_jobmanagers_words(
    scripted: Scripted, rest: FlinkRest, status: int, kind: type[Exception]
) -> None:
    scripted.says({"errors": ["the moon is full"]}, status)
    with pytest.raises(kind, match="the moon is full"):
        await rest.savepoint(scripted.address, JOB, TriggerSavepoint("rev", TRIGGER, "/s", True))


async def test_a_trigger_nobody_has_heard_of_is_unknown_to_the_jobmanager(scripted: Scripted, rest: FlinkRest) -> None:
    scripted.says({"errors": ["Operation not found"]}, 404)
    found = await rest.trigger(scripted.address, JOB, "savepoint", TRIGGER)
    assert found == TriggerAnswer(TriggerState.UNKNOWN)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (None, TriggerAnswer(TriggerState.IN_PROGRESS)),
        ({"location": "s3://b/s"}, TriggerAnswer(TriggerState.COMPLETED, "s3://b/s")),
        (
            {"failure-cause": {"class": "a.B", "stack-trace": "a.B: the disk is full: really\n at x"}},
            TriggerAnswer(TriggerState.FAILED, failure="the disk is full: really"),
        ),
        ({"failureCause": {"stack-trace": ""}}, TriggerAnswer(TriggerState.FAILED, failure="no reason was given")),
    ],
)
async def test_what_became_of_a_trigger(
    scripted: Scripted, rest: FlinkRest, operation: Any, expected: TriggerAnswer
) -> None:
    status = "IN_PROGRESS" if operation is None else "COMPLETED"
    scripted.says({"status": {"id": status}, "operation": operation})
    assert await rest.trigger(scripted.address, JOB, "savepoint", TRIGGER) == expected


async def test_what_is_asked_is_what_the_act_says(scripted: Scripted, rest: FlinkRest) -> None:
    scripted.says({})
    await rest.start(scripted.address, START)
    await rest.savepoint(scripted.address, JOB, TriggerSavepoint("rev", TRIGGER, "s3://b/s", False, "canonical"))
    await rest.rescale(scripted.address, JOB, Rescale("rev", a_spec(parallelism=4), TRIGGER))
    assert scripted.asked == [
        (
            "POST",
            "/v1/penstock/standby",
            {"startId": "id", "from": {"kind": "newest"}, "allowNonRestoredState": True, "claimMode": "CLAIM"},
        ),
        (
            "POST",
            f"/v1/jobs/{JOB}/savepoints",
            {"triggerId": TRIGGER, "formatType": "CANONICAL", "target-directory": "s3://b/s"},
        ),
        ("PATCH", f"/v1/jobs/{JOB}/rescaling?parallelism=4&triggerId={TRIGGER}", None),
    ]
