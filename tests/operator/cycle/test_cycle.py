"""One pass keeps its order, and the task of a job looks again when it should and no oftener."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_operator.cycle.one_pass import Logic, Passed, one_pass
from penstock_operator.cycle.supervised import Cycle, CycleSettings, Ended, until_phase_s
from penstock_operator.cycle.world import JobKey
from penstock_operator.decide.acts import Act, Decision, Event, Remove
from penstock_operator.decide.facts import JobObject, Observed, StoreFacts, Unknown
from penstock_operator.decide.questions import Answer, Children, Question, Store
from penstock_operator.errors import Conflict, Rejected, Unavailable
from penstock_operator.model.status import Status

KEY = JobKey("default", "count", "uid-1")
OTHER = JobKey("default", "other", "uid-2")
INTENT = Status(error="something is under way")
ACTS = (Remove("count-1"), Remove("count-2"))
EVENT = Event("Normal", "SpecChanged", "It changed.")
QUICK = CycleSettings(
    pass_timeout_s=0.2,
    backoff_first_s=0.01,
    backoff_max_s=0.04,
    conflict_s=0.0,
    deaf_s=0.01,
    silence_s=0.0,
    spread_s=1_000.0,
)


class FakeWorld:
    """Writes down what it is asked; fails when told to."""

    def __init__(self, status: Status | None = None) -> None:
        self.status = status or Status()
        self.story: list[Any] = []
        self.failing: list[BaseException] = []
        self.exists = True
        self.hang = False

    async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
        self.story.append(("job", key.name, fresh))
        if self.hang:
            await asyncio.Event().wait()
        if self.failing:
            raise self.failing.pop(0)
        if not self.exists:
            return None
        return JobObject(key.namespace, key.name, key.uid, 1, "7", "2026-01-01T00:00:00Z", None, (), self.status)

    async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
        self.story.append(("observe", questions))
        return Observed(now_ms=0, job=job)

    async def write_status(self, job: JobObject, status: Status) -> None:
        self.story.append(("status", job.resource_version))
        self.status = status

    async def carry_out(self, job: JobObject, act: Act) -> None:
        self.story.append(act)

    async def tell(self, job: JobObject, event: Event) -> None:
        self.story.append(event)

    @property
    def looks(self) -> int:
        return sum(entry[0] == "job" for entry in self.story if isinstance(entry, tuple))


def logic(*decisions: Decision, first: frozenset[Question] = frozenset({Children()})) -> Logic:
    """The last one holds for ever."""
    left = list(decisions)
    return Logic(lambda job: first, lambda observed: left.pop(0) if len(left) > 1 else left[0])


def steady(look_again_s: float = 100.0) -> Decision:
    return Decision(Status(), (), (), look_again_s)


async def test_the_intent_is_written_before_anything_is_done() -> None:
    world = FakeWorld()
    passed = await one_pass(world, logic(Decision(INTENT, ACTS, (EVENT,), 1.0)), KEY, fresh=False)
    assert world.story[2:] == [("status", "7"), EVENT, *ACTS]
    assert passed == Passed(1.0, True, 2)


async def test_nothing_is_done_when_the_intent_could_not_be_written() -> None:
    class Refusing(FakeWorld):
        async def write_status(self, job: JobObject, status: Status) -> None:
            raise Conflict("somebody wrote")

    world = Refusing()
    with pytest.raises(Conflict):
        await one_pass(world, logic(Decision(INTENT, ACTS, (EVENT,), 1.0)), KEY, fresh=False)
    assert [entry for entry in world.story if entry in (*ACTS, EVENT)] == []


@pytest.mark.parametrize("refused", ["write_status", "carry_out"])
async def test_what_is_refused_is_told_on_the_object_before_it_is_given_up(refused: str) -> None:
    class Refusing(FakeWorld):
        async def write_status(self, job: JobObject, status: Status) -> None:
            self._refuse("write_status")

        async def carry_out(self, job: JobObject, act: Act) -> None:
            self._refuse("carry_out")

        def _refuse(self, what: str) -> None:
            if what == refused:
                raise Rejected("PUT /x: Request entity too large")

    world = Refusing()
    with pytest.raises(Rejected):
        await one_pass(world, logic(Decision(INTENT, ACTS, (), 1.0)), KEY, fresh=False)
    told = world.story[-1]
    assert (told.type, told.reason) == ("Warning", "Refused")
    assert told.message == "PUT /x: Request entity too large; what was to be done waits until that is mended"


async def test_a_status_that_says_nothing_new_is_not_written() -> None:
    world = FakeWorld(INTENT)
    passed = await one_pass(world, logic(Decision(INTENT, ACTS, (), 1.0)), KEY, fresh=False)
    assert world.story[2:] == list(ACTS)
    assert passed == Passed(1.0, False, 2)


async def test_a_status_that_could_not_be_read_whole_is_written_over() -> None:
    class Damaged(FakeWorld):
        async def job(self, key: JobKey, *, fresh: bool) -> JobObject | None:
            job = await super().job(key, fresh=fresh)
            assert job is not None
            return replace(job, status_damaged=True)

    world = Damaged(INTENT)
    await one_pass(world, logic(Decision(INTENT, (), (), 1.0)), KEY, fresh=False)
    assert world.story[2:] == [("status", "7")]


async def test_what_is_asked_for_is_looked_at_beside_what_was() -> None:
    world = FakeWorld()
    asking = Decision(Status(), (), (), 0.0, frozenset({Store()}))
    await one_pass(world, logic(asking, steady()), KEY, fresh=False)
    looked = [entry[1] for entry in world.story if isinstance(entry, tuple) and entry[0] == "observe"]
    assert looked == [frozenset({Children()}), frozenset({Children(), Store()})]


async def test_others_are_asked_once_in_a_pass_and_what_is_at_hand_is_looked_at_each_time() -> None:
    class Answering(FakeWorld):
        async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
            self.story.append(("observe", questions))
            looks = [entry for entry in self.story if entry[0] == "observe"]
            answers = {q.revision: Unknown(f"look {len(looks)}") for q in questions if isinstance(q, Answer)}
            store = StoreFacts(exists=False, recoverable=False) if Store() in questions else None
            return Observed(len(looks), job, deployed=Unknown(f"look {len(looks)}"), answers=answers, store=store)

    seen: list[Observed] = []

    def decide(observed: Observed) -> Decision:
        seen.append(observed)
        ask = {1: Store(), 2: Answer("r2")}.get(len(seen))
        return replace(steady(), ask=frozenset() if ask is None else frozenset({ask}))

    world = Answering()
    await one_pass(world, Logic(lambda job: frozenset({Children(), Answer("r1")}), decide), KEY, fresh=False)
    looked = [entry[1] for entry in world.story if entry[0] == "observe"]
    assert looked == [{Children(), Answer("r1")}, {Children(), Store()}, {Children(), Answer("r2")}]
    assert seen[-1].answers == {"r1": Unknown("look 1"), "r2": Unknown("look 3")}
    assert seen[-1].store == StoreFacts(exists=False, recoverable=False)
    assert (seen[-1].now_ms, seen[-1].deployed) == (3, Unknown("look 3"))


async def test_a_pass_over_an_object_that_is_gone_does_nothing() -> None:
    world = FakeWorld()
    world.exists = False
    assert await one_pass(world, logic(steady()), KEY, fresh=True) is None
    assert world.story == [("job", "count", True)]


class Attended:
    """A cycle whose passes can be waited for."""

    def __init__(self, world: FakeWorld, logic: Logic, settings: CycleSettings) -> None:
        self.passes: list[Ended] = []
        self.crashes: list[JobKey] = []
        self._news = asyncio.Event()
        self.cycle = Cycle(world, logic, settings=settings, crashed=self._crashed, ended=self._ended)

    def _ended(self, ended: Ended) -> None:
        self.passes.append(ended)
        self._news.set()

    def _crashed(self, key: JobKey, error: BaseException | None) -> None:
        self.crashes.append(key)
        self._news.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self._news.clear()
                await self._news.wait()

    @property
    def failures(self) -> Sequence[str | None]:
        return [ended.failure for ended in self.passes]


@asynccontextmanager
async def attended(world: FakeWorld, logic: Logic, settings: CycleSettings = QUICK) -> Any:
    found = Attended(world, logic, settings)
    try:
        yield found
    finally:
        await found.cycle.close()


async def test_news_causes_one_more_pass_and_silence_none() -> None:
    world = FakeWorld()
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 1)
        it.cycle.news(KEY)
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(it.passes) == 2


async def test_after_silence_the_next_look_is_a_fresh_one() -> None:
    world = FakeWorld()
    async with attended(world, logic(steady(0.01), steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 2)
    assert [entry for entry in world.story if entry[0] == "job"] == [("job", "count", False), ("job", "count", True)]


async def test_a_job_of_which_something_was_heard_lately_is_not_asked_for() -> None:
    world = FakeWorld()
    async with attended(world, logic(steady(0.01), steady()), replace(QUICK, silence_s=60.0)) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 2)
    assert [entry[2] for entry in world.story if entry[0] == "job"] == [False, False]


async def test_failures_are_tried_again_with_a_fresh_look_until_they_stop() -> None:
    world = FakeWorld()
    world.failing = [Conflict("raced"), Unavailable("no answer"), ValueError("a mistake")]
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 4)
        assert it.failures == ["conflict", "unavailable", "bug", None]
    assert [entry[2] for entry in world.story if entry[0] == "job"] == [False, True, True, True]


async def test_a_pass_that_hangs_is_given_up() -> None:
    world = FakeWorld()
    world.hang = True
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: it.failures[:1] == ["timeout"])
        world.hang = False
        await it.until(lambda: it.failures[-1] is None)


async def test_a_job_that_hangs_does_not_delay_another() -> None:
    class OneHangs(FakeWorld):
        async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
            if job.name == "count":
                await asyncio.Event().wait()
            return await super().observe(job, questions)

    async with attended(OneHangs(), logic(steady())) as it:
        it.cycle.news(KEY)
        it.cycle.news(OTHER)
        await it.until(lambda: bool(it.passes))
        assert it.passes[0].key == OTHER


async def test_the_task_of_an_object_that_is_gone_ends_quietly() -> None:
    world = FakeWorld()
    world.exists = False
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        while it.cycle.attended:
            await asyncio.sleep(0)
        assert it.crashes == []
    async with attended(FakeWorld(), logic(steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 1)
        it.cycle.gone(KEY)
        while it.cycle.attended:
            await asyncio.sleep(0)
        assert it.crashes == []


async def test_a_task_that_ends_while_its_object_lives_is_told() -> None:
    world = FakeWorld()
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        await it.until(lambda: len(it.passes) == 1)
        (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "attends default/count"]
        task.cancel()
        await it.until(lambda: it.crashes == [KEY])


async def test_a_pass_tells_how_long_there_was_a_reason_for_it() -> None:
    released = asyncio.Event()

    class Slow(FakeWorld):
        async def observe(self, job: JobObject, questions: frozenset[Question]) -> Observed:
            await released.wait()
            return await super().observe(job, questions)

    world, loop = Slow(), asyncio.get_running_loop()
    async with attended(world, logic(steady())) as it:
        it.cycle.news(KEY)
        while not world.looks:
            await asyncio.sleep(0)
        changed_s = loop.time()
        it.cycle.news(KEY)
        it.cycle.news(KEY)
        await asyncio.sleep(0)
        released.set()
        await it.until(lambda: len(it.passes) == 2)
        assert 0.0 < it.passes[1].waited_s <= loop.time() - changed_s


@given(st.floats(0, 0.999), st.floats(30, 3_600), st.floats(0, 1e7))
def test_a_look_far_ahead_comes_in_time_and_always_at_the_same_moment_of_its_period(
    phase: float, period_s: float, now_s: float
) -> None:
    wait_s = until_phase_s(phase, period_s, now_s=now_s)
    assert 0 < wait_s <= period_s
    periods = (now_s + wait_s) / period_s - phase
    assert periods == pytest.approx(round(periods), abs=1e-6)


async def test_jobs_seen_at_once_are_looked_at_again_one_by_one() -> None:
    world, settings = FakeWorld(), replace(QUICK, spread_s=0.01)
    looks: list[float] = []
    keys = [JobKey("default", "count", f"uid-{number}") for number in range(100)]
    cycle = Cycle(
        world,
        logic(steady(2.1)),
        settings=settings,
        crashed=lambda key, error: None,
        ended=lambda ended: looks.append(asyncio.get_running_loop().time()),
    )
    for key in keys:
        cycle.news(key)
    async with asyncio.timeout(10):
        while len(looks) < 200:
            await asyncio.sleep(0.01)
    await cycle.close()
    assert len({round(at_s, 1) for at_s in looks[100:200]}) >= 10
