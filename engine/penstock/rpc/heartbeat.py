"""Notices a peer that is silent for too long, although its connection stands.

Used by the JobManager for its TaskManagers, and the other way round. Any frame of the peer counts as a sign of life;
the peer's connection answers pings by itself, as long as its loop runs.
"""

import asyncio
from collections.abc import Callable
from typing import Any, final

from penstock.rpc.connection import RpcConnection


@final
class Heartbeat:
    """Pings every `interval_s`; calls `on_lost(reason)` once when nothing has come for `timeout_s`, and stops then.

    Silence that this process slept through itself is not held against the peer: it is asked once more first.
    """

    def __init__(
        self, connection: RpcConnection[Any], interval_s: float, timeout_s: float, on_lost: Callable[[str], None]
    ) -> None:
        assert 0 < interval_s < timeout_s, f"a heartbeat every {interval_s} s cannot be missed after {timeout_s} s"
        self._connection = connection
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._due = self._since
        self._timer: asyncio.Handle | None = None
        connection.closed.add_done_callback(self._closed)
        self._beat()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._connection.closed.remove_done_callback(self._closed)

    def _beat(self) -> None:
        now = self._loop.time()
        if now - self._due > self._interval_s:
            self._since = now  # We were stopped or blocked; what the peer sent may still lie in the socket.
        silent_s = now - max(self._since, self._connection.heard_at)
        if silent_s > self._timeout_s:
            self.stop()
            self._on_lost(f"no sign of life from {self._connection.peer} for {silent_s:.1f} s")
            return
        self._connection.ping()
        self._due = now + self._interval_s
        self._timer = self._loop.call_at(self._due, self._beat)

    def _closed(self, closed: "asyncio.Future[str]") -> None:
        self.stop()
