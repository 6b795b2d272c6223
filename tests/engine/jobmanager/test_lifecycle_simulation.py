"""Thousands of interleavings of failures, lost workers, restarts and cancellations over the pure job lifecycle."""

from dataclasses import dataclass, field
from random import Random

import pytest

from penstock.base.ids import AttemptId, SubtaskId, VertexId, WorkerId
from penstock.common.job_status import JobStatus
from penstock.jobmanager.lifecycle import JobLifecycle
from penstock.jobmanager.lifecycle_protocol import (
    AwaitSlots,
    CancelRequested,
    CancelTasks,
    CauseFound,
    Command,
    DeployRegion,
    Event,
    Failure,
    FellBack,
    GlobalFailure,
    RegionDown,
    Reshaped,
    ReshapeRequested,
    RestartDue,
    RestartWithFailed,
    ScheduleRestart,
    Shape,
    SlotsTimedOut,
    StartRegion,
    StatusChanged,
    TaskCanceled,
    TaskFailed,
    TaskFinished,
    TaskInitialized,
    TaskStatus,
    WorkersChanged,
)
from penstock.jobmanager.placement import SlotKey
from penstock.jobmanager.restart import FixedDelay, NoRestart, RestartStrategy


@dataclass
class World:
    """Workers that do as they are told, messages that arrive in any order, or not at all with their worker."""

    rng: Random
    lifecycle: JobLifecycle
    now_s: float = 0.0
    workers: list[WorkerId] = field(default_factory=list)
    inbox: list[Event] = field(default_factory=list)
    running: dict[AttemptId, WorkerId] = field(default_factory=dict)
    started: set[AttemptId] = field(default_factory=set)
    down: int = 0
    shape: Shape | None = None
    proven: Shape | None = None
    """The newest one that has run."""
    fell_back: int = 0
    next_worker: int = 0
    delays: dict[int, int] = field(default_factory=dict)
    """Regions whose restart is not due yet, with the number of the newest one."""
    ran: dict[int, bool] = field(default_factory=dict)
    """Whether a region's newest attempts were started."""
    prepared: int = 0
    causes: list[tuple[str, str]] = field(default_factory=list)
    """Failures that followed, with those that were behind them."""

    def feed(self, event: Event) -> None:
        for command in self.lifecycle.on(event, now_s=self.now_s, jitter=self.rng.uniform(-1, 1)):
            self.carry_out(command)

    def carry_out(self, command: Command) -> None:
        match command:
            case DeployRegion(region, attempts):
                if region in self.delays:
                    assert self.ran.get(region), "what fails while it is restored waits for its delay"
                    self.prepared += 1
                self.ran[region] = False
                for attempt, worker in attempts.items():
                    assert worker in self.workers, "tasks go to workers that live"
                    others = [other for other in self.running if other.subtask == attempt.subtask]
                    assert not others, f"{attempt} deployed while {others} runs"
                    self.running[attempt] = worker
                    self.inbox.append(TaskInitialized(attempt))
            case StartRegion(region, attempts):
                assert set(attempts) <= set(self.running), "what starts was deployed and lives"
                assert region not in self.delays, "nothing starts before its delay has passed"
                self.ran[region] = True
                self.started.update(attempts)
            case CancelTasks(attempts):
                for attempt in attempts:
                    self.inbox.append(TaskCanceled(attempt))
            case RegionDown():
                self.down += 1
            case ScheduleRestart(region, number):
                self.delays[region] = number
                self.inbox.append(RestartDue(region, number))
            case AwaitSlots(request):
                if self.rng.random() < 0.3:
                    self.inbox.append(SlotsTimedOut(request))
            case StatusChanged():
                pass
            case CauseFound(told, cause):
                assert told.follows and not cause.follows
                self.causes.append((told.message, cause.message))
            case Reshaped(shape):
                assert not self.running, "the old shape's tasks are gone"
                self.delays.clear()
                self.ran.clear()
                assert set(self.lifecycle.executions) == set(shape.slot_of)
                self.shape = shape
            case FellBack():
                self.fell_back += 1

    def add_worker(self) -> None:
        self.next_worker += 1
        self.workers.append(WorkerId(f"w{self.next_worker}"))
        self.feed(WorkersChanged(tuple(self.workers)))

    def lose_worker(self) -> None:
        if self.workers:
            lost = self.workers.pop(self.rng.randrange(len(self.workers)))
            for attempt in [a for a, w in self.running.items() if w == lost]:
                del self.running[attempt]
            self.feed(WorkersChanged(tuple(self.workers)))

    def deliver(self) -> None:
        if not self.inbox:
            return
        event = self.inbox.pop(self.rng.randrange(len(self.inbox)))
        match event:
            case TaskInitialized(attempt) if attempt not in self.running:
                return
            case TaskCanceled(attempt):
                if attempt not in self.running:
                    return
                del self.running[attempt]
            case RestartDue(region, number) if self.delays.get(region) == number:
                del self.delays[region]
            case _:
                pass
        self.feed(event)

    def end_task(self, *, well: bool) -> None:
        candidates = sorted(a for a in self.started if a in self.running)
        if not candidates:
            return
        attempt = self.rng.choice(candidates)
        del self.running[attempt]
        if well:
            self.feed(TaskFinished(attempt))
        else:
            self.feed(TaskFailed(attempt, Failure("boom", subtask=attempt.subtask, follows=self.rng.random() < 0.3)))

    def check(self) -> None:
        status = self.lifecycle.status
        if status is JobStatus.RUNNING:
            for execution in self.lifecycle.executions.values():
                assert execution.status in (TaskStatus.RUNNING, TaskStatus.FINISHED), execution
            self.proven = self.shape
        if status.is_globally_terminal_state():
            for execution in self.lifecycle.executions.values():
                assert execution.status.is_terminal or execution.status is TaskStatus.CREATED, execution


