"""Where Prometheus scrapes: `GET /metrics`."""

import asyncio
from typing import final

from aiohttp import web

from penstock_operator.telemetry.metrics import CONTENT_TYPE, Metrics

_CLOSE_TIMEOUT_S = 1.0


@final
class Exporter:
    """Listens once started."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        app = web.Application()
        app.router.add_get("/metrics", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT_S)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Port 0 is any that is free; an empty host is all addresses. OSError where it cannot be had."""
        await self._runner.setup()
        await web.TCPSite(self._runner, host or None, port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        # A thousand jobs take some milliseconds, in which leading must go on.
        text = await asyncio.to_thread(self._metrics.text)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})
