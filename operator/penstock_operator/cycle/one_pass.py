"""One pass over one FlinkJob: look, decide, write down what is intended, do it.

The order is what makes a death at any point harmless: an act is carried out only after the status that announces it was
written against the very version that was looked at, and what has become of it is found out by the next pass, whoever
runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from penstock_operator.cycle.world import JobKey, World
from penstock_operator.decide.acts import Decision, Event
from penstock_operator.decide.facts import JobObject, Observed
from penstock_operator.decide.questions import Children, Question
from penstock_operator.errors import Rejected

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
    """None: the object is gone, and nobody needs to look again. Errors go up; what was refused is told as well."""
    job = await world.job(key, fresh=fresh)
    if job is None:
        return None
    decision = await _decided(world, logic, job)
    news = decision.status != job.status or job.status_damaged
    try:
        if news:
            await world.write_status(job, decision.status)
        for event in decision.events:
            await world.tell(job, event)
        for act in decision.acts:
            await world.carry_out(job, act)
    except Rejected as error:
        # The status may be the very thing that cannot be written: an event is all that is left to say it with.
        await world.tell(job, Event("Warning", "Refused", f"{error}; what was to be done waits until that is mended"))
        raise
    return Passed(decision.look_again_s, news, len(decision.acts))


async def _decided(world: World, logic: Logic, job: JobObject) -> Decision:
    """What was found out once is not asked for again in the same pass: only what is at hand is looked at each time."""
    asked = logic.questions(job)
    seen = await world.observe(job, asked)
    for _ in range(_LOOKS_MAX):
        decision = logic.decide(seen)
        if not decision.ask:
            return decision
        more = decision.ask - asked
        assert more, "whoever asks for what it has been told decides nothing"
        asked |= more
        seen = (await world.observe(job, more | {Children()})).after(seen)
    raise AssertionError(f"{_LOOKS_MAX} looks did not suffice to decide on {job.namespace}/{job.name}")
