"""The HTTP server of a JobManager: Flink's REST, version 1, with and without its `/v1`, and a page for people at `/`.

Imports aiohttp, which takes a quarter of a second: whoever may run without REST imports this module late.
Answers come from plain functions on the JobManager's loop; errors are `{"errors": [...]}`.
"""

import asyncio
import contextlib
import errno
import inspect
import logging
from collections.abc import Sequence
from typing import Any, Final, final

import msgspec
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from penstock.base.errors import ConfigurationError
from penstock.common.options import cluster as options
from penstock.rest.asking import Asked, Cluster, Content, Refused
from penstock.rest.listening import listen_error, unfit_error
from penstock.rest.page_files import page_response
from penstock.rest.router import Router
from penstock.rest.routes import ROUTES

log: Final = logging.getLogger(__name__)

_PREFIXES: Final = ("", "/v1")
_CLOSE_TIMEOUT_S: Final = 2.0
_KEPT_OPEN_S: Final = 75.0
_BACKLOG: Final = 128
_SILENT: Final = logging.getLogger(f"{__name__}.connections")
_SILENT.disabled = True  # What strangers send is neither repeated to them nor logged.


@final
class RestServer:
    """Listens once started; `port` says where."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        configuration = cluster.configuration
        self._origin = configuration.get(options.WEB_ORIGIN)
        self._request_bytes_max = configuration.get(options.REST_MAX_CONTENT)
        self._idle_s = configuration.get(options.REST_IDLENESS_TIMEOUT).to_seconds()
        self._router = Router(ROUTES, _PREFIXES)
        self._loop = asyncio.get_running_loop()
        self._connections = web.Server(self._handle, request_factory=self._request)
        self._listening: asyncio.Server | None = None
        self.host = ""
        self.port = 0

    @property
    def address(self) -> str:
        """`http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self, host: str, ports: Sequence[int]) -> None:
        """Listen on the first of the ports that is free; 0 is any. ConfigurationError when none is."""
        self._listening = listening = await self._listen(host, ports)
        self.host, self.port = listening.sockets[0].getsockname()[:2]
        log.info("rest listens", extra={"address": self.address})

    async def close(self) -> None:
        """Answer what is under way, then no more."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        listening.close()
        self._connections.pre_shutdown()
        await self._connections.shutdown(_CLOSE_TIMEOUT_S)
        await listening.wait_closed()

    async def _listen(self, host: str, ports: Sequence[int]) -> asyncio.Server:
        assert ports, "there is at least one port to try"
        for port in ports:
            try:
                return await self._loop.create_server(self._connection, host, port, backlog=_BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise ConfigurationError(unfit_error(host, port, error)) from error
        raise ConfigurationError(listen_error(host, ports))

    def _connection(self) -> "_Connection":
        return _Connection(
            self._connections, loop=self._loop, access_log=_SILENT, keepalive_timeout=_KEPT_OPEN_S, logger=_SILENT
        )

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(
            message, payload, protocol, writer, task, self._loop, client_max_size=self._request_bytes_max
        )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        page = page_response(request)
        if page is not None:
            return page
        try:
            answer, status = await self._answer(request)
        except Refused as error:
            return self._refusal(error.status, str(error))
        except web.HTTPException as error:
            return self._refusal(error.status, error.reason)
        except asyncio.CancelledError:
            raise
        except ConnectionError:
            return self._refusal(400, "the request was cut off")  # Nobody reads it.
        except web.RequestPayloadError:
            return self._refusal(400, "the request's body is not in the encoding that its headers say")
        except Exception:
            log.exception("a request could not be answered", extra={"request": f"{request.method} {request.path}"})
            return self._refusal(500, "Internal server error: see the JobManager's log")
        if isinstance(answer, Content):
            return await self._stream(request, answer, status)
        return self._json(answer, status)

    async def _answer(self, request: web.BaseRequest) -> tuple[Any, int]:
        route, path = self._router.find(request.method, request.rel_url.raw_path)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # It is no part of the answer.
        try:
            async with asyncio.timeout(self._idle_s):
                body = await request.read()
        except TimeoutError as error:
            raise Refused(408, f"the request's body did not come within {self._idle_s:g} s") from error
        asked = Asked(path=path, query=request.query, body=body)
        answer = route.answer(self._cluster, asked)
        return (await answer if inspect.isawaitable(answer) else answer), route.status

    async def _stream(self, request: web.BaseRequest, content: Content, status: int) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers={"Access-Control-Allow-Origin": self._origin})
        response.content_type = content.media_type
        response.charset = "utf-8"
        await response.prepare(request)
        try:
            async for piece in content.pieces:
                await response.write(piece)
        except (Refused, ConnectionError) as error:
            # What was sent cannot be taken back: the client sees that the answer is cut off.
            log.info("an answer was cut off", extra={"path": request.path, "reason": str(error)})
            if request.transport is not None:
                request.transport.abort()
            return response
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response

    def _refusal(self, status: int, message: str) -> web.Response:
        return self._json({"errors": [message]}, status)

    def _json(self, answer: Any, status: int) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(answer),
            status=status,
            content_type="application/json",
            charset="UTF-8",
            headers={"Access-Control-Allow-Origin": self._origin},
        )


@final
class _Connection(web.RequestHandler):
    """One connection; says what is wrong with bytes that are no HTTP without repeating them."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        text = "the request is not HTTP as it is understood here" if status < 500 else "Internal server error"
        body = msgspec.json.encode({"errors": [text]})
        response = web.Response(body=body, status=status, content_type="application/json", charset="UTF-8")
        response.force_close()
        return response
