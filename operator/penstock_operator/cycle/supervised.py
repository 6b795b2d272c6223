"""One supervised task per FlinkJob: the only writer of that object, woken by news, looking again by itself.

Whoever watches objects and processes (kopf's handlers, the local world) calls `news` and `gone`, and does nothing else.
A task that ends while its object lives is a mistake in here: `crashed` is told, and ends the process, because a job
that nobody looks after must not go unnoticed.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from penstock_operator.cycle.one_pass import Logic, Passed, one_pass
from penstock_operator.cycle.world import JobKey, World
from penstock_operator.errors import Conflict, Missing, Rejected, Unavailable

log: Final = logging.getLogger(__name__)

_SOON_S: Final = 2.0


@final
@dataclass(frozen=True, slots=True)
class CycleSettings:
    """How long passes may take, and what comes after one that failed."""

    pass_timeout_s: float = 60.0
    """A pass that takes longer is given up; the next one begins with a fresh look."""
    backoff_first_s: float = 0.5
    backoff_max_s: float = 60.0
    deaf_s: float = 1.0
    """So long after a failure news does not cause a pass."""
    silence_s: float = 300.0
    """When nothing was heard of a job for so long, its object is asked for: a watch that has gone deaf sounds the
    same. A watch that loses a single piece of news is put right by others, who compare all there is."""
    spread_s: float = 30.0
    """Looks that lie so far ahead come at a moment of each job's own: a process that starts sees all jobs at once, and
    would otherwise do so every minute from then on."""
    hurry: float = 1.0
    """What is looked at again within two seconds is looked at so many times as often."""
    conflict_s: float = 0.05
    """After a conflict: whoever wrote is rarely done with one write."""
    conflicts_in_a_row: int = 10
    """More than these are no accident, and are backed off from like failures."""


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """One pass, for whoever counts them."""

    key: JobKey
    waited_s: float
    """From when there was a reason for it."""
    took_s: float
    passed: Passed | None
    failure: str | None
    """`conflict`, `unavailable`, `rejected`, `timeout`, or `bug`."""
    reason: str = ""
    """Of that failure, where there is more to say than its name."""


@final
class Cycle:
    """All tasks of one operator process."""

    def __init__(
        self,
        world: World,
        logic: Logic,
        *,
        settings: CycleSettings,
        crashed: Callable[[JobKey, BaseException | None], None],
        ended: Callable[[Ended], None],
    ) -> None:
        """`ended` hears of every pass, `crashed` of a task that has ended without reason."""
        self._world = world
        self._logic = logic
        self._settings = settings
        self._crashed = crashed
        self._ended = ended
        self._tasks: dict[JobKey, _Attendant] = {}
        self._closing = False

    def news(self, key: JobKey) -> None:
        """Something about the job has changed, or it was seen for the first time."""
        attendant = self._tasks.get(key)
        if attendant is not None:
            attendant.wake()
        elif not self._closing:
            self._tasks[key] = self._attend(key)

    def gone(self, key: JobKey) -> None:
        """The object was seen to be deleted."""
        if key in self._tasks:
            self._tasks[key].gone = True
            self._tasks[key].wake()

    @property
    def attended(self) -> frozenset[JobKey]:
        return frozenset(self._tasks)

    async def close(self) -> None:
        """Stop looking after all jobs, and leave them as they are."""
        self._closing = True
        tasks = [attendant.task for attendant in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _attend(self, key: JobKey) -> "_Attendant":
        attendant = _Attendant(key, self._world, self._logic, self._settings, self._ended)
        attendant.task.add_done_callback(lambda task: self._over(attendant, task))
        return attendant

    def _over(self, attendant: "_Attendant", task: asyncio.Task[None]) -> None:
        del self._tasks[attendant.key]
        if attendant.gone or self._closing:
            return
        self._crashed(attendant.key, None if task.cancelled() else task.exception())


@final
class _Attendant:
    """The task of one job."""

    def __init__(
        self, key: JobKey, world: World, logic: Logic, settings: CycleSettings, ended: Callable[[Ended], None]
    ) -> None:
        self.key = key
        self.gone = False
        self._awake = asyncio.Event()
        self._due_s = asyncio.get_running_loop().time()
        """When the pass that is to come had its reason."""
        self._world = world
        self._logic = logic
        self._settings = settings
        self._ended = ended
        self._failures = 0
        self._conflicts = 0
        self._phase = random.random()
        self._heard_s = asyncio.get_running_loop().time()
        self.task = asyncio.create_task(self._live(), name=f"attends {key}")

    def wake(self) -> None:
        """There is news; the first since the last pass counts as its reason."""
        self._heard_s = asyncio.get_running_loop().time()
        if not self._awake.is_set():
            self._due_s = self._heard_s
            self._awake.set()

    async def _live(self) -> None:
        loop, fresh = asyncio.get_running_loop(), False
        while not self.gone:
            self._awake.clear()  # Before the pass: what happens during it causes another.
            wait_s, fresh = await self._pass(fresh)
            if self.gone:
                return
            if self._failures:  # News would make a hot loop of it.
                await asyncio.sleep(min(wait_s, self._settings.deaf_s))
            due_s = loop.time() + wait_s
            try:
                async with asyncio.timeout(wait_s):
                    await self._awake.wait()
            except TimeoutError:
                self._due_s = due_s
                fresh = fresh or loop.time() - self._heard_s >= self._settings.silence_s

    async def _pass(self, fresh: bool) -> tuple[float, bool]:
        """How long to wait, and whether the next look must be a fresh one."""
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        waited_s = begun_s - self._due_s
        passed, failure, reason = None, None, ""
        try:
            async with asyncio.timeout(self._settings.pass_timeout_s):
                passed = await one_pass(self._world, self._logic, self.key, fresh=fresh)
        except (Conflict, Missing):
            failure = "conflict"
        except (Unavailable, Rejected) as error:
            failure, reason = "unavailable" if isinstance(error, Unavailable) else "rejected", str(error)
            log.warning("pass was not possible", extra={"job": str(self.key), "reason": reason})
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = "timeout"  # Not we were cancelled, but something that we awaited.
        except TimeoutError:
            failure = "timeout"
            log.warning("pass took too long", extra={"job": str(self.key), "limit_s": self._settings.pass_timeout_s})
        except Exception:
            failure = "bug"
            log.exception("pass failed", extra={"job": str(self.key)})
        self._ended(Ended(self.key, waited_s, loop.time() - begun_s, passed, failure, reason))
        if failure is not None:
            return self._backoff_s(failure), True
        self._failures = self._conflicts = 0
        self.gone = self.gone or passed is None
        if passed is None:
            return 0.0, False
        if fresh or passed.wrote:
            self._heard_s = loop.time()
        return self._wait_s(passed.look_again_s), False

    def _wait_s(self, look_again_s: float) -> float:
        """Never longer than that."""
        if look_again_s <= _SOON_S:
            return look_again_s / self._settings.hurry
        if look_again_s < self._settings.spread_s:
            return look_again_s
        return until_phase_s(self._phase, look_again_s, now_s=asyncio.get_running_loop().time())

    def _backoff_s(self, failure: str) -> float:
        settings = self._settings
        if failure == "conflict" and self._conflicts < settings.conflicts_in_a_row:
            self._conflicts += 1
            return settings.conflict_s
        self._failures = min(self._failures + 1, 16)
        return float(min(settings.backoff_max_s, settings.backoff_first_s * 2 ** (self._failures - 1)))


def until_phase_s(phase: float, period_s: float, *, now_s: float) -> float:
    """From now to the next moment that lies as far, between 0 and 1, in its period: more than none, at most one."""
    return period_s - (now_s - phase * period_s) % period_s or period_s
