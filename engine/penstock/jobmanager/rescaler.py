"""The shell around the rescaling of a running job: feeds it what happens, carries out what it asks for.

Runs on the JobManager's loop and never blocks it. Steps a fault test may stop at: `rescale.begun`,
`rescale.checkpoint`, `rescale.restore`, `rescale.switch`, `rescale.stopped`, `rescale.running`,
`journal.rescaled.before`, `journal.rescaled.written`, `rescale.recorded`.
"""

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import JobDefinitionError, LeadershipLost, PenstockError, StoreUnavailable
from penstock.base.ids import CheckpointId, WorkerId
from penstock.base.steps import reached
from penstock.checkpoint.cadence import COUNTED, Failure
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import Entry
from penstock.checkpoint.protocol import Asked
from penstock.common.job_status import JobStatus
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.ahead import RestoringAhead
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.lifecycle_protocol import ReshapeRequested, Shape
from penstock.jobmanager.operations import Operation, OperationFailure, Operations
from penstock.jobmanager.parallelism import (
    Parallelism,
    Requirements,
    complaints,
    everywhere,
    parallelism_of,
    with_parallelism,
)
from penstock.jobmanager.placement import slots_of
from penstock.jobmanager.regions import regions
from penstock.jobmanager.rescale_history import RescaleHistory
from penstock.jobmanager.rescaling import (
    NOTHING_REQUIRED,
    AllRunning,
    Begun,
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
from penstock.jobmanager.settings import JobSettings

log: Final = logging.getLogger(__name__)

_RETRY_S: Final = 0.5
_ENDS: Final = {
    JobStatus.FINISHED: End.JOB_FINISHED,
    JobStatus.FAILING: End.JOB_FAILED,
    JobStatus.FAILED: End.JOB_FAILED,
    JobStatus.CANCELLING: End.JOB_CANCELED,
    JobStatus.CANCELED: End.JOB_CANCELED,
}
_ASKED_AGAIN: Final = frozenset({Failure.TASK_CLOSING, Failure.SUBSUMED, Failure.NOT_READY})


@final
class RescaleHooks(msgspec.Struct, frozen=True):
    """What the rescaler has others do."""

    want_slots: Callable[[int], None]
    """Start workers, if you can, until there are so many in all."""
    reshape: Callable[[ReshapeRequested], None]
    """Tell the job's lifecycle."""
    prepare: Callable[[], int]
    """Have all workers load the job, so that new ones need not do so while it stands still; how many have."""
    deposed: Callable[[str], None]
    """Another JobManager leads the job: end this process at once."""


@final
class Rescaler:
    """Rescales one job during one reign."""

    def __init__(
        self,
        program: JobGraph,
        running: JobGraph,
        service: CheckpointService,
        journal: Journal,
        settings: JobSettings,
        operations: Operations,
        hooks: RescaleHooks,
        ahead: RestoringAhead,
        clock: Clock,
        rng: Random,
    ) -> None:
        """`program`: the graph as the script has it; `running`: at the parallelism that the job begins with."""
        self.history = RescaleHistory(clock.now_ms, rng)
        self._program = program
        self._journaled = journal.state.required or NOTHING_REQUIRED
        """What the journal says, or is being told, that the job has to have."""
        lasting = still_required(program, running, self._journaled)
        self._core = Rescaling(program, running, lasting)
        self._service = service
        self._journal = journal
        self._checkpointing = settings.checkpoints.interval_s is not None
        self._slot_timeout_s = settings.slot_timeout_s
        self._operations = operations
        self._hooks = hooks
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._restoring: asyncio.Task[None] | None = None
        """Has the state opened for the tasks to come."""
        self._recording: asyncio.Task[None] | None = None
        """The newest entry on its way, after those before it."""
        self._recordings: set[asyncio.Task[None]] = set()
        self._awaited: CheckpointId | None = None
        """This checkpoint or a later one is what is being waited for."""
        service.watchers.append(self._checkpoint_ended)
        if self._journaled.request:
            operation, _ = operations.begin("rescaling", self._journaled.request)
            if lasting is None:
                self._refuse(operation, "the program says something else since it was asked for")

    @property
    def requirements(self) -> Requirements:
        """What the job is required to have."""
        return self._core.requirements

    async def require(self, requirements: Requirements) -> None:
        """Have the job at a parallelism within these, from now on. JobDefinitionError, in sentences, when it cannot be.

        As in Flink, a successor knows of it once this has returned.
        """
        self._check(requirements)
        if self._core.lasting != Required(requirements):
            self._ask(Required(requirements))
        await self.recorded()

    async def recorded(self) -> None:
        """Until the journal has all that was asked for so far."""
        if self._recording is not None:
            await asyncio.wait({self._recording})

    def scale_to(self, parallelism: int) -> Operation:
        """The same for one parallelism wherever the program has not chosen another one itself.

        Asked for again while it is under way, it is the same operation. A successor knows of it once it is `recorded`,
        by the same trigger id, until it has come about.
        """
        requirements = everywhere(self._core.graph, parallelism)
        self._check(requirements)
        newest = self.history.records[-1] if self.history.records else None
        if newest is not None and newest.end is None and newest.request and newest.requirements == requirements:
            under_way = self._find(newest.request)
            if under_way is not None:
                return under_way
        operation, _ = self._operations.begin("rescaling", None)
        self._ask(Required(requirements, operation.trigger_id))
        return operation

    def scale_once(self, parallelism: int, trigger_id: str) -> Operation:
        """The same under an id of the asker's: done once, and what became of it is found there, a refusal too."""
        operation, new = self._operations.begin("rescaling", trigger_id)
        if not new:
            return operation
        requirements = everywhere(self._core.graph, parallelism)
        try:
            self._check(requirements)
        except JobDefinitionError as error:
            self._operations.fail(operation, OperationFailure(str(error), "penstock.base.errors.JobDefinitionError"))
        else:
            self._ask(Required(requirements, operation.trigger_id))
        return operation

    def _ask(self, required: Required) -> None:
        self._on(SlotsChanged(self._hooks.prepare()))
        self._on(required)

    def _check(self, requirements: Requirements) -> None:
        found = list(complaints(self._core.graph, requirements))
        if found:
            raise JobDefinitionError("; ".join(found))
        if not self._checkpointing:
            raise JobDefinitionError(
                "the job takes no checkpoints, so what its tasks hold cannot be carried over: set "
                "execution.checkpointing.interval to rescale it while it runs"
            )

    # What the job master tells.

    def slots_changed(self, slots: int) -> None:
        """So many workers are there, or one of them has loaded the job: only that counts while slots are waited for."""
        self._ahead.workers_changed()
        self._on(SlotsChanged(slots if self._core.phase is None else self._hooks.prepare()))

    def restored_ahead(self, worker: WorkerId, request: int) -> None:
        """A worker has opened state for tasks to come, as far as it could."""
        self._ahead.restored(worker, request)

    def tasks_failed(self, reason: str) -> None:
        self._on(TasksFailed(reason))

    def stopped(self) -> None:
        """No task of the old shape is left."""
        reached("rescale.stopped")

    def all_running(self, parallelism: Parallelism) -> None:
        self._on(AllRunning(parallelism))

    def switch_failed(self, reason: str) -> None:
        self._on(SwitchFailed(reason))

    def status_changed(self, status: JobStatus) -> None:
        end = _ENDS.get(status)
        if end is not None:
            self._on(JobOver(end))

    def close(self) -> None:
        for task in (*self._recordings, self._restoring):
            if task is not None:
                task.cancel()

    # Commands.

    def _on(self, event: Event) -> None:
        before = parallelism_of(self._core.graph)
        commands = self._core.on(event)
        for command in commands:
            self._carry_out(command, before)
        self.history.came_to(self._core.phase)
        lasting = required_entry(self._program, self._core.lasting)
        if lasting != self._journaled and not self._core.is_over:
            self._journaled = lasting
            self._append(lasting, None)

    def _carry_out(self, command: Command, before: Parallelism) -> None:
        match command:
            case Begun():
                reached("rescale.begun")
                log.info("rescaling begun", extra={"attempt": command.attempt, "cause": command.cause.value})
                self.history.begun(command, before)
            case WantSlots(attempt, slots):
                self._hooks.want_slots(slots)
                self._loop.call_later(self._slot_timeout_s, lambda: self._on(SlotsTimedOut(attempt)))
            case TakeCheckpoint():
                reached("rescale.checkpoint")
                self._awaited = self._service.next_checkpoint
                self._service.feed(Asked(self._service.now()))
            case RestoreAhead(attempt, parallelism):
                reached("rescale.restore")
                graph = with_parallelism(self._core.graph, parallelism)
                self._restoring = self._loop.create_task(self._restore_ahead(attempt, graph))
            case Switch(parallelism):
                reached("rescale.switch")
                graph = with_parallelism(self._core.graph, parallelism)
                self._hooks.reshape(ReshapeRequested(Shape(tuple(regions(graph)), slots_of(graph))))
            case Record(entry):
                reached("rescale.running")
                self._append(entry, Recorded())
            case Ended():
                self._ended(command)

    def _ended(self, ended: Ended) -> None:
        self._awaited = None
        if self._restoring is not None:
            self._restoring.cancel()
            self._restoring = None
            self._ahead.drop()
        level = logging.INFO if ended.end is End.SUCCEEDED or not ended.reason else logging.WARNING
        extra = {"attempt": ended.attempt, "end": ended.end.value, "reason": ended.reason}
        log.log(level, "rescaling ended", extra=extra)
        record = self.history.ended(ended)
        operation = None if record is None or record.request is None else self._find(record.request)
        if operation is None or record is None:
            return
        if record.refused:
            self._refuse(operation, ended.reason)
        else:
            self._operations.complete(operation)

    def _refuse(self, operation: Operation, reason: str) -> None:
        told = f"the job was not rescaled: {reason}"
        self._operations.fail(operation, OperationFailure(told, "penstock.base.errors.PenstockError"))

    def _find(self, request: str) -> Operation | None:
        return self._operations.find("rescaling", request)

    def _checkpoint_ended(self, checkpoint: CheckpointId, failure: Failure | None, reason: str) -> None:
        if self._awaited is None or checkpoint < self._awaited:
            return
        if failure is None:
            self._awaited = None
            self._on(CheckpointCompleted())
        elif failure in _ASKED_AGAIN:
            self._service.feed(Asked(self._service.now()))
        elif failure in COUNTED or failure is Failure.UNION_TORN:
            self._awaited = None
            self._on(CheckpointFailed(reason))

    async def _restore_ahead(self, attempt: int, graph: JobGraph) -> None:
        await self._ahead.restore(graph)
        self._on(RestoredAhead(attempt))

    def _append(self, entry: Entry, then: Event | None) -> None:
        self._recording = task = self._loop.create_task(self._record(entry, then, self._recording))
        self._recordings.add(task)
        task.add_done_callback(self._recordings.discard)

    async def _record(self, entry: Entry, then: Event | None, before: "asyncio.Task[None] | None") -> None:
        """Again and again until it is known to stand there: meanwhile the job runs, and a death brings back the old."""
        if before is not None:
            await asyncio.wait({before})
        while True:
            try:
                await self._service.beside_journal(lambda: self._journal.append(entry))
            except StoreUnavailable as error:
                log.warning("the journal cannot be reached", exc_info=error)
                await asyncio.sleep(_RETRY_S)
            except LeadershipLost as error:
                self._hooks.deposed(str(error))
                return
            except PenstockError as error:
                # The job runs as it was asked to; only a successor will not know.
                log.error("the journal refused what the job was asked to have", exc_info=error)
                break
            else:
                break
        if then is not None:
            reached("rescale.recorded")
            self._on(then)
