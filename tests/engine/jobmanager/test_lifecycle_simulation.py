"""Thousands of interleavings of failures, lost workers, restarts and cancellations over the pure job lifecycle."""

from dataclasses import dataclass, field
from random import Random

import pytest

from penstock.base.ids import AttemptId, SubtaskId, VertexId, WorkerId
from penstock.common.job_status import JobStatus
from penstock.jobmanager.lifecycle import (
    AwaitSlots,
    CancelRequested,
    CancelTasks,
    Command,
    DeployRegion,
    Event,
    Failure,
    GlobalFailure,
    JobLifecycle,
    RegionDown,
    RestartDue,
    ScheduleRestart,
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
from penstock.jobmanager.restart import FixedDelay


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
    next_worker: int = 0

    def feed(self, event: Event) -> None:
        for command in self.lifecycle.on(event, now_s=self.now_s, jitter=self.rng.uniform(-1, 1)):
            self.carry_out(command)

    def carry_out(self, command: Command) -> None:
        match command:
            case DeployRegion(_, attempts):
                for attempt, worker in attempts.items():
                    assert worker in self.workers, "tasks go to workers that live"
                    others = [other for other in self.running if other.subtask == attempt.subtask]
                    assert not others, f"{attempt} deployed while {others} runs"
                    self.running[attempt] = worker
                    self.inbox.append(TaskInitialized(attempt))
            case StartRegion(_, attempts):
                assert set(attempts) <= set(self.running), "what starts was deployed and lives"
                self.started.update(attempts)
            case CancelTasks(attempts):
                for attempt in attempts:
                    self.inbox.append(TaskCanceled(attempt))
            case RegionDown():
                self.down += 1
            case ScheduleRestart(region, number):
                self.inbox.append(RestartDue(region, number))
            case AwaitSlots(request):
                if self.rng.random() < 0.3:
                    self.inbox.append(SlotsTimedOut(request))
            case StatusChanged():
                pass

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
            self.feed(TaskFailed(attempt, Failure("boom", subtask=attempt.subtask)))

    def check(self) -> None:
        status = self.lifecycle.status
        if status is JobStatus.RUNNING:
            for execution in self.lifecycle.executions.values():
                assert execution.status in (TaskStatus.RUNNING, TaskStatus.FINISHED), execution
        if status.is_globally_terminal_state():
            for execution in self.lifecycle.executions.values():
                assert execution.status.is_terminal or execution.status is TaskStatus.CREATED, execution


def world(seed: int) -> World:
    rng = Random(seed)
    a, b = VertexId("a" * 32), VertexId("b" * 32)
    width = rng.randint(1, 3)
    separate = [frozenset({SubtaskId(a, i), SubtaskId(b, i)}) for i in range(width)]
    together = [frozenset().union(*separate)]
    slot_of = {s: SlotKey("default", s.index) for region in separate for s in region}
    regions = separate if rng.random() < 0.5 else together
    return World(rng, JobLifecycle.create(regions, slot_of, FixedDelay(attempts=rng.randint(0, 6), delay_s=1)))


@pytest.mark.parametrize("base", range(0, 2000, 200))
def test_every_history_keeps_the_invariants_and_comes_to_an_end(base: int) -> None:
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
