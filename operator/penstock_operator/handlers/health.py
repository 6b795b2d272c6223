"""Tells the kubelet how the operator is: alive as long as the watch keeps up, ready once it leads or waits its turn.

Ours and not kopf's, which is not there while another replica leads.
"""

from collections.abc import Callable
from typing import Final, final

from aiohttp import web

WATCH_LAG_MAX_S: Final = 120.0
"""What we wrote has not come back through the watch for so long: the watch is stuck, and a new process is the cure."""


@final
class Health:
    """Serves `/livez` and `/readyz`."""

    def __init__(self, *, lag_s: Callable[[], float], ready: Callable[[], bool]) -> None:
        self._lag_s = lag_s
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """The port that it listens on: `port`, or a free one if that is 0."""
        app = web.Application()
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/readyz", self._readiness)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _alive(self, _: web.Request) -> web.Response:
        lag_s = self._lag_s()
        status = 200 if lag_s < WATCH_LAG_MAX_S else 503
        return web.Response(status=status, text=f"the watch is {lag_s:.0f} s behind\n")

    async def _readiness(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="the Kubernetes API has not answered yet, or lacks our definitions\n")
