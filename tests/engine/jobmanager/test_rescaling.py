"""Rescaling a running job: what it waits for, and what becomes of it. Thousands of interleavings of the pure core."""

from collections.abc import Iterable
from random import Random

import pytest

from penstock.base.ids import VertexId
from penstock.checkpoint.journal_state import Rescaled
from penstock.graph.job_graph import JobGraph, JobVertex
from penstock.jobmanager.parallelism import Bounds, Parallelism, requirements_of
from penstock.jobmanager.rescaling import (
    AllRunning,
    Begun,
    Cause,
    CheckpointCompleted,
    CheckpointFailed,
    Command,
    End,
    Ended,
    Event,
    JobOver,
    Record,
    Recorded,
    Required,
    Rescaling,
    RestoreAhead,
    RestoredAhead,
    SlotsChanged,
    SlotsTimedOut,
    Switch,
    SwitchFailed,
    TakeCheckpoint,
    TasksFailed,
    WantSlots,
    required_entry,
    still_required,
)

V = VertexId("a" * 32)


def job(parallelism: int) -> JobGraph:
    vertex = JobVertex(
        id=V, name="v", chain=(), parallelism=parallelism, max_parallelism=8, slot_sharing_group="default"
    )
    return JobGraph(
        name="job",
        vertices=(vertex,),
        edges=(),
        configuration={},
        prelude=b"",
        files=(),
        python_path=(),
        fingerprint="f",
    )


def required(upper: int, lower: int | None = None, request: str | None = None) -> Required:
    return Required({V: Bounds(upper if lower is None else lower, upper)}, request)


def running(parallelism: int = 2, slots: int = 2) -> Rescaling:
    """The rescaling of a job that runs."""
    it = Rescaling(job(parallelism), job(parallelism), None)
    assert feed(it, SlotsChanged(slots), AllRunning({V: parallelism})) == []
    return it


def feed(it: Rescaling, *events: Event) -> list[Command]:
    return [command for event in events for command in it.on(event)]


def kinds(commands: Iterable[Command]) -> list[type]:
    return [type(command) for command in commands]


def ends(commands: Iterable[Command]) -> list[Ended]:
    return [command for command in commands if isinstance(command, Ended)]


def test_a_checkpoint_is_taken_then_opened_then_the_tasks_switch_then_the_journal_hears_of_it() -> None:
    it = running(2, slots=4)
    assert kinds(feed(it, required(4))) == [Begun, WantSlots, TakeCheckpoint]
    assert feed(it, CheckpointCompleted()) == [RestoreAhead(1, {V: 4})]
    assert feed(it, RestoredAhead(1)) == [Switch({V: 4})]
    assert feed(it, AllRunning({V: 4})) == [Record(Rescaled({V: 4}, {V: 2}))]
    assert feed(it, Recorded()) == [Ended(1, End.SUCCEEDED, {V: 4})]


def test_back_at_the_programs_parallelism_the_journal_names_no_difference() -> None:
    it = Rescaling(job(2), job(4), None)
    feed(it, SlotsChanged(4), AllRunning({V: 4}), required(2), CheckpointCompleted(), RestoredAhead(1))
    assert feed(it, AllRunning({V: 2})) == [Record(Rescaled({}, {}))]


def test_the_job_goes_on_until_there_are_enough_slots() -> None:
    it = running(2, slots=2)
    assert feed(it, required(4), SlotsChanged(3))[1:] == [WantSlots(1, 4)]
    assert feed(it, SlotsChanged(4)) == [TakeCheckpoint()]


def test_slots_that_never_come_are_named_by_number_and_nothing_has_changed() -> None:
    it = running(2, slots=2)
    (ended,) = ends(feed(it, required(4), SlotsTimedOut(1)))
    assert ended.end is End.EXCEPTION_OCCURRED
    assert ended.reason.startswith("not enough slots: it needs 4, 2 of them are missing (2 registered)")
    assert it.requirements == requirements_of(job(2))


def test_with_a_lower_bound_it_takes_what_slots_there_are_and_more_when_they_come() -> None:
    it = running(2, slots=3)
    assert feed(it, required(4, 1), SlotsTimedOut(1))[-1] == TakeCheckpoint()
    assert feed(it, CheckpointCompleted(), RestoredAhead(1))[-1] == Switch({V: 3})
    feed(it, AllRunning({V: 3}), Recorded())
    begun, *_, last = feed(it, SlotsChanged(4))
    assert isinstance(begun, Begun) and begun.cause is Cause.NEW_RESOURCE_AVAILABLE
    assert last == TakeCheckpoint()


def test_what_the_job_has_already_is_granted_at_once() -> None:
    (ended,) = ends(feed(running(2), required(2)))
    assert (ended.end, ended.reason) == (End.NO_RESOURCES_OR_PARALLELISMS_CHANGE, "")


