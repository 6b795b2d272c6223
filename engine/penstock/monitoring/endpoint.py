"""Lets Prometheus scrape a JobManager or a TaskManager: the least of HTTP, on the process's own loop.

What there is to say is gathered on the loop, which takes no time, and put into words in a thread. Nothing that a
stranger sends is kept, repeated or waited for; a scrape that takes too long is cut off.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Final, final

from penstock.base.errors import ConfigurationError
from penstock.common.options import cluster
from penstock.monitoring.readings import Scoped
from penstock.monitoring.settings import PrometheusSettings, Wording

log: Final = logging.getLogger(__name__)

_HEAD_BYTES_MAX: Final = 16_384
_TIMEOUT_S: Final = 10.0
_CONNECTIONS_MAX: Final = 16
_PATHS: Final = (b"/metrics", b"/metrics/", b"/")
_TEXT_FORMAT: Final = "text/plain; version=0.0.4; charset=utf-8"
_PLAIN: Final = "text/plain; charset=utf-8"

Gather = Callable[[], Iterable[Scoped]]
"""What there is to say; called in a thread."""


@final
class PrometheusEndpoint:
    """Listens once started; `port` says where."""

    def __init__(self, gather: Callable[[], Gather], settings: PrometheusSettings | None) -> None:
        """`gather` is called on the loop for each scrape. Without settings nothing ever listens."""
        self._gather = gather
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.host = ""
        self.port = 0

    async def start(self, host: str) -> None:
        """Listen on the first port that is free. If none is, ConfigurationError where one was asked for."""
        settings = self._settings
        if settings is None:
            return
        for port in settings.ports:
            try:
                # Not left to the loop: where another process takes the port between the two calls, uvloop says nothing.
                listening = socket.create_server((host, port), family=_family(host))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                self._not_listening(settings, f"on port {port} of {host}: {error.strerror}")
                return
            self.host, self.port = listening.getsockname()[:2]
            self._server = await asyncio.start_server(self._connected, sock=listening, limit=_HEAD_BYTES_MAX)
            log.info("prometheus may scrape", extra={"address": f"http://{self.host}:{self.port}/metrics"})
            return
        self._not_listening(settings, f"on {host}: {_in_use(settings.ports)}")

    async def close(self) -> None:
        """Answer no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for connection in self._connections:
                connection.cancel()
            await server.wait_closed()

    def _not_listening(self, settings: PrometheusSettings, why: str) -> None:
        sentence = f"Prometheus cannot be listened for {why}; see {cluster.METRICS_PROMETHEUS_PORT.key}"
        if settings.asked:
            raise ConfigurationError(sentence)
        log.warning("no metrics for prometheus", extra={"reason": sentence})

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= _CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                writer.write(await self._answer(reader))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("a scrape was cut off", extra={"reason": type(error).__name__})
        except asyncio.CancelledError:
            log.debug("a scrape was under way at the end")
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", _PLAIN, b"metrics are read with GET\n")
        if path not in _PATHS:
            return _response("404 Not Found", _PLAIN, b"metrics are at /metrics\n")
        settings = self._settings
        assert settings is not None, "it listens"
        gather = self._gather()
        try:
            body = await asyncio.get_running_loop().run_in_executor(None, _page, gather, settings.wording)
        except Exception:
            log.exception("metrics could not be put into words")
            return _response("500 Internal Server Error", _PLAIN, b"see the log\n")
        return _response("200 OK", _TEXT_FORMAT, body, only_head=method == b"HEAD")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _page(gather: Gather, wording: Wording) -> bytes:
    # The first time this imports Prometheus's library: processes that nobody scrapes do without.
    from penstock.monitoring.exposition import text

    return text(gather(), wording)


def _response(status: str, content_type: str, body: bytes, *, only_head: bool = False) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode()
    return head if only_head else head + body


def _in_use(ports: Sequence[int]) -> str:
    return f"port {ports[0]} is in use" if len(ports) == 1 else f"ports {ports[0]}-{ports[-1]} are in use"
