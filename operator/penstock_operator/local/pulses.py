"""Asks running jobs, twice a second, how they come along: for the screen, and to notice what no process tells.

Nothing is decided on it: who has news of a job looks for himself.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, final

import aiohttp

from penstock_operator.local.looks import Pulse
from penstock_operator.local.objects import ObjectKey
from penstock_operator.local.world import LocalWorld

_EACH_S: Final = 0.5
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_RATE_OVER: Final = 5
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError, TypeError)


@final
class Pulses:
    """The newest of each job."""

    def __init__(self, world: LocalWorld, changed: Callable[[ObjectKey], None]) -> None:
        """`changed` hears of jobs whose state or number of restarts is another than before."""
        self._world = world
        self._changed = changed
        self._told: dict[ObjectKey, tuple[str, int]] = {}
        self._known: dict[ObjectKey, deque[Pulse]] = {}

    def of(self, key: ObjectKey) -> tuple[Pulse | None, Pulse | None]:
        """The newest, and an earlier one to work out rates with; nothing of a job that does not answer."""
        known = self._known.get(key)
        return (known[-1], known[0]) if known else (None, None)

    async def beat(self) -> None:
        """Ask for ever."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            while True:
                asked = self._world.running()
                for key in self._known.keys() - {key for key, _, _ in asked}:
                    del self._known[key]
                    self._told.pop(key, None)
                await asyncio.gather(*(self._ask(session, *one) for one in asked))
                await asyncio.sleep(_EACH_S)

    async def _ask(self, session: aiohttp.ClientSession, key: ObjectKey, port: int, job: str) -> None:
        known = self._known.setdefault(key, deque(maxlen=_RATE_OVER))
        try:
            base = f"http://127.0.0.1:{port}"
            details, summary = await asyncio.gather(
                _get(session, f"{base}/jobs/{job}"), _get(session, f"{base}/penstock/summary")
            )
            pulse = _pulse(details, summary["job"], summary["checkpoints"])
        except _FAILURES:
            known.clear()
            return
        if known and pulse.records < known[-1].records:
            known.clear()
        known.append(pulse)
        told = pulse.state, pulse.restarts
        if self._told.setdefault(key, told) != told:
            self._told[key] = told
            self._changed(key)


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        response.raise_for_status()
        return await response.json()


def _pulse(details: dict[str, Any], job: dict[str, Any], checkpoints: dict[str, Any]) -> Pulse:
    newest = checkpoints["last"]
    return Pulse(
        at_s=time.monotonic(),
        records=max((_records(vertex["metrics"]) for vertex in details["vertices"]), default=0),
        checkpoints=checkpoints["completed"],
        checkpoint_at_ms=0 if newest is None else newest["triggerTime"],
        restarts=job["restarts"],
        state=job["state"],
    )


def _records(metrics: dict[str, Any]) -> int:
    """A vertex with a source in it reads nothing, in Flink's counting, and one with a sink writes nothing."""
    return max(int(metrics["read-records"]), int(metrics["write-records"]))