def test_a_checkpoint_that_fails_leaves_the_job_as_it_runs() -> None:
    it = running(2, slots=4)
    (ended,) = ends(feed(it, required(4), CheckpointFailed("the disk is full")))
    assert ended == Ended(1, End.EXCEPTION_OCCURRED, {V: 2}, "the checkpoint before it failed: the disk is full")


def test_tasks_that_fail_before_the_checkpoint_are_restarted_as_they_were() -> None:
    it = running(2, slots=4)
    (ended,) = ends(feed(it, required(4), TasksFailed("boom")))
    assert ended.end is End.JOB_FAILOVER_RESTARTING
    assert feed(it, CheckpointCompleted(), AllRunning({V: 2})) == []


def test_tasks_that_fail_while_state_is_opened_for_others_are_restarted_as_they_were() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted())
    (ended,) = ends(feed(it, TasksFailed("boom")))
    assert ended.end is End.JOB_FAILOVER_RESTARTING
    assert feed(it, RestoredAhead(1), AllRunning({V: 2})) == []


def test_what_was_opened_for_another_parallelism_is_no_reason_to_switch() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), required(3), CheckpointCompleted())
    assert feed(it, RestoredAhead(1)) == []
    assert feed(it, RestoredAhead(2)) == [Switch({V: 3})]


def test_a_worker_that_goes_while_state_is_opened_is_waited_for() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), SlotsChanged(3))
    assert feed(it, RestoredAhead(1)) == []
    assert feed(it, SlotsChanged(4)) == [TakeCheckpoint()]


def test_tasks_that_fail_after_the_switch_fall_back_and_the_journal_never_hears_of_it() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), RestoredAhead(1), TasksFailed("stopped"))
    (ended,) = feed(it, SwitchFailed("no memory"))
    assert isinstance(ended, Ended) and ended.parallelism == {V: 2}
    assert ended.reason == "it could not be brought to run, and runs at its parallelism before: no memory"
    assert feed(it, AllRunning({V: 2})) == []


def test_a_failure_that_forestalls_the_switch_is_no_success() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), RestoredAhead(1), TasksFailed("boom"))
    (ended,) = feed(it, AllRunning({V: 2}))
    assert isinstance(ended, Ended) and ended.end is End.JOB_FAILOVER_RESTARTING


def test_a_later_wish_takes_the_place_of_one_that_still_waits() -> None:
    it = running(2, slots=2)
    feed(it, required(4, request="first"))
    ended, begun, *_ = feed(it, required(1, request="second"))
    assert isinstance(ended, Ended) and ended.end is End.RESOURCE_REQUIREMENTS_UPDATED
    assert isinstance(begun, Begun) and begun.request == "second"


def test_a_wish_during_the_switch_waits_for_its_end_and_gives_way_to_a_later_one() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), RestoredAhead(1))
    assert feed(it, required(3, request="second")) == []
    begun, ended = feed(it, required(1, request="third"))
    assert isinstance(begun, Begun) and begun.request == "second"
    assert isinstance(ended, Ended) and ended.end is End.RESOURCE_REQUIREMENTS_UPDATED
    done, next_one, *_ = feed(it, AllRunning({V: 4}), Recorded())[1:]
    assert isinstance(done, Ended) and done.end is End.SUCCEEDED
    assert isinstance(next_one, Begun) and next_one.request == "third"


def test_a_worker_that_goes_while_the_checkpoint_is_taken_is_waited_for() -> None:
    it = running(2, slots=4)
    feed(it, required(4), SlotsChanged(3))
    assert feed(it, CheckpointCompleted()) == []
    assert feed(it, SlotsChanged(4)) == [TakeCheckpoint()]


def test_a_job_that_restarts_is_rescaled_once_it_runs() -> None:
    it = running(2, slots=4)
    feed(it, TasksFailed("boom"))
    assert TakeCheckpoint not in kinds(feed(it, required(4)))
    assert feed(it, AllRunning({V: 2})) == [TakeCheckpoint()]


def test_the_jobs_end_ends_the_rescaling_and_what_waits_behind_it() -> None:
    it = running(2, slots=4)
    feed(it, required(4), CheckpointCompleted(), RestoredAhead(1), required(3, request="second"))
    found = ends(feed(it, JobOver(End.JOB_CANCELED)))
    assert [ended.end for ended in found] == [End.JOB_CANCELED, End.RESOURCE_REQUIREMENTS_UPDATED]
    assert feed(it, AllRunning({V: 4}), required(1)) == []


def events(rng: Random, it: Rescaling, target: Parallelism | None) -> Event:
    """Anything that may happen next. `target`: what the job was told to become."""
    at = {V: it.graph.vertices[0].parallelism}
    return rng.choice(
        [
            required(rng.randint(1, 8), request="r"),
            required(rng.randint(4, 8), 1),
            SlotsChanged(rng.randint(0, 9)),
            SlotsTimedOut(rng.randint(1, 6)),
            CheckpointCompleted(),
            CheckpointFailed("x"),
            RestoredAhead(rng.randint(1, 6)),
            TasksFailed("x"),
            AllRunning(target if target is not None and rng.random() < 0.7 else at),
            SwitchFailed("x"),
            Recorded(),
        ]
    )


