"""Looks after FlinkStateSnapshots whose FlinkJob does not exist, so that none of them waits for ever for its deletion.

The watches and the comparisons say where there may be some; one task looks at one FlinkJob's name after the other. That
the FlinkJob is not there is asked of the API server: what the cache does not hold may only not have come yet.
"""

import asyncio
import logging
from typing import Final, final

from penstock_operator.apply.applying import Applier
from penstock_operator.clients.cache import Cache, Owner
from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import FLINK_JOBS, SNAPSHOTS
from penstock_operator.decide.orphans import orphaned
from penstock_operator.errors import Missing, OperatorError
from penstock_operator.observe.objects import snapshot_object

log: Final = logging.getLogger(__name__)

RETRY_S: Final = 2.0


@final
class Orphans:
    """Of one operator process."""

    def __init__(self, kube: Kube, cache: Cache, applier: Applier) -> None:
        self._kube = kube
        self._cache = cache
        self._applier = applier
        self._waiting: dict[Owner, None] = {}
        self._awake = asyncio.Event()

    def look(self, owner: Owner) -> None:
        """This FlinkJob may not exist, and snapshots name it."""
        if self._cache.job(owner) is None and self._cache.belongings(owner, SNAPSHOTS):
            self._waiting[owner] = None
            self._awake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            while self._waiting:
                owner = next(iter(self._waiting))
                try:
                    await self._attend(owner)
                except OperatorError as error:
                    extra = {"namespace": owner.namespace, "job": owner.name, "reason": str(error)}
                    log.warning("snapshots without a job are looked at again", extra=extra)
                    await asyncio.sleep(RETRY_S)
                else:
                    self._waiting.pop(owner, None)

    async def _attend(self, owner: Owner) -> None:
        if self._cache.job(owner) is not None or not await self._is_absent(owner):
            return
        for body in self._cache.belongings(owner, SNAPSHOTS):
            snapshot = snapshot_object(body)
            for act in () if snapshot is None else orphaned(snapshot, owner.name):
                await self._applier.about_snapshot(owner, act)

    async def _is_absent(self, owner: Owner) -> bool:
        try:
            await self._kube.get(FLINK_JOBS, owner.namespace, owner.name)
        except Missing:
            return True
        return False
