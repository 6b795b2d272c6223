"""One pass over one FlinkJob: look, decide, write down what is intended, do it.

The order is what makes a death at any point harmless: an act is carried out only after the status that announces it was
written against the very version that was looked at, and what has become of it is found out by the next pass, whoever
runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from penstock_operator.cycle.world import JobKey, World
from penstock_operator.decide.acts import Decision
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Question

_LOOKS_MAX: Final = 8
"""In one pass. Each asks for something that the one before it did not."""


@final
@dataclass(frozen=True, slots=True)
class Logic:
    """What to look at first, and what to do about it. Pure."""

    questions: Callable[[JobObject], frozenset[Question]]
    decide: Callable[[Observed], Decision]


@final
@dataclass(frozen=True, slots=True)
class Passed:
    """What came of a pass."""

    look_again_s: float
    wrote: bool
    """Whether the status had to be written."""
    acts: int


async def one_pass(world: World, logic: Logic, key: JobKey, *, fresh: bool) -> Passed | None:
    """None: the object is gone, and nobody needs to look again. Errors go up."""
    job = await world.job(key, fresh=fresh)
    if job is None:
        return None
    decision = await _decided(world, logic, job)
    news = decision.status != job.status
    if news:
        await world.write_status(job, decision.status)
    for event in decision.events:
        await world.tell(job, event)
    for act in decision.acts:
        await world.carry_out(job, act)
    return Passed(decision.look_again_s, news, len(decision.acts))


async def _decided(world: World, logic: Logic, job: JobObject) -> Decision:
    questions = logic.questions(job)
    for _ in range(_LOOKS_MAX):
        decision = logic.decide(await world.observe(job, questions))
        if decision.ask <= questions:
            assert not decision.ask, "whoever asks for what it has been told decides nothing"
            return decision
        questions |= decision.ask
    raise AssertionError(f"{_LOOKS_MAX} looks did not suffice to decide on {job.namespace}/{job.name}")