def shape_of(width: int, *, separate: bool) -> Shape:
    a, b = VertexId("a" * 32), VertexId("b" * 32)
    pairs = [frozenset({SubtaskId(a, i), SubtaskId(b, i)}) for i in range(width)]
    slot_of = {s: SlotKey("default", s.index) for region in pairs for s in region}
    return Shape(tuple(pairs) if separate else (frozenset().union(*pairs),), slot_of)


def world(seed: int) -> World:
    rng = Random(seed)
    shape = shape_of(rng.randint(1, 3), separate=rng.random() < 0.5)
    strategy = FixedDelay(attempts=rng.randint(0, 6), delay_s=1)
    return World(rng, JobLifecycle.create(shape.regions, shape.slot_of, strategy), shape=shape)


@pytest.mark.parametrize("base", range(0, 2000, 200))
def test_every_history_keeps_the_invariants_and_comes_to_an_end(base: int) -> None:
    prepared = 0
    for seed in range(base, base + 200):
        it = world(seed)
        for _ in range(120):
            it.now_s += 0.1
            draw = it.rng.random()
            if draw < 0.2:
                it.add_worker()
            elif draw < 0.26:
                it.lose_worker()
            elif draw < 0.32:
                it.end_task(well=False)
            elif draw < 0.36:
                it.end_task(well=True)
            elif draw < 0.365:
                it.feed(GlobalFailure(Failure("all"), final=it.rng.random() < 0.1))
            elif draw < 0.37:
                it.feed(CancelRequested())
            elif draw < 0.375:
                it.feed(RestartWithFailed(Failure("drained for nothing")))
            elif draw < 0.42:
                it.feed(ReshapeRequested(shape_of(it.rng.randint(1, 4), separate=it.rng.random() < 0.5)))
            else:
                it.deliver()
            it.check()
        for _ in range(4):
            it.add_worker()
        for _ in range(2000):
            if it.lifecycle.status.is_globally_terminal_state():
                break
            it.inbox = [event for event in it.inbox if not isinstance(event, SlotsTimedOut)]
            if it.inbox:
                it.deliver()
            else:
                it.end_task(well=True)
            it.check()
        assert it.lifecycle.status.is_globally_terminal_state(), (seed, it.lifecycle.status, it.inbox, it.running)
        assert not it.running, f"seed {seed}: tasks outlive the job"
        prepared += it.prepared
    assert prepared > 0, "some regions were restored while their delay passed"


def running(width: int, workers: int) -> World:
    """A job that runs at this width and may not be restarted."""
    shape = shape_of(width, separate=False)
    it = World(Random(0), JobLifecycle.create(shape.regions, shape.slot_of, NoRestart()), shape=shape)
    for _ in range(workers):
        it.add_worker()
    settle(it)
    assert it.lifecycle.status is JobStatus.RUNNING
    return it


def settle(it: World) -> None:
    while it.inbox:
        it.deliver()
        it.check()


def test_a_job_that_is_reshaped_runs_in_its_new_shape_with_attempts_never_used_before() -> None:
    it = running(2, workers=3)
    used = {execution.id for execution in it.lifecycle.executions.values()}
    it.feed(ReshapeRequested(shape_of(3, separate=True)))
    settle(it)
    assert it.lifecycle.status is JobStatus.RUNNING
    assert len(it.running) == 6
    assert used.isdisjoint(it.running)
    assert it.lifecycle.restarts == 0


def test_workers_that_a_narrower_shape_does_not_need_are_free() -> None:
    it = running(3, workers=3)
    it.feed(ReshapeRequested(shape_of(1, separate=False)))
    settle(it)
    assert len(set(it.running.values())) == 1
    assert len(it.lifecycle.slots) == 1


def test_a_task_that_fails_before_all_of_the_new_shape_run_brings_the_old_shape_back_whatever_the_strategy() -> None:
    it = running(2, workers=3)
    it.feed(ReshapeRequested(shape_of(3, separate=False)))
    while it.shape == it.proven:
        it.deliver()
    failing = sorted(it.running)[0]
    del it.running[failing]
    it.feed(TaskFailed(failing, Failure("no room")))
    settle(it)
    assert it.fell_back == 1
    assert it.lifecycle.status is JobStatus.RUNNING
    assert set(it.lifecycle.executions) == set(shape_of(2, separate=False).slot_of)


