"""What a pass needs of the world that its job lives in: the objects, the processes, the store.

Implemented twice, by a Kubernetes cluster and by processes on this machine. Nothing in here decides anything: a world
answers what it is asked, and does what it is told, once or many times over.
"""

from dataclasses import dataclass
from typing import Protocol, final

from penstock_operator.decide.acts import Act, Event
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Question
from penstock_operator.model.status import Status


@final
@dataclass(frozen=True, slots=True)
class JobKey:
    """Which FlinkJob. One that was deleted and created again under the same name is another."""

    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class World(Protocol):
    """All of these may raise Unavailable, Missing for an object that has gone meanwhile, and Rejected."""

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        """The object as it is; None when it does not exist any more.

        `fresh`: what a watch has delivered is not enough, because nothing was heard for long or something went wrong.
        """

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        """Look at what was asked and nothing else. What cannot be found out is in the answer as unknown."""

    async def write_status(self, job: JobObject, status: Status) -> None:
        """Conflict when the object has changed since `job` was read."""

    async def carry_out(self, job: JobObject, act: Act) -> None:
        """Do it, or see that it is done already. Conflict as above where it changes the object itself."""

    async def tell(self, job: JobObject, event: Event) -> None:
        """Let people know. Never fails the pass: a world that cannot tell logs that."""
