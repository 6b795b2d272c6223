"""The life of a job and of its subtasks' attempts. Pure: events in, commands out.

A region (subtasks that are connected) is the unit that starts, fails and restarts. The job master feeds in
what happens and carries out what comes back; nothing here awaits, so every interleaving can be replayed.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import final

import msgspec

from penstock.base.ids import AttemptId, SubtaskId, WorkerId
from penstock.common.job_status import JobStatus
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
from penstock.jobmanager.placement import Missing, SlotKey, place
from penstock.jobmanager.restart import GiveUp, RestartAfter, RestartStrategy


class _Phase(enum.Enum):
    WAITING_FOR_SLOTS = enum.auto()
    INITIALIZING = enum.auto()
    RUNNING = enum.auto()
    STOPPING = enum.auto()
    WAITING_FOR_DELAY = enum.auto()
    DONE = enum.auto()


@final
class _Region(msgspec.Struct):
    members: frozenset[SubtaskId]
    phase: _Phase = _Phase.WAITING_FOR_SLOTS
    round: int = 0
    delay_passed: bool = True
    may_prepare: bool = False
    """Whether its tasks may be restored while the delay passes: they ran, so it is not restoring that fails."""
    told: Failure | None = None
    """What was told of why it is stopped, while the failure behind that is not known."""


@final
class Execution(msgspec.Struct):
    """The newest attempt of a subtask."""

    subtask: SubtaskId
    attempt: int = 0
    status: TaskStatus = TaskStatus.CREATED
    worker: WorkerId | None = None
    failure: Failure | None = None

    @property
    def id(self) -> AttemptId:
        return AttemptId(self.subtask, self.attempt)


@final
class JobLifecycle(msgspec.Struct):
    """The state machine. `on` is its only entrance; the attributes are for reading."""

    regions: list[_Region]
    executions: dict[SubtaskId, Execution]
    strategy: RestartStrategy
    slots: dict[SlotKey, WorkerId] = msgspec.field(default_factory=dict)
    status: JobStatus = JobStatus.CREATED
    failure: Failure | None = None
    restarts: int = 0
    _slot_of: dict[SubtaskId, SlotKey] = msgspec.field(default_factory=dict)
    _alive: tuple[WorkerId, ...] = ()
    _request: int = 0
    _awaiting: bool = False
    _next: Shape | None = None
    """What the job becomes as soon as the tasks that are being stopped have come to rest."""
    _proven: Shape | None = None
    """What it falls back to while its present shape has not run yet."""

    @staticmethod
    def create(
        regions: Iterable[frozenset[SubtaskId]],
        slot_of: Mapping[SubtaskId, SlotKey],
        strategy: RestartStrategy,
        first_attempt: int = 0,
    ) -> "JobLifecycle":
        """A job none of whose tasks has been deployed yet."""
        found = [_Region(members) for members in regions]
        executions = {s: Execution(s, attempt=first_attempt) for region in found for s in sorted(region.members)}
        return JobLifecycle(found, executions, strategy, _slot_of=dict(slot_of))

    def on(self, event: Event, *, now_s: float, jitter: float = 0.0) -> list[Command]:
        """Take an event; what has to be done comes back, in order."""
        out: list[Command] = []
        match event:
            case WorkersChanged(alive, fates):
                self._workers_changed(alive, fates, now_s, jitter, out)
            case SlotsTimedOut(request):
                self._slots_timed_out(request, now_s, jitter, out)
            case TaskInitialized(attempt):
                self._initialized(attempt, out)
            case TaskFinished(attempt):
                self._ended(attempt, TaskStatus.FINISHED, out)
            case TaskCanceled(attempt):
                self._ended(attempt, TaskStatus.CANCELED, out)
            case TaskFailed(attempt, failure):
                self._failed(attempt, failure, now_s, jitter, out)
            case RestartDue(region, number):
                self._restart_due(region, number, out)
            case GlobalFailure(failure, final):
                self._fail_regions(range(len(self.regions)), failure, now_s, jitter, out, whole_job=True, final=final)
            case RestartWithFailed(failure):
                self._restart_running(failure, out)
            case CancelRequested():
                self._cancel(out)
            case ReshapeRequested(shape):
                if self.status is JobStatus.RUNNING:
                    self._reshape(shape, Failure("the job is rescaled"), out)
                    self._proven = Shape(tuple(region.members for region in self.regions), self._slot_of)
                    self._turn(out)
        return out

    def is_current(self, attempt: AttemptId) -> bool:
        """Whether this is its subtask's newest attempt."""
        return self._current(attempt) is not None

    @property
    def _is_ending(self) -> bool:
        return self.status.is_globally_terminal_state() or self.status in (JobStatus.FAILING, JobStatus.CANCELLING)

    def _current(self, attempt: AttemptId) -> Execution | None:
        execution = self.executions.get(attempt.subtask)
        return execution if execution is not None and execution.attempt == attempt.attempt else None

    def _region_of(self, subtask: SubtaskId) -> int:
        return next(i for i, region in enumerate(self.regions) if subtask in region.members)

    def _set_status(self, status: JobStatus, out: list[Command], failure: Failure | None = None) -> None:
        if status is not JobStatus.RESTARTING:
            self._proven = None
        if status is not JobStatus.RESTARTING and status is not JobStatus.RUNNING:
            self._next = None
        if status != self.status:
            self.status = status
            out.append(StatusChanged(status, failure))

    # Slots.

    def _workers_changed(
        self,
        alive: tuple[WorkerId, ...],
        fates: Mapping[WorkerId, str],
        now_s: float,
        jitter: float,
        out: list[Command],
    ) -> None:
        self._alive = alive
        living = set(alive)
        for execution in list(self.executions.values()):
            lost = execution.worker is not None and execution.worker not in living
            if lost and not execution.status.is_terminal and execution.status is not TaskStatus.CREATED:
                fate = fates.get(execution.worker, "") if execution.worker is not None else ""
                text = f"worker {execution.worker} was lost" + (f": {fate}" if fate else "")
                failure = Failure(text, subtask=execution.subtask, worker=execution.worker)
                self._failed(execution.id, failure, now_s, jitter, out)
        self._place(out)
        for index in range(len(self.regions)):
            self._prepare(index, out)

    def _place(self, out: list[Command]) -> None:
        """Deploy every region that waits for slots, if all its slots can be had."""
        if self._is_ending:
            return
        waiting = [i for i, r in enumerate(self.regions) if r.phase is _Phase.WAITING_FOR_SLOTS]
        if not waiting:
            return
        wanted = sorted({self._slot_of[s] for i in waiting for s in self.regions[i].members})
        # Slots in use by regions that run are kept whatever is asked for.
        placed = place(wanted, self.slots, self._alive)
        if isinstance(placed, Missing):
            if not self._awaiting:
                self._awaiting = True
                self._request += 1
                out.append(AwaitSlots(self._request, placed.missing))
            return
        self._awaiting = False
        self.slots = dict(placed.workers)
        for index in waiting:
            self._deploy(index, out)

    def _prepare(self, index: int, out: list[Command]) -> None:
        """Deploy a region whose delay has not passed yet, if its slots can be had: only its start waits then."""
        region = self.regions[index]
        if region.phase is not _Phase.WAITING_FOR_DELAY or region.delay_passed or not region.may_prepare:
            return
        if self._is_ending or self._next is not None:
            return
        placed = place(sorted({self._slot_of[s] for s in region.members}), self.slots, self._alive)
        if not isinstance(placed, Missing):
            self.slots = dict(placed.workers)
            self._deploy(index, out)

    def _deploy(self, index: int, out: list[Command]) -> None:
        region = self.regions[index]
        region.phase = _Phase.INITIALIZING
        region.told = None
        attempts: dict[AttemptId, WorkerId] = {}
        for subtask in sorted(region.members):
            execution = self.executions[subtask]
            if execution.status is not TaskStatus.CREATED:
                execution.attempt += 1
            execution.status = TaskStatus.INITIALIZING
            execution.failure = None
            execution.worker = self.slots[self._slot_of[subtask]]
            attempts[execution.id] = execution.worker
        out.append(DeployRegion(index, attempts))

    def _slots_timed_out(self, request: int, now_s: float, jitter: float, out: list[Command]) -> None:
        if not self._awaiting or request != self._request:
            return
        self._awaiting = False
        waiting = [i for i, r in enumerate(self.regions) if r.phase is _Phase.WAITING_FOR_SLOTS]
        wanted = {self._slot_of[s] for i in waiting for s in self.regions[i].members}
        placed = place(wanted, self.slots, self._alive)
        missing = placed.missing if isinstance(placed, Missing) else 0
        total = len(set(self._slot_of.values()))
        failure = Failure(
            f"not enough slots: the job needs {total}, {missing} of them are missing "
            f"({len(self._alive)} registered). Start more TaskManagers or lower the parallelism"
        )
        self._fail_regions(waiting, failure, now_s, jitter, out)

    # Tasks.

    def _initialized(self, attempt: AttemptId, out: list[Command]) -> None:
        execution = self._current(attempt)
        if execution is None or execution.status is not TaskStatus.INITIALIZING:
            return
        execution.status = TaskStatus.SCHEDULED
        self._start(self._region_of(attempt.subtask), out)

    def _start(self, index: int, out: list[Command]) -> None:
        """Start a region once all its tasks are initialized and its delay has passed."""
        region = self.regions[index]
        members = [self.executions[s] for s in sorted(region.members)]
        if region.phase is not _Phase.INITIALIZING or not region.delay_passed:
            return
        if any(e.status is not TaskStatus.SCHEDULED for e in members):
            return
        region.phase = _Phase.RUNNING
        for member in members:
            member.status = TaskStatus.RUNNING
        out.append(StartRegion(index, tuple(e.id for e in members)))
        if all(r.phase in (_Phase.RUNNING, _Phase.DONE) for r in self.regions):
            self._set_status(JobStatus.RUNNING, out)

    def _ended(self, attempt: AttemptId, status: TaskStatus, out: list[Command]) -> None:
        execution = self._current(attempt)
        if execution is None or execution.status.is_terminal:
            return
        execution.status = status
        self._settle(self._region_of(attempt.subtask), out)

    def _failed(self, attempt: AttemptId, failure: Failure, now_s: float, jitter: float, out: list[Command]) -> None:
        execution = self._current(attempt)
        if execution is None or execution.status.is_terminal:
            return
        execution.status = TaskStatus.FAILED
        execution.failure = failure
        index = self._region_of(attempt.subtask)
        if self.regions[index].phase in (_Phase.INITIALIZING, _Phase.RUNNING):
            self._fail_regions([index], failure, now_s, jitter, out)
        else:
            self._explain(self.regions[index], failure, out)
            self._settle(index, out)

    def _explain(self, region: _Region, failure: Failure, out: list[Command]) -> None:
        """Peers of what failed may be heard before it is."""
        told = region.told
        if told is None or failure.follows:
            return
        region.told = None
        out.append(CauseFound(told, failure))
        if self.failure is told:
            self.failure = failure

    def _fail_regions(
        self,
        indexes: Iterable[int],
        failure: Failure,
        now_s: float,
        jitter: float,
        out: list[Command],
        *,
        whole_job: bool = False,
        final: bool = False,
    ) -> None:
        if self._is_ending:
            return
        if self._next is not None and not final:
            return  # All tasks are being stopped already.
        for index in indexes:
            self.regions[index].told = failure if failure.follows else None
        if self._proven is not None and not final:
            proven, self._proven = self._proven, None
            out.append(FellBack(failure))
            self._reshape(proven, failure, out)
            self._turn(out)
            return
        self.failure = failure
        verdict = GiveUp("it would fail again") if final else self.strategy.on_failure(now_s, jitter)
        match verdict:
            case GiveUp():
                self._set_status(JobStatus.FAILING, out, failure)
                for index in range(len(self.regions)):
                    self._stop(index, out)
            case RestartAfter(delay_s):
                self.restarts += 1
                self._set_status(JobStatus.RESTARTING, out, failure)
                for index in indexes:
                    self._restart(index, failure, delay_s, out, whole_job=whole_job)
        for index in range(len(self.regions)):
            self._settle(index, out)

    def _restart_running(self, failure: Failure, out: list[Command]) -> None:
        if self.status is not JobStatus.RESTARTING or self._next is not None:
            return  # All tasks are being stopped already.
        for index, region in enumerate(self.regions):
            if region.phase is _Phase.RUNNING:
                self._restart(index, failure, 0.0, out, whole_job=False)
                self._settle(index, out)

    def _restart(self, index: int, failure: Failure, delay_s: float, out: list[Command], *, whole_job: bool) -> None:
        region = self.regions[index]
        region.round += 1
        region.delay_passed = False
        region.may_prepare = region.phase is _Phase.RUNNING
        out.append(RegionDown(index, failure, whole_job))
        out.append(ScheduleRestart(index, region.round, delay_s))
        self._stop(index, out)

    def _stop(self, index: int, out: list[Command]) -> None:
        region = self.regions[index]
        region.phase = _Phase.STOPPING
        alive = []
        for subtask in sorted(region.members):
            execution = self.executions[subtask]
            if execution.status is TaskStatus.CREATED or execution.status.is_terminal:
                continue
            if execution.status is not TaskStatus.CANCELING:
                execution.status = TaskStatus.CANCELING
                alive.append(execution.id)
        if alive:
            out.append(CancelTasks(tuple(alive)))

    def _settle(self, index: int, out: list[Command]) -> None:
        """Go on with a region once all its tasks have come to rest."""
        region = self.regions[index]
        members = [self.executions[s] for s in region.members]
        resting = all(_rests(execution) for execution in members)
        if region.phase is _Phase.RUNNING and all(e.status is TaskStatus.FINISHED for e in members):
            region.phase = _Phase.DONE
        if region.phase is _Phase.STOPPING and resting:
            region.phase = _Phase.WAITING_FOR_DELAY
        if self.status in (JobStatus.FAILING, JobStatus.CANCELLING):
            self._conclude(out)
        elif self._next is not None:
            self._turn(out)
        elif region.phase is _Phase.WAITING_FOR_DELAY and region.delay_passed:
            region.phase = _Phase.WAITING_FOR_SLOTS
            self._place(out)
        elif region.phase is _Phase.WAITING_FOR_DELAY:
            self._prepare(index, out)
        elif all(r.phase is _Phase.DONE for r in self.regions):
            self._set_status(JobStatus.FINISHED, out)
        elif self.status is JobStatus.RESTARTING and all(
            r.phase in (_Phase.RUNNING, _Phase.DONE) for r in self.regions
        ):
            self._set_status(JobStatus.RUNNING, out)

    # Another shape.

    def _reshape(self, shape: Shape, reason: Failure, out: list[Command]) -> None:
        self._next = shape
        self._set_status(JobStatus.RESTARTING, out)
        for index in range(len(self.regions)):
            out.append(RegionDown(index, reason, whole_job=True))
            self._stop(index, out)

    def _turn(self, out: list[Command]) -> None:
        """Become the next shape, once every task of this one has ended."""
        shape = self._next
        if shape is None or not all(_rests(execution) for execution in self.executions.values()):
            return
        self._next = None
        # What is still on its way from or to an attempt or a region of the old shape must not meet one of the new.
        attempt = 1 + max(execution.attempt for execution in self.executions.values())
        number = 1 + max(region.round for region in self.regions)
        self.regions = [_Region(members, round=number) for members in shape.regions]
        self.executions = {s: Execution(s, attempt=attempt) for r in self.regions for s in sorted(r.members)}
        self._slot_of = dict(shape.slot_of)
        wanted = set(self._slot_of.values())
        self.slots = {slot: worker for slot, worker in self.slots.items() if slot in wanted}
        self._awaiting = False
        out.append(Reshaped(shape))
        self._place(out)

    def _conclude(self, out: list[Command]) -> None:
        if not all(_rests(execution) for execution in self.executions.values()):
            return
        ended = JobStatus.FAILED if self.status is JobStatus.FAILING else JobStatus.CANCELED
        self._set_status(ended, out, self.failure if ended is JobStatus.FAILED else None)

    def _restart_due(self, index: int, number: int, out: list[Command]) -> None:
        if index < len(self.regions) and self.regions[index].round == number:
            self.regions[index].delay_passed = True
            self._start(index, out)
            self._settle(index, out)

    def _cancel(self, out: list[Command]) -> None:
        if self.status.is_globally_terminal_state() or self.status is JobStatus.CANCELLING:
            return
        self._set_status(JobStatus.CANCELLING, out)
        for index in range(len(self.regions)):
            self._stop(index, out)
        self._conclude(out)


def _rests(execution: Execution) -> bool:
    """Whether it does not run: not yet, or not any more."""
    return execution.status.is_terminal or execution.status is TaskStatus.CREATED