def test_a_new_shape_for_which_slots_never_come_gives_way_to_the_old_one() -> None:
    it = running(2, workers=2)
    it.feed(ReshapeRequested(shape_of(3, separate=False)))
    while it.shape == it.proven:
        it.deliver()
    it.inbox = [SlotsTimedOut(it.lifecycle._request)]
    settle(it)
    assert it.fell_back == 1
    assert it.lifecycle.status is JobStatus.RUNNING
    assert len(it.running) == 4


def test_once_the_new_shape_has_run_a_failure_is_the_strategys_again() -> None:
    it = running(2, workers=3)
    it.feed(ReshapeRequested(shape_of(3, separate=False)))
    settle(it)
    it.end_task(well=False)
    settle(it)
    assert it.lifecycle.status is JobStatus.FAILED


def test_a_job_that_does_not_run_is_not_reshaped() -> None:
    it = running(2, workers=2)
    it.feed(CancelRequested())
    it.feed(ReshapeRequested(shape_of(1, separate=False)))
    settle(it)
    assert it.lifecycle.status is JobStatus.CANCELED


def test_a_job_is_cancelled_while_it_is_reshaped() -> None:
    it = running(2, workers=2)
    it.feed(ReshapeRequested(shape_of(1, separate=False)))
    it.feed(CancelRequested())
    settle(it)
    assert it.lifecycle.status is JobStatus.CANCELED
    assert not it.running


def test_a_region_that_ran_is_restored_while_its_delay_passes_and_starts_after_it() -> None:
    shape = shape_of(1, separate=False)
    it = World(Random(0), JobLifecycle.create(shape.regions, shape.slot_of, FixedDelay(attempts=3, delay_s=1)))
    it.add_worker()
    settle(it)
    it.end_task(well=False)
    due = [event for event in it.inbox if isinstance(event, RestartDue)]
    it.inbox = [event for event in it.inbox if not isinstance(event, RestartDue)]
    settle(it)
    statuses = {execution.status for execution in it.lifecycle.executions.values()}
    assert statuses == {TaskStatus.SCHEDULED}
    assert it.lifecycle.status is JobStatus.RESTARTING
    it.inbox = due
    settle(it)
    assert it.lifecycle.status is JobStatus.RUNNING


def test_a_region_that_fails_while_it_is_restored_waits_for_its_delay_before_it_is_deployed_again() -> None:
    shape = shape_of(1, separate=False)
    it = World(Random(0), JobLifecycle.create(shape.regions, shape.slot_of, FixedDelay(attempts=3, delay_s=1)))
    it.add_worker()
    failing = sorted(it.running)[0]
    del it.running[failing]
    it.feed(TaskFailed(failing, Failure("no restore")))
    due = [event for event in it.inbox if isinstance(event, RestartDue)]
    it.inbox = [event for event in it.inbox if not isinstance(event, RestartDue)]
    settle(it)
    assert not it.running
    it.inbox = due
    settle(it)
    assert it.lifecycle.status is JobStatus.RUNNING


def test_regions_that_cannot_go_on_after_anothers_failure_begin_again_and_it_counts_once() -> None:
    shape = shape_of(2, separate=True)
    it = World(Random(0), JobLifecycle.create(shape.regions, shape.slot_of, FixedDelay(attempts=1, delay_s=1)))
    it.add_worker()
    it.add_worker()
    settle(it)
    before = set(it.running)
    it.end_task(well=False)
    it.feed(RestartWithFailed(Failure("drained for nothing")))
    settle(it)
    assert it.lifecycle.status is JobStatus.RUNNING
    assert len(it.running) == 4 and before.isdisjoint(it.running)
    assert it.lifecycle.restarts == 1


@pytest.mark.parametrize("strategy", [NoRestart(), FixedDelay(attempts=3, delay_s=1)], ids=["ends", "restarts"])
def test_a_job_has_failed_for_what_a_task_says_whose_peers_were_heard_first(strategy: RestartStrategy) -> None:
    shape = shape_of(2, separate=False)
    it = World(Random(0), JobLifecycle.create(shape.regions, shape.slot_of, strategy))
    it.add_worker()
    it.add_worker()
    settle(it)
    for text in ("the connection was lost", "division by zero", "no room"):
        failing = sorted(it.running)[0]
        del it.running[failing]
        it.feed(TaskFailed(failing, Failure(text, follows="lost" in text)))
    assert it.causes == [("the connection was lost", "division by zero")]
    assert it.lifecycle.failure is not None and it.lifecycle.failure.message == "division by zero"


def test_a_worker_that_was_lost_explains_what_its_peers_have_said() -> None:
    it = running(2, workers=2)
    failing = sorted(it.running)[0]
    others = [worker for attempt, worker in it.running.items() if worker != it.running[failing]]
    it.feed(TaskFailed(failing, Failure("the connection was lost", follows=True)))
    it.workers.remove(others[0])
    it.feed(WorkersChanged(tuple(it.workers), {others[0]: "it was killed by signal 9"}))
    assert it.causes == [("the connection was lost", f"worker {others[0]} was lost: it was killed by signal 9")]
