"""Leads, or waits to: holds the Lease, and ends the process when it can no longer prove that it does.

The process's main function starts it; every write to the outside passes its `fence`. Ending means ending at once,
without a clean-up: what was under way is in the objects' status, and the next leader goes on from there.
"""

import asyncio
import datetime
import logging
import threading
import time
from collections.abc import Callable
from typing import Final, final

from penstock_operator.clients.kube import Kube
from penstock_operator.clients.resources import LEASES
from penstock_operator.errors import Conflict, Missing, OperatorError
from penstock_operator.handlers.election import (
    CALL_TIMEOUT_S,
    DEADLINE_S,
    RETRY_S,
    Claim,
    Deposed,
    Sighting,
    Wait,
    first_lease,
    given_up,
    judge,
)

log = logging.getLogger(__name__)

WATCHDOG_S: Final = 0.5


def boot_clock() -> float:
    """Runs on while the process is stopped or the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@final
class Elector:
    """One contender. `end` ends the process; what it is told is for the log."""

    def __init__(
        self,
        kube: Kube,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Callable[[], float],
        end: Callable[[str], None],
    ) -> None:
        """`kube` is for the Lease alone, so that no renewal waits for other calls' connections. `identity` is the
        pod's name: the next container of the same pod goes on at once."""
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._end = end
        self._until_s: float | None = None
        self._sighting: Sighting | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        return self._until_s is not None and self._clock() < self._until_s

    def fence(self) -> None:
        """Called right before a write; synchronous, so that nothing comes between it and the write."""
        if not self.leads:
            self._end("it cannot be proved that this process still leads")

    async def lead(self) -> None:
        """Returns once we lead; from then on we do, or end."""
        while not await self._attempt():
            await asyncio.sleep(RETRY_S)
        log.info("leading", extra={"identity": self._identity, "lease": self._name})
        # A thread of its own: a blocked event loop must not keep a deposed leader alive.
        threading.Thread(target=self._watch, name="lease watchdog", daemon=True).start()
        self._renewing = asyncio.create_task(self._renew(), name="lease renewal")

    async def release(self) -> None:
        """At a clean end, after the last write: the next leader need not wait."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name, timeout_s=CALL_TIMEOUT_S)
            if (rest := given_up(lease, identity=self._identity)) is not None:
                await self._kube.replace(LEASES, self._namespace, rest, timeout_s=CALL_TIMEOUT_S)
        except OperatorError as error:
            log.info("the lease was left to run out", extra={"reason": str(error)})

    def _watch(self) -> None:
        while True:
            time.sleep(WATCHDOG_S)
            self.fence()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RETRY_S)
            await self._attempt()

    async def _attempt(self) -> bool:
        """Whether the Lease was written with us as its holder."""
        began_s = self._clock()
        try:
            async with asyncio.timeout(2 * CALL_TIMEOUT_S):
                held = await self._claim()
        except (OperatorError, TimeoutError) as error:
            log.debug("the lease could not be had", extra={"reason": str(error)})
            return False
        if held:
            self._until_s = began_s + DEADLINE_S
        return held

    async def _claim(self) -> bool:
        stamp = _stamp()
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name, timeout_s=CALL_TIMEOUT_S)
        except Missing:
            first = first_lease(self._namespace, self._name, identity=self._identity, stamp=stamp)
            await self._kube.create(LEASES, self._namespace, first, timeout_s=CALL_TIMEOUT_S)
            return True
        verdict = judge(
            lease,
            identity=self._identity,
            led=self._until_s is not None,
            last=self._sighting,
            now_s=self._clock(),
            stamp=stamp,
        )
        match verdict:
            case Wait(sighting):
                self._sighting = sighting
                return False
            case Deposed(by):
                self._end(f"{by or 'nobody'} holds the lease that was ours")
                return False
            case Claim(claimed):
                return await self._write(claimed)

    async def _write(self, lease: dict[str, object]) -> bool:
        try:
            await self._kube.replace(LEASES, self._namespace, lease, timeout_s=CALL_TIMEOUT_S)
        except Conflict:
            return False  # Whoever was faster is seen with the next attempt.
        return True


def _stamp() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
