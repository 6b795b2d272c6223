"""What the port for Prometheus answers to whom, and what becomes of ports that are taken."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from penstock.base.errors import ConfigurationError
from penstock.common import Configuration
from penstock.monitoring.endpoint import PrometheusEndpoint
from penstock.monitoring.readings import Reading, Scoped
from penstock.monitoring.settings import PrometheusSettings, Wording, prometheus_settings
from penstock.testing.loops import run

HOST = "127.0.0.1"


def settings(*ports: int, asked: bool = True) -> PrometheusSettings:
    return PrometheusSettings(ports=ports, asked=asked, wording=Wording())


def said() -> Iterable[Scoped]:
    return [Scoped(("jobmanager",), {"host": "h"}, [Reading("numRunningJobs", 1)])]


@asynccontextmanager
async def listening(endpoint: PrometheusEndpoint) -> AsyncIterator[PrometheusEndpoint]:
    await endpoint.start(HOST)
    try:
        yield endpoint
    finally:
        await endpoint.close()


async def sent(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def answer(request: bytes) -> bytes:
    async def main() -> bytes:
        async with listening(PrometheusEndpoint(lambda: said, settings(0))) as endpoint:
            return await sent(endpoint.port, request)

    return run(main())


@pytest.mark.parametrize("path", ["/metrics", "/", "/metrics?name[]=x"])
def test_a_scrape_is_answered_in_prometheus_text(path: str) -> None:
    head, _, body = answer(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
    assert f"Content-Length: {len(body)}".encode() in head
    assert body.splitlines()[-1] == b'flink_jobmanager_numRunningJobs{host="h"} 1.0'


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /jobs HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"\xff\x00\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        (b"x" * 100_000, b""),
    ],
)
def test_other_requests_are_refused(request_: bytes, status: bytes) -> None:
    assert answer(request_).partition(b"\r\n")[0] == status


def test_who_says_nothing_does_not_keep_it_from_closing() -> None:
    async def main() -> bytes:
        endpoint = PrometheusEndpoint(lambda: said, settings(0))
        await endpoint.start(HOST)
        reader, writer = await asyncio.open_connection(HOST, endpoint.port)
        writer.write(b"GET /met")
        await sent(endpoint.port, b"GET / HTTP/1.1\r\n\r\n")
        await endpoint.close()
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    assert run(main()) == b""


def test_what_fails_is_a_500_that_says_nothing_of_it() -> None:
    def broken() -> Iterable[Scoped]:
        raise ValueError("a secret")

    async def main() -> bytes:
        async with listening(PrometheusEndpoint(lambda: broken, settings(0))) as endpoint:
            return await sent(endpoint.port, b"GET / HTTP/1.1\r\n\r\n")

    found = run(main())
    assert found.startswith(b"HTTP/1.1 500") and b"secret" not in found


def test_the_first_free_port_is_taken() -> None:
    async def main(taken: int) -> int:
        async with listening(PrometheusEndpoint(lambda: said, settings(taken, 0))) as endpoint:
            return endpoint.port

    with socket.create_server((HOST, 0)) as other:
        taken = other.getsockname()[1]
        assert run(main(taken)) not in (0, taken)


def test_ports_that_were_asked_for_and_are_taken_are_an_error_others_are_not() -> None:
    async def main(*, asked: bool, port: int) -> int:
        async with listening(PrometheusEndpoint(lambda: said, settings(port, asked=asked))) as endpoint:
            return endpoint.port

    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        assert run(main(asked=False, port=port)) == 0
        with pytest.raises(ConfigurationError, match=f"port {port} is in use; see metrics.reporter.prom.port"):
            run(main(asked=True, port=port))


@pytest.mark.parametrize(
    ("given", "by_default", "expected"),
    [
        ({}, False, None),
        ({}, True, (False, 9249, 9348)),
        ({"metrics.reporter.prom.port": "9250-9260"}, False, (True, 9250, 9260)),
        ({"metrics.reporters": "prom"}, False, (True, 9249, 9249)),
        ({"metrics.reporter.prom.factory.class": "any"}, False, (True, 9249, 9249)),
        ({"metrics.reporters": "jmx", "metrics.reporter.prom.port": "9250"}, True, None),
    ],
)
def test_it_is_there_by_default_in_a_cluster_and_locally_when_asked_for(
    given: dict[str, str], by_default: bool, expected: tuple[bool, int, int] | None
) -> None:
    found = prometheus_settings(Configuration.from_dict(given), by_default=by_default)
    assert (None if found is None else (found.asked, found.ports[0], found.ports[-1])) == expected


def test_labels_follow_flinks_keys() -> None:
    given = {
        "metrics.reporter.prom.port": "0",
        "metrics.reporter.prom.filterLabelValueCharacters": "false",
        "metrics.reporter.prom.scope.variables.excludes": "job_id;task_attempt_num",
    }
    found = prometheus_settings(Configuration.from_dict(given), by_default=False)
    assert found is not None
    assert found.wording == Wording(plain_values=False, without=frozenset({"job_id", "task_attempt_num"}))