@pytest.mark.parametrize("base", range(0, 1000, 250))
def test_every_wish_is_answered_once_and_only_what_runs_is_recorded(base: int) -> None:
    for seed in range(base, base + 250):
        rng, it = Random(seed), running(2, slots=4)
        begun: list[int] = []
        ended: list[int] = []
        target: Parallelism | None = None
        opened: RestoreAhead | None = None
        for _ in range(80):
            event = events(rng, it, target)
            for command in it.on(event):
                match command:
                    case RestoreAhead():
                        assert isinstance(event, CheckpointCompleted), "only with a checkpoint"
                        opened = command
                    case Begun(attempt):
                        begun.append(attempt)
                    case Ended(attempt, _, parallelism):
                        assert attempt in begun and attempt not in ended
                        assert parallelism == {V: it.graph.vertices[0].parallelism}
                        ended.append(attempt)
                        target = None
                    case Switch(parallelism):
                        assert opened is not None and event == RestoredAhead(opened.attempt)
                        assert parallelism == opened.parallelism and 1 <= parallelism[V] <= 8
                        target = parallelism
                    case Record():
                        assert isinstance(event, AllRunning) and event.parallelism == target
                    case _:
                        pass
        it.on(JobOver(End.JOB_FINISHED))
        assert len(begun) - len(ended) <= 1
        assert it.phase is None


def test_what_is_required_for_good_lasts_until_it_is_given_up_or_somebody_wants_something_else() -> None:
    it = running()
    assert it.lasting is None
    it.on(required(4))
    assert it.lasting == required(4)
    it.on(required(3, request="once"))
    assert it.lasting == required(3, request="once")
    it.on(required(5))
    it.on(SlotsChanged(5))
    feed(it, CheckpointCompleted(), RestoredAhead(3))
    it.on(required(6))  # It waits for its turn, and is what a successor must know.
    assert it.lasting == required(6)
    it.on(SwitchFailed("a reason"))
    assert it.lasting == required(6)
    it.on(SlotsChanged(6))
    it.on(AllRunning({V: 2}))
    it.on(CheckpointFailed("a reason"))
    assert it.lasting is None


@pytest.mark.parametrize("over", [[AllRunning({V: 4}), Recorded()], [SwitchFailed("a reason")]], ids=["well", "badly"])
def test_what_was_asked_for_once_lasts_until_it_is_over(over: list[Event]) -> None:
    it = running(2, slots=4)
    feed(it, required(4, request="once"), CheckpointCompleted(), RestoredAhead(1))
    assert it.lasting == required(4, request="once")
    feed(it, *over)
    assert it.lasting is None


def test_what_the_job_has_already_leaves_nothing_that_a_successor_must_know() -> None:
    it = running(2)
    feed(it, required(2, request="once"))
    assert it.lasting is None


def test_a_successor_looks_after_what_is_required_and_has_not_come_about() -> None:
    wanted = required(4)
    it = Rescaling(job(2), job(2), wanted)
    assert it.requirements == wanted.requirements
    assert it.on(SlotsChanged(2)) == []
    begun, slots = it.on(AllRunning({V: 2}))
    assert isinstance(begun, Begun) and slots == WantSlots(begun.attempt, 4)
    assert it.on(SlotsChanged(4)) == [TakeCheckpoint()]
    assert it.lasting == wanted
    feed(it, CheckpointCompleted(), RestoredAhead(1), AllRunning({V: 4}), Recorded())
    assert it.lasting == wanted


@pytest.mark.parametrize("runs_at", [2, 4])
def test_a_successor_answers_for_what_was_asked_for_once_under_the_same_name(runs_at: int) -> None:
    it = Rescaling(job(2), job(runs_at), required(4, request="once"))
    commands = feed(it, SlotsChanged(4), AllRunning({V: runs_at}), CheckpointCompleted(), RestoredAhead(1))
    commands += feed(it, AllRunning({V: 4}), Recorded())
    (begun,) = [command for command in commands if isinstance(command, Begun)]
    (ended,) = ends(commands)
    assert begun.request == "once" and ended.reason == "" and ended.parallelism == {V: 4}
    assert it.lasting is None


def test_a_successor_forgets_what_is_required_where_the_program_has_changed_its_mind_or_cannot() -> None:
    for wanted in (required(4), required(4, request="once")):
        entry = required_entry(job(2), wanted)
        assert still_required(job(2), job(2), entry) == wanted
        assert still_required(job(2), job(3), entry) == wanted
        assert still_required(job(3), job(3), entry) is None
    assert still_required(job(2), job(2), required_entry(job(2), required(99))) is None
    assert still_required(job(2), job(2), required_entry(job(2), None)) is None
