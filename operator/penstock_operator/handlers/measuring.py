"""Tells Prometheus what upgrades and restores take, and what goes wrong: from what a world is told to write and say.

It stands between the cycle and the world, and changes nothing.
"""

from collections.abc import Callable
from typing import final

from penstock_operator.cycle.world import JobKey, World
from penstock_operator.decide.acts import Act, Event
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Question
from penstock_operator.decide.times import read
from penstock_operator.model.status import Operation, Status, Step
from penstock_operator.telemetry.metrics import Metrics

RUNS_ON = frozenset({Step.PREPARING})
"""Steps in which the old version runs."""
_AWAY = frozenset({"RECONCILING", "RESTARTING", "FAILING"})
"""States of a job that has lost something, and comes back by itself."""


@final
class Measured:
    """A world. `now`: seconds since 1970."""

    def __init__(self, world: World, metrics: Metrics, now: Callable[[], float]) -> None:
        self._world = world
        self._metrics = metrics
        self._now = now
        self._down_since: dict[str, float] = {}
        """By uid: when the old version was told to stop."""
        self._lost_since: dict[str, float] = {}
        """By uid: when the job was seen to have lost a process, or a task."""

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        found = await self._world.job(key, fresh=fresh)
        if found is None:
            self._down_since.pop(key.uid, None)
            self._lost_since.pop(key.uid, None)
        return found

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        return await self._world.observe(job, questions)

    async def write_status(self, job: JobObject, status: Status) -> None:
        await self._world.write_status(job, status)
        self._moved(job.uid, job.status.operation, status.operation)
        self._came_back(job.uid, job.status, status)

    async def carry_out(self, job: JobObject, act: Act) -> None:
        await self._world.carry_out(job, act)

    async def tell(self, job: JobObject, event: Event) -> None:
        if event.type == "Warning":
            self._metrics.failed(job.namespace, event.reason)
        await self._world.tell(job, event)

    def _moved(self, uid: str, before: Operation | None, after: Operation | None) -> None:
        """From one step to another."""
        if after is None:
            self._down_since.pop(uid, None)
            return
        came_from = None if before is None else before.step
        if after.from_revision and after.step not in RUNS_ON and after.step is not Step.SETTLING:
            self._down_since.setdefault(uid, self._now())
        if after.step is not Step.SETTLING or came_from is Step.SETTLING:
            return
        if (since := self._down_since.pop(uid, None)) is not None:
            self._metrics.upgraded(after.upgrade_mode, self._now() - since)
        if before is not None and came_from is Step.STARTING and after.origin and after.origin.kind != "empty":
            begun_ms = read(before.step_started_at)
            if begun_ms is not None:  # Nobody has edited it.
                self._metrics.restored(self._now() - begun_ms / 1_000)

    def _came_back(self, uid: str, before: Status, after: Status) -> None:
        """By itself; what an operation does to a job is measured as its own."""
        if after.operation is not None and after.operation.step is not Step.SETTLING:
            self._lost_since.pop(uid, None)
        elif _state(before) == "RUNNING" and _state(after) in _AWAY:
            self._lost_since[uid] = self._now()
        elif _state(after) == "RUNNING" and (since := self._lost_since.pop(uid, None)) is not None:
            self._metrics.restored(self._now() - since)


def _state(status: Status) -> str:
    return "" if status.job_status is None else status.job_status.state
