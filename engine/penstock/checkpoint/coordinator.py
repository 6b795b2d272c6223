"""The checkpoint coordinator: events in, commands out, without clocks, sockets or storage.

The JobManager feeds it `protocol.Event`s and carries out the `protocol.Command`s that come back, in order. One
coordinator serves one reign over one job, through all restarts of tasks. Nothing here awaits, so every interleaving,
with every loss and death in between, is replayed in the simulation tests.

What it warrants: tasks are told of a completed checkpoint only once the journal has it; a checkpoint whose entry is
being appended is neither aborted nor ignored when choosing what to restore; no file is deleted that a retained
checkpoint, or one under way, may need; an id is used once.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, final

from penstock.base.ids import CheckpointId, SubtaskId
from penstock.checkpoint.cadence import Cadence, CheckpointSettings, Failure, FailureCount
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.journal_state import IDS_AHEAD
from penstock.checkpoint.pending import Pending, Phase, uploads_for
from penstock.checkpoint.plan import TaskShape, plan_for
from penstock.checkpoint.protocol import (
    Acknowledged,
    AppendCompleted,
    AppendFinished,
    AppendForgotten,
    AppendOriginForgotten,
    AppendStopped,
    Asked,
    BeginAgain,
    Command,
    CoordinatorsTaken,
    Declined,
    DeleteFiles,
    DeleteOrigin,
    Deposed,
    DropSavepoint,
    EndJournaled,
    Event,
    FailJob,
    Forgot,
    JobEnded,
    Journaled,
    JournalRefused,
    Keep,
    MetadataWritten,
    NotifyAborted,
    NotifyComplete,
    OriginForgot,
    Reserved,
    ReserveIds,
    ReserveRefused,
    RestoreNow,
    Running,
    SavepointAsked,
    SavepointDone,
    SavepointFailed,
    SavepointOrder,
    TakeCoordinators,
    TaskEnded,
    TasksFailed,
    Tick,
    TriggerFailed,
    TriggerTasks,
    Unwanted,
    WriteFailed,
    WriteMetadata,
)
from penstock.checkpoint.retention import ExternalizedRetention, FinalState, Retained, Retention
from penstock.checkpoint.unions import torn_union

_ABORTED_REMEMBERED_MAX: Final = 1024
Commands = Iterator[Command]


@final
class Coordinator:
    """Decides when checkpoints begin, complete, fail and die."""

    def __init__(
        self,
        settings: CheckpointSettings,
        retention: Retention,
        *,
        externalized: ExternalizedRetention,
        next_id: CheckpointId,
        ids_below: CheckpointId,
        stopped: bool = False,
    ) -> None:
        """`next_id` and `ids_below`: what the journal gave this reign (`JournalState.first_id`, `ids_below`).

        `stopped`: the job was stopped with a savepoint; its tasks only commit.
        """
        self._settings = settings
        self._retention = retention
        self._externalized = externalized
        self._cadence = Cadence(settings)
        self._failures = FailureCount(settings.tolerable_failures)
        self._next_id = next_id
        self._ids_below = ids_below
        self._reserving = False
        self._pending: dict[CheckpointId, Pending] = {}
        self._aborted: dict[CheckpointId, SavepointOrder | None] = {}
        self._orders: deque[SavepointOrder] = deque()
        """Savepoints that have not begun yet."""
        self._anew = False
        """The next checkpoint is to refer to no file of earlier ones."""
        self._stopping: CheckpointId | None = None
        self._stopped = stopped
        self._appending: dict[CheckpointId, AppendCompleted] = {}
        self._forgetting: set[CheckpointId] = set()
        self._tasks: dict[SubtaskId, TaskShape] = {}
        self._ended: set[SubtaskId] = set()
        self._has_coordinators = False
        self._running = False
        self._base: CheckpointId | None = None
        self._restore_wanted = False
        self._end: FinalState | None = None
        self._end_sent = False
        self._reserve_failures = 0
        self._deposed = False

    @property
    def pending(self) -> tuple[Pending, ...]:
        """Checkpoints under way, oldest first."""
        return tuple(self._pending.values())

    @property
    def next_id(self) -> CheckpointId:
        """Of the next checkpoint to begin."""
        return self._next_id

    def is_pending(self, checkpoint: CheckpointId) -> bool:
        """Whether it is under way."""
        return checkpoint in self._pending

    @property
    def decided_below(self) -> CheckpointId:
        """Every checkpoint below this one has completed or been given up. See `Retention.sweep`."""
        return min(self._pending, default=self._next_id)

    def referred(self) -> frozenset[str]:
        """Files that acknowledgements of checkpoints under way refer to."""
        return frozenset().union(*(pending.referred() for pending in self._pending.values()))

    @property
    def has_ended(self) -> bool:
        """Whether the job has, or was stopped and only commits."""
        return self._stopped or self._end is not None

    @property
    def refusal(self) -> str | None:
        """Why nothing can begin now, if nothing can."""
        if self.has_ended:
            return "the job has ended"
        if self._stopping is not None:
            return "the job is being stopped"
        some_ended = bool(self._ended)
        all_ended = len(self._ended) == len(self._tasks)
        if not self._running or all_ended:
            return "not all tasks are running"
        if some_ended and not self._settings.after_tasks_finish:
            return "some tasks have ended, and checkpoints are not to be taken then"
        return None

    def next_tick_at(self) -> float | None:
        """When a `Tick` is next worth sending, if nothing else happens before."""
        moments = [p.expires_at for p in self._pending.values() if p.can_be_aborted]
        if self._may_trigger() and not self._reserving:
            due = self._cadence.next_at(len(self._pending))
            moments += [] if due is None else [due]
        return min(moments, default=None)

    def on(self, event: Event) -> list[Command]:
        """Take one event. Commands are to be carried out in the order given."""
        if self._deposed:
            return []
        commands = list(self._on(event))
        now = getattr(event, "now", None)
        if now is not None:
            commands += self._settled()
            commands += self._begin_savepoints(now)
            commands += self._trigger(now)
        return commands

    def _on(self, event: Event) -> Commands:
        match event:
            case Running():
                self._run(event)
            case Tick(now):
                yield from self._expire(now)
            case Asked(_, anew):
                self._cadence.asked()
                self._anew = self._anew or anew
            case SavepointAsked(_, order):
                self._orders.append(order)
            case CoordinatorsTaken(_, checkpoint, states):
                pending = self._pending.get(checkpoint)
                if pending is not None and pending.prepared(states):
                    yield TriggerTasks(checkpoint, pending.plan.trigger, pending.base, pending.order, pending.anew)
            case TriggerFailed(_, checkpoint, reason):
                yield from self._fail(checkpoint, Failure.TRIGGER_FAILED, reason)
            case Acknowledged(_, checkpoint, snapshot):
                yield from self._acknowledged(checkpoint, snapshot)
            case Declined(_, checkpoint, task, failure, reason):
                yield from self._fail(checkpoint, failure, reason)
            case TaskEnded(_, task):
                yield from self._task_ended(task)
            case TasksFailed():
                self._running = False
                self._restore_wanted = True
                self._cadence.stopped()
                yield from self._abort_all(Failure.FAILOVER)
            case JobEnded(_, state):
                self._running = False
                self._end = state
                self._cadence.stopped()
                yield from self._abort_all(Failure.STOPPED)
            case MetadataWritten(_, checkpoint, path, checksum):
                yield from self._metadata_written(checkpoint, path, checksum)
            case WriteFailed(_, checkpoint, reason):
                yield from self._fail(checkpoint, Failure.STORAGE_FAILED, reason)
            case Journaled(now, checkpoint):
                yield from self._journaled(now, checkpoint)
            case JournalRefused(_, checkpoint, reason):
                yield from self._fail(checkpoint, Failure.STORAGE_FAILED, reason, journal_refused=True)
            case Reserved(_, below):
                self._ids_below = max(self._ids_below, below)
                self._reserving = False
            case ReserveRefused(now, reason):
                yield from self._reserve_refused(now, reason)
            case Forgot(_, checkpoint):
                self._forgetting.discard(checkpoint)
                self._retention.forgotten(checkpoint)
                yield from self._collect()
            case Unwanted(_, checkpoint):
                retention = self._retention
                stays = checkpoint == retention.newest or checkpoint in retention.pinned
                if checkpoint in retention.retained and not stays:
                    yield from self._forget([checkpoint])
            case Keep(_, retained_max, pinned):
                yield from self._forget(self._retention.keep(retained_max, pinned))
            case OriginForgot():
                yield DeleteOrigin()
            case EndJournaled():
                assert self._end is not None
                self._base = None
                yield from self._forget(self._retention.ended(self._end, self._externalized))
                if self._retention.origin_may_go(self._end, self._externalized):
                    yield AppendOriginForgotten()
                yield from self._collect()
            case Deposed():
                self._deposed = True
                self._pending.clear()

    def _run(self, event: Running) -> None:
        self._tasks = {task.subtask: task for task in event.tasks}
        self._ended = set(event.ended)
        self._has_coordinators = bool(event.coordinators)
        self._base = event.restored
        self._running = True
        self._retention.turned_to(event.restored)
        self._cadence.started(event.now, event.chance)

    def _may_trigger(self) -> bool:
        return self.refusal is None

    def _begin_savepoints(self, now: float) -> Commands:
        while self._orders:
            refusal = self.refusal
            if refusal is not None:
                yield SavepointFailed(self._orders.popleft(), refusal)
            elif self._has_id():
                yield from self._begin(now, self._orders.popleft())
            else:
                yield from self._reserve()
                return

    def _has_id(self) -> bool:
        return self._next_id < self._ids_below

    def _reserve(self) -> Commands:
        if not self._reserving:
            self._reserving = True
            yield ReserveIds(CheckpointId(self._next_id + IDS_AHEAD))

    def _trigger(self, now: float) -> Commands:
        while self._may_trigger() and not self._reserving:
            due = self._cadence.next_at(len(self._pending))
            if due is None or due > now:
                return
            if not self._has_id():
                yield from self._reserve()
                return
            if self._cadence.take(now, len(self._pending)):
                yield from self._begin(now)

    def _begin(self, now: float, order: SavepointOrder | None = None) -> Commands:
        checkpoint = self._next_id
        self._next_id = CheckpointId(checkpoint + 1)
        plan = plan_for(self._tasks, self._ended)
        base = self._base if order is None else None
        pending = Pending(checkpoint, plan, base, now + self._settings.timeout_s, order)
        if order is None:
            pending.anew, self._anew = self._anew, False
        self._pending[checkpoint] = pending
        if order is not None and order.stop is not None:
            self._stopping = checkpoint
        if self._has_coordinators:
            yield TakeCoordinators(checkpoint, order)
        elif pending.prepared({}):
            yield TriggerTasks(checkpoint, plan.trigger, base, order, pending.anew)

    def _acknowledged(self, checkpoint: CheckpointId, snapshot: TaskSnapshot) -> Commands:
        pending = self._pending.get(checkpoint)
        if pending is None:
            # Too late. Its files are ours to delete if we gave the checkpoint up; otherwise they may be in use.
            if checkpoint in self._aborted:
                yield from _dropped(self._aborted[checkpoint], uploads_for(checkpoint, snapshot))
            return
        gone = self._missing(pending, snapshot) if pending.order is None else None
        if gone is not None:
            yield from self._fail(checkpoint, Failure.NOT_READY, f"{snapshot.subtask} builds on deleted {gone}")
            yield from _deleted(uploads_for(checkpoint, snapshot))
        elif pending.acknowledged(snapshot):
            snapshots = tuple(pending.snapshots[task] for task in sorted(pending.snapshots))
            torn = torn_union(snapshots, pending.plan.ended, is_savepoint=pending.order is not None)
            if torn is not None:
                yield from self._fail(checkpoint, Failure.UNION_TORN, torn)
            else:
                yield WriteMetadata(checkpoint, snapshots, pending.plan.ended, pending.coordinators, pending.order)

    def _missing(self, pending: Pending, snapshot: TaskSnapshot) -> str | None:
        """A file that the task took over from an earlier checkpoint although it may be gone."""
        new = uploads_for(pending.checkpoint, snapshot)
        old = (f.file for f in snapshot.files() if f.file.inline is None and f.file.root is None)
        return next((f.path for f in old if f.path not in new and not self._retention.is_live(f.path)), None)

    def _metadata_written(self, checkpoint: CheckpointId, path: str, checksum: str) -> Commands:
        pending = self._pending.get(checkpoint)
        if pending is None:
            if checkpoint in self._aborted:
                yield from _dropped(self._aborted[checkpoint], {path})
            return
        if not pending.written():
            return
        if pending.order is not None:
            yield from self._savepoint_written(pending, pending.order, checksum)
            return
        # What is older can no longer complete: the journal keeps the order of ids.
        for older in [p for p in self._pending.values() if p.order is None and p.checkpoint < checkpoint]:
            yield from self._fail(older.checkpoint, Failure.SUBSUMED, f"checkpoint {checkpoint} completed first")
        ids_below = max(self._ids_below, CheckpointId(self._next_id + IDS_AHEAD))
        append = AppendCompleted(checkpoint, path, checksum, ids_below)
        self._appending[checkpoint] = append
        yield append

    def _savepoint_written(self, pending: Pending, order: SavepointOrder, checksum: str) -> Commands:
        if order.stop is None:
            del self._pending[pending.checkpoint]  # Nothing is built on it, so the journal need not know.
            yield SavepointDone(pending.checkpoint, order)
            return
        # What completes after the stop would be recovered from in its place.
        for other in [p for p in self._pending.values() if p.order is None]:
            yield from self._fail(other.checkpoint, Failure.STOPPED, "the job is being stopped")
        yield AppendStopped(pending.checkpoint, order, checksum)

    def _journaled(self, now: float, checkpoint: CheckpointId) -> Commands:
        pending = self._pending.pop(checkpoint)
        if pending.order is not None:
            self._stopping, self._stopped = None, True
            yield NotifyComplete(checkpoint, pending.plan.running - self._ended, stops=True)
            yield SavepointDone(checkpoint, pending.order)
            return
        append = self._appending.pop(checkpoint)
        self._ids_below = max(self._ids_below, append.ids_below)  # Not before the journal has it.
        self._cadence.completed(now)
        self._failures.completed()
        shared = pending.shared()
        record = Retained(checkpoint, (pending.referred() - shared) | {append.path}, shared)
        self._base = checkpoint
        # Also when the tasks failed meanwhile: it exists, and is what they will be restored from.
        yield NotifyComplete(checkpoint, pending.plan.running - self._ended)
        yield from self._forget(self._retention.completed(record))
        if self._retention.origin_is_subsumed():
            yield AppendOriginForgotten()
        yield from self._collect()

    def _task_ended(self, task: SubtaskId) -> Commands:
        self._ended.add(task)
        for pending in [p for p in self._pending.values() if p.can_be_aborted and task in p.awaiting]:
            yield from self._fail(pending.checkpoint, Failure.TASK_CLOSING, f"{self._tasks[task]} ended")
            if pending.order is None:
                self._cadence.asked()

    def _expire(self, now: float) -> Commands:
        for pending in [p for p in self._pending.values() if p.can_be_aborted and p.expires_at <= now]:
            missing = ", ".join(str(self._tasks[task]) for task in sorted(pending.awaiting)[:5])
            reason = f"no answer within {self._settings.timeout_s:g} s from {missing or 'the store'}"
            yield from self._fail(pending.checkpoint, Failure.EXPIRED, reason)

    def _abort_all(self, failure: Failure) -> Commands:
        for pending in [p for p in self._pending.values() if p.can_be_aborted]:
            yield from self._fail(pending.checkpoint, failure, failure.value)

    def _fail(
        self, checkpoint: CheckpointId, failure: Failure, reason: str, *, journal_refused: bool = False
    ) -> Commands:
        pending = self._pending.get(checkpoint)
        if pending is None or not (pending.can_be_aborted or journal_refused):
            return
        del self._pending[checkpoint]
        self._aborted[checkpoint] = pending.order
        if len(self._aborted) > _ABORTED_REMEMBERED_MAX:
            del self._aborted[min(self._aborted)]
        yield NotifyAborted(checkpoint, pending.plan.running - self._ended, failure, reason)
        if pending.order is not None:
            yield from self._savepoint_failed(pending, pending.order, failure, reason)
            return
        append = self._appending.pop(checkpoint, None)
        yield from _deleted(pending.uploads() | ({append.path} if append else set()))
        yield from self._collect()
        if self._failures.failed(checkpoint, failure) and self._running:
            yield FailJob(f"Exceeded checkpoint tolerable failure threshold. Checkpoint {checkpoint} failed: {reason}")

    def _savepoint_failed(self, pending: Pending, order: SavepointOrder, failure: Failure, reason: str) -> Commands:
        yield DropSavepoint(order)
        yield SavepointFailed(order, reason if reason == failure.value else f"{failure.value}: {reason}")
        if order.stop is None:
            return
        self._stopping = None
        if order.stop == "drain" and pending.phase is not Phase.PREPARING:
            # Event time has ended in tasks that have the barrier: they cannot go on, only begin again.
            said = f"Stopping with savepoint {pending.checkpoint} failed while draining: {reason}"
            if self._running:
                yield FailJob(said)
            elif self._end is None:
                yield BeginAgain(said)  # In regions that have not failed.

    def _forget(self, checkpoints: Iterable[CheckpointId]) -> Commands:
        for checkpoint in checkpoints:
            if checkpoint not in self._forgetting:
                self._forgetting.add(checkpoint)
                yield AppendForgotten(checkpoint)

    def _reserve_refused(self, now: float, reason: str) -> Commands:
        self._reserving = False
        self._reserve_failures += 1
        yield from (SavepointFailed(order, f"no savepoint can begin: {reason}") for order in self._orders)
        self._orders.clear()
        self._cadence.take(now, 0)  # Not again at once, but when the next one is due.
        # No id was spent: a number that is none of a checkpoint's counts this failure once.
        if self._failures.failed(CheckpointId(-self._reserve_failures), Failure.TRIGGER_FAILED) and self._running:
            yield FailJob(f"Exceeded checkpoint tolerable failure threshold. No checkpoint can begin: {reason}")

    def _collect(self) -> Commands:
        bases = {p.base for p in self._pending.values() if p.base is not None}
        if self._base is not None:
            bases.add(self._base)  # What the next one builds on.
        yield from _deleted(self._retention.collect(bases=bases, referred=self.referred()))

    def _settled(self) -> Commands:
        """What waited until no entry was on its way any more."""
        if any(p.phase is Phase.JOURNALING for p in self._pending.values()):
            return
        if self._restore_wanted and self._end is None:
            self._restore_wanted = False
            yield RestoreNow()
        elif self._end is not None and not self._end_sent:
            self._end_sent = True
            yield AppendFinished(self._end)


def _dropped(order: SavepointOrder | None, paths: frozenset[str] | set[str]) -> Commands:
    """What came too late goes, as all else of what it belonged to."""
    if order is not None:
        yield DropSavepoint(order)
    else:
        yield from _deleted(paths)


def _deleted(paths: frozenset[str] | set[str] | tuple[str, ...]) -> Commands:
    if paths:
        yield DeleteFiles(tuple(sorted(paths)) if not isinstance(paths, tuple) else paths)
