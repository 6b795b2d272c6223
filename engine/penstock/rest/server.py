"""The HTTP server of a JobManager: Flink's REST, version 1, with and without its `/v1`.

Imports aiohttp, which takes a quarter of a second: whoever may run without REST imports this module late.
Answers come from plain functions on the JobManager's loop; errors are `{"errors": [...]}`.
"""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, final

import msgspec
from aiohttp import web

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options import cluster as options
from penstock.rest.asking import Asked, Cluster, Refused
from penstock.rest.routes import ROUTES, Route

log: Final = logging.getLogger(__name__)

_PREFIXES: Final = ("", "/v1")
_CLOSE_TIMEOUT_S: Final = 2.0


@final
class RestServer:
    """Listens once started; `port` says where."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._runner: web.AppRunner | None = None
        self.host = ""
        self.port = 0

    @property
    def address(self) -> str:
        """`http://host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def start(self, host: str, ports: Sequence[int]) -> None:
        """Listen on the first of the ports that is free; 0 is any. ConfigurationError when none is."""
        configuration = self._cluster.configuration
        app = web.Application(
            client_max_size=configuration.get(options.REST_MAX_CONTENT),
            middlewares=[_errors_as_json(configuration.get(options.WEB_ORIGIN))],
        )
        for route in ROUTES:
            for prefix in _PREFIXES:
                app.router.add_route(route.method, prefix + route.path, self._handler(route))
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_CLOSE_TIMEOUT_S)
        await runner.setup()
        try:
            await _listen(runner, host, ports)
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self.host, self.port = runner.addresses[0][:2]
        log.info("rest listens", extra={"address": self.address})

    async def close(self) -> None:
        """Answer what is under way, then no more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def _handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.Response]]:
        cluster = self._cluster

        async def handle(request: web.Request) -> web.Response:
            asked = Asked(path=request.match_info, query=request.query, body=await request.read())
            return _response(route.answer(cluster, asked), route.status)

        return handle


def rest_host(configuration: Configuration) -> str:
    """The address that REST listens on; Flink's default is this machine only."""
    host = configuration.get(options.REST_BIND_ADDRESS) or "localhost"
    return "127.0.0.1" if host == "localhost" else host


def rest_ports(configuration: Configuration) -> tuple[int, ...]:
    """The ports that it may listen on, in the order they are tried."""
    return configuration.get(options.REST_BIND_PORT)


async def _listen(runner: web.AppRunner, host: str, ports: Sequence[int]) -> None:
    assert ports, "there is at least one port to try"
    for port in ports:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                keys = f"{options.REST_BIND_ADDRESS.key} and {options.REST_BIND_PORT.key}"
                text = f"REST cannot listen on port {port} of {host}: {error.strerror}; see {keys}"
                raise ConfigurationError(text) from error
        else:
            return
    raise ConfigurationError(listen_error(host, ports))


def listen_error(host: str, ports: Sequence[int]) -> str:
    """The sentence for ports that are all in use."""
    tried = f"port {ports[0]} on {host} is" if len(ports) == 1 else f"ports {ports[0]}-{ports[-1]} on {host} are"
    return f"{tried} in use: stop what uses it, or set {options.REST_PORT.key} to another port"


def _errors_as_json(origin: str) -> Any:
    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            response = await handler(request)
        except Refused as error:
            response = _refusal(error.status, str(error))
        except web.HTTPNotFound:
            response = _refusal(404, f"Not found: {request.path}")
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            response = _refusal(405, f"{request.method} is not allowed on {request.path}; allowed: {allowed}")
            response.headers["Allow"] = allowed
        except web.HTTPException as error:
            response = _refusal(error.status, error.reason)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("a request could not be answered", extra={"request": f"{request.method} {request.path}"})
            response = _refusal(500, "Internal server error: see the JobManager's log")
        response.headers["Access-Control-Allow-Origin"] = origin
        return response

    return answer


def _refusal(status: int, message: str) -> web.Response:
    return _response({"errors": [message]}, status)


def _response(answer: Any, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(answer), status=status, content_type="application/json", charset="UTF-8"
    )
