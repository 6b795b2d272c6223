"""What Secrets and ConfigMaps hold that specs refer to, read from the API.

Whoever asks while another does, or just after, gets the same answer: jobs that are created together name the same
ones, and one pass asks for its Secret twice.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import Resource
from penstock_operator.errors import Missing, OperatorError

JUST_S: Final = 1.0
"""So long an answer holds: whoever mends a Secret is not made to wait."""


@final
@dataclass(slots=True)
class _Reading:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read_s: float = float("-inf")
    found: Mapping[str, Any] | None = None
    error: OperatorError | None = None


@final
class Readings:
    """Of one operator process."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._readings: dict[tuple[Resource, str, str], _Reading] = {}

    async def of(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """What it holds; None where there is none."""
        reading = self._reading((resource, namespace, name))
        async with reading.lock:
            if _is_old(reading):
                await self._read(reading, resource, namespace, name)
        if reading.error is not None:
            raise reading.error.with_traceback(None)
        return reading.found

    async def _read(self, reading: _Reading, resource: Resource, namespace: str, name: str) -> None:
        reading.found, reading.error = None, None
        try:
            reading.found = (await self._kube.get(resource, namespace, name)).get("data") or {}
        except Missing:
            pass
        except OperatorError as error:
            reading.error = error
        reading.read_s = time.monotonic()

    def _reading(self, key: tuple[Resource, str, str]) -> _Reading:
        known = self._readings.get(key)
        if known is None:
            self._readings = {at: one for at, one in self._readings.items() if one.lock.locked() or not _is_old(one)}
            known = self._readings[key] = _Reading()
        return known


def _is_old(reading: _Reading) -> bool:
    return time.monotonic() - reading.read_s >= JUST_S
