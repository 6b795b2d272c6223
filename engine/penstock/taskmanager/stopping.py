"""A task between the barrier of a stop and its end, or its going on."""

from collections.abc import Callable
from typing import final

from penstock.base.ids import CheckpointId
from penstock.operators.chain import Chain
from penstock.operators.operator import Steps
from penstock.records.batch import Barrier

Mail = Callable[[], None]


@final
class Stopping:
    """What is held while it is not known what becomes of the savepoint."""

    __slots__ = ("_at", "_held", "draining", "for_good")

    def __init__(self, *, for_good: bool) -> None:
        """`for_good`: the job was stopped before this task was made."""
        self.for_good = for_good
        self.draining: tuple[Barrier, Steps] | None = None
        """The barrier that comes next, and what is to be done before it."""
        self._at: Barrier | None = None
        self._held: list[Mail] = []

    @property
    def holds(self) -> bool:
        """Whether no record is taken and no timer fires."""
        return self._at is not None or self.for_good

    @property
    def is_free(self) -> bool:
        """Whether no stop is under way here."""
        return not self.holds and self.draining is None

    def taken(self, barrier: Barrier) -> None:
        """The snapshot of a stop is being taken."""
        self._at = barrier

    def hold(self, mail: Mail) -> None:
        """A timer is due."""
        self._held.append(mail)

    def is_complete(self, checkpoint: CheckpointId) -> bool:
        """Whether this was the savepoint that was waited for: the task ends."""
        return self._at is not None and self._at.checkpoint == checkpoint

    def given_up(self, checkpoint: CheckpointId) -> list[Mail]:
        """The task never stopped; what was held. One that was drained cannot go on, and is about to be failed."""
        if self._at is None or self._at.checkpoint != checkpoint or self._at.options.stop == "drain":
            return []
        self._at = None
        held, self._held = self._held, []
        return held


def drain(chain: Chain) -> Steps:
    """All that there is has been read: let event time end, and every operator finish."""
    source = chain.source
    if source is not None:
        source.drain()
        while not chain.resume():
            yield
    yield from chain.finish()
