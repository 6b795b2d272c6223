"""The operator, which dies by its own hand before or after a given one of its writes and acts.

Run in the place of `python -m penstock_operator`. The file that PENSTOCK_DIE_AT names holds how many moments it has to
live, counted from when the file is there; it is taken away by whoever dies.
"""

import functools
import os
import signal
from pathlib import Path
from unittest.mock import patch

from penstock_operator.__main__ import commands
from penstock_operator.cycle.world import JobKey, World
from penstock_operator.decide.acts import Act, Event
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Question
from penstock_operator.handlers import running
from penstock_operator.handlers.measuring import Measured
from penstock_operator.local import command
from penstock_operator.model.status import Status


class DyingWorld:
    """The world, with a death in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._file = Path(os.environ["PENSTOCK_DIE_AT"])
        self._lived = 0

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        return await self._world.job(key, fresh=fresh)

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        return await self._world.observe(job, questions)

    async def write_status(self, job: JobObject, status: Status) -> None:
        self._live()
        await self._world.write_status(job, status)
        self._live()

    async def carry_out(self, job: JobObject, act: Act) -> None:
        self._live()
        await self._world.carry_out(job, act)
        self._live()

    async def tell(self, job: JobObject, event: Event) -> None:
        await self._world.tell(job, event)

    def _live(self) -> None:
        if not self._file.exists():
            return
        self._lived += 1
        if self._lived >= int(self._file.read_text()):
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    patch.object(running, "Measured", lambda world, *more: Measured(DyingWorld(world), *more)).start()
    command.run_local = functools.partial(command.run_local, seen=DyingWorld)
    commands(prog_name="penstock-operator")
