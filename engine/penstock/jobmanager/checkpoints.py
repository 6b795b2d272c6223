"""The shell around the checkpoint coordinator: feeds it what happens, carries out what it asks for.

Storage is called in threads, and so is the journal (`penstock.jobmanager.entries`). Nothing is decided here.
Steps a fault test may stop at: `checkpoint.trigger`, `savepoint.trigger`, `checkpoint.acknowledged`,
`checkpoint.notify`, and those of the journal, of `penstock.checkpoint.publish` and `penstock.checkpoint.savepoints`.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import LeadershipLost, StorageError
from penstock.base.ids import CheckpointId, JobId, OperatorUid, SubtaskId
from penstock.base.steps import reached
from penstock.checkpoint.cadence import COUNTED, OF_ENDS, Failure
from penstock.checkpoint.coordinator import Coordinator
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import (
    Completed,
    Entry,
    Finished,
    Forgotten,
    IdsReserved,
    OriginForgotten,
    SavepointStopped,
)
from penstock.checkpoint.layout import METADATA
from penstock.checkpoint.metadata import Metadata, gather
from penstock.checkpoint.protocol import (
    Acknowledged,
    AppendCompleted,
    AppendFinished,
    AppendForgotten,
    AppendOriginForgotten,
    AppendStopped,
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
    Journaled,
    JournalRefused,
    MetadataWritten,
    NotifyAborted,
    NotifyComplete,
    OriginForgot,
    Reserved,
    ReserveIds,
    ReserveRefused,
    RestoreNow,
    SavepointDone,
    SavepointFailed,
    SavepointOrder,
    TakeCoordinators,
    Tick,
    TriggerFailed,
    TriggerTasks,
    WriteFailed,
    WriteMetadata,
)
from penstock.checkpoint.publish import delete_files, job_files, write_metadata
from penstock.checkpoint.retention import Retention
from penstock.checkpoint.savepoints import write_savepoint
from penstock.jobmanager.entries import Entries
from penstock.jobmanager.history import CheckpointHistory
from penstock.records.batch import SavepointOptions, StopMode
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)

T = TypeVar("T")
Watcher = Callable[[CheckpointId, Failure | None, str], None]
"""`watcher(checkpoint, failure, reason)`: told of each checkpoint that has completed (no failure) or was given up."""

"""Pause before the journal is asked again about an entry whose fate is unknown."""


class Notifier(Protocol):
    """How checkpoints reach tasks and enumerators. Calls come on the loop."""

    def trigger(
        self,
        checkpoint: CheckpointId,
        timestamp_ms: int,
        tasks: Iterable[SubtaskId],
        savepoint: SavepointOptions | None,
        stop: StopMode | None,
        anew: bool,
    ) -> None:
        """Ask these tasks for a checkpoint or savepoint."""

    def completed(self, checkpoint: CheckpointId) -> None:
        """Tell all tasks that it is confirmed."""

    def aborted(self, checkpoint: CheckpointId) -> None:
        """Tell all tasks that it never will be."""

    async def take_coordinators(self, checkpoint: CheckpointId) -> dict[OperatorUid, bytes]:
        """The state of the enumerators, whose messages are then held."""

    def release_coordinators(self, checkpoint: CheckpointId) -> None:
        """Let go what they held for it, if they still do."""

    def fail_job(self, reason: str) -> None:
        """Too many checkpoints failed."""

    def begin_again(self, reason: str) -> None:
        """Restart the tasks that still run, with those that have failed."""

    def deposed(self, reason: str) -> None:
        """Another JobManager leads: end at once, write nothing."""


class SavepointListener(Protocol):
    """Who follows what becomes of checkpoints and savepoints that somebody asked for. Calls come on the loop."""

    def begun(self, checkpoint: CheckpointId, order: SavepointOrder | None) -> None:
        """It begins."""

    def savepoint_done(self, checkpoint: CheckpointId, order: SavepointOrder) -> None:
        """The savepoint is there."""

    def savepoint_failed(self, order: SavepointOrder, reason: str) -> None:
        """There will be none."""

    def drop(self, order: SavepointOrder) -> None:
        """Delete what there is of a savepoint that was given up."""

    def delete_origin(self) -> None:
        """Delete what the job was started from and has claimed."""


@final
class JobDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in every `_metadata` about the job."""

    job: JobId
    name: str
    fingerprint: str


@final
class CheckpointService:
    """Checkpoints of one job during one reign."""

    def __init__(
        self,
        description: JobDescription,
        store: ObjectStore,
        journal: Journal,
        coordinator: Coordinator,
        retention: Retention,
        notifier: Notifier,
        listener: SavepointListener,
        history: CheckpointHistory,
        clock: Clock,
        open_root: Callable[[str], ObjectStore],
    ) -> None:
        """`open_root` opens the folder of a savepoint."""
        self._description = description
        self._store = store
        self._journal = journal
        self._coordinator = coordinator
        self._retention = retention
        self._notifier = notifier
        self._listener = listener
        self._open_root = open_root
        self._history = history
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._journaled_ms: dict[CheckpointId, int] = {}
        """When those were entered that are about to be told: the end that is shown."""
        self._entries = Entries(journal, feed=self.feed, deposed=self._be_deposed, start=self._start)
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="checkpoint-io")
        self._events: deque[Event] = deque()
        self._feeding = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._restore: asyncio.Event = asyncio.Event()
        self._finished: asyncio.Event = asyncio.Event()
        self._over = False
        self.watchers: list[Watcher] = []

    @property
    def refusal(self) -> str | None:
        """Why no checkpoint can begin now, if none can."""
        return self._coordinator.refusal

    @property
    def has_ended(self) -> bool:
        """Whether the job has: what it retains can still be removed."""
        return self._coordinator.has_ended

    @property
    def next_checkpoint(self) -> CheckpointId:
        """Checkpoints that begin from now on have this id or a greater one."""
        return self._coordinator.next_id

    def now(self) -> float:
        """The coordinator's time."""
        return self._clock.monotonic()

    def feed(self, event: Event) -> None:
        """Tell the coordinator something, and do what it asks for."""
        # Carrying out a command may feed the next event: it waits until all commands of this one are carried out.
        self._events.append(event)
        if self._feeding:
            return
        self._feeding = True
        try:
            while self._events and not self._over:
                for command in self._coordinator.on(self._events.popleft()):
                    self._carry_out(command)
        finally:
            self._feeding = False
        self._schedule()

    async def restore_settled(self) -> None:
        """Wait until it is certain from which checkpoint failed tasks are to be restored."""
        await self._restore.wait()

    def restore_wanted(self) -> None:
        """Tasks failed: what to restore from has to settle anew."""
        self._restore.clear()

    async def beside_journal(self, work: Callable[[], T]) -> T:
        """Do something in the journal's thread, where nothing is appended meanwhile."""
        return await self._entries.beside(work)

    async def end_journaled(self) -> None:
        """Wait until the job's end stands in the journal."""
        await self._finished.wait()

    async def end_cleaned(self) -> None:
        """Wait until what the job's end drops, and what was never finished, is deleted."""
        await self._idle()
        self.sweep()
        await self._idle()

    def sweep(self) -> None:
        """Delete what tasks and JobManagers that died have left behind."""

        async def work() -> None:
            found = await self._in_pool(lambda: job_files(self._store, self._description.job))
            gone = self._retention.sweep(
                found, decided_below=self._coordinator.decided_below, referred=self._coordinator.referred()
            )
            if gone and not self._over:
                log.info("left-over files deleted", extra={"files": len(gone)})
                await self._in_pool(lambda: delete_files(self._store, gone))

        self._start(self._guarded(work()))

    def close(self) -> None:
        """Ask for nothing more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._entries.close()
        self._pool.shutdown(wait=False)

    # What workers report.

    def acknowledged(self, checkpoint: CheckpointId, snapshot: TaskSnapshot, *, current: bool) -> None:
        """`current`: by the newest attempt of its subtask. Of an earlier one only the files are looked at: they go."""
        if not current and self._coordinator.is_pending(checkpoint):
            return
        reached("checkpoint.acknowledged")
        self._history.acknowledged(checkpoint, snapshot)
        self.feed(Acknowledged(self.now(), checkpoint, snapshot))

    def declined(self, checkpoint: CheckpointId, subtask: SubtaskId, failure: str, reason: str) -> None:
        self.feed(Declined(self.now(), checkpoint, subtask, Failure[failure], reason))

    def _journaled(self, checkpoint: CheckpointId) -> Journaled:
        self._journaled_ms[checkpoint] = self._clock.now_ms()
        return Journaled(self.now(), checkpoint)

    # Commands.

    def _carry_out(self, command: Command) -> None:
        match command:
            case TakeCoordinators(checkpoint, order):
                self._begun(checkpoint, order)
                self._start(self._take_coordinators(checkpoint))
            case TriggerTasks(checkpoint, tasks, _, order, anew):
                self._begun(checkpoint, order)
                reached("checkpoint.trigger" if order is None else "savepoint.trigger")
                savepoint, stop = (None, None) if order is None else (order.options, order.stop)
                self._notifier.trigger(checkpoint, self._clock.now_ms(), tasks, savepoint, stop, anew)
                self._notifier.release_coordinators(checkpoint)
            case WriteMetadata():
                self._start(self._write_metadata(command))
            case AppendCompleted(checkpoint, path, checksum, ids_below):
                self._append_end(checkpoint, Completed(checkpoint, path, checksum, ids_below))
            case AppendStopped(checkpoint, order, checksum):
                self._append_end(checkpoint, SavepointStopped(checkpoint, order.options.target, checksum))
            case SavepointDone(checkpoint, order):
                log.info("savepoint completed", extra={"checkpoint": checkpoint, "path": order.options.target})
                self._completed(checkpoint)
                self._listener.savepoint_done(checkpoint, order)
            case SavepointFailed(order, reason):
                self._listener.savepoint_failed(order, reason)
            case DropSavepoint(order):
                self._listener.drop(order)
            case NotifyComplete(checkpoint, _, stops):
                reached("checkpoint.notify")
                self._completed(checkpoint)
                log.info("checkpoint completed", extra={"checkpoint": checkpoint})
                self._notifier.completed(checkpoint)
                for watcher in () if stops else tuple(self.watchers):
                    watcher(checkpoint, None, "")
            case NotifyAborted(checkpoint, _, failure, reason):
                self._given_up(checkpoint, failure, reason)
                self._notifier.aborted(checkpoint)
                self._notifier.release_coordinators(checkpoint)
                for watcher in tuple(self.watchers):
                    watcher(checkpoint, failure, reason)
            case AppendOriginForgotten():
                self._entries.append(OriginForgotten(), lambda: OriginForgot(self.now()), None)
            case DeleteOrigin():
                self._listener.delete_origin()
            case AppendForgotten(checkpoint):
                self._entries.append(Forgotten(checkpoint), lambda: Forgot(self.now(), checkpoint), None)
            case AppendFinished(state):
                self._entries.append(Finished(state), self._end_written, None)
            case ReserveIds(below):
                self._entries.append(
                    IdsReserved(below),
                    lambda: Reserved(self.now(), below),
                    lambda reason: ReserveRefused(self.now(), reason),
                )
            case DeleteFiles(paths):
                self._start(self._guarded(self._in_pool(lambda: delete_files(self._store, paths))))
            case RestoreNow():
                self._restore.set()
            case FailJob(reason):
                self._notifier.fail_job(reason)
            case BeginAgain(reason):
                self._notifier.begin_again(reason)

    def _completed(self, checkpoint: CheckpointId) -> None:
        """A savepoint that the job goes on after is entered nowhere."""
        self._history.completed(checkpoint, self._journaled_ms.pop(checkpoint, self._clock.now_ms()))

    def _given_up(self, checkpoint: CheckpointId, failure: Failure, reason: str) -> None:
        why = failure.value if reason == failure.value else f"{failure.value}: {reason}"
        if failure in OF_ENDS:
            self._history.withdrawn(checkpoint)
            log.info("checkpoint given up", extra={"checkpoint": checkpoint, "reason": why})
            return
        self._history.failed(checkpoint, self._clock.now_ms(), why)
        level = logging.WARNING if failure in COUNTED else logging.INFO
        log.log(level, "checkpoint failed", extra={"checkpoint": checkpoint, "reason": why})

    def _begun(self, checkpoint: CheckpointId, order: SavepointOrder | None) -> None:
        self._history.begun(checkpoint, self._clock.now_ms(), None if order is None else order.options)
        self._listener.begun(checkpoint, order)

    def _end_written(self) -> Event:
        self._finished.set()
        return EndJournaled(self.now())

    async def _take_coordinators(self, checkpoint: CheckpointId) -> None:
        try:
            states = await self._notifier.take_coordinators(checkpoint)
        except Exception as error:
            self.feed(TriggerFailed(self.now(), checkpoint, str(error)))
        else:
            self.feed(CoordinatorsTaken(self.now(), checkpoint, states))
        # Where the checkpoint was aborted meanwhile, nobody else will.
        self._notifier.release_coordinators(checkpoint)

    async def _write_metadata(self, command: WriteMetadata) -> None:
        checkpoint, order = command.checkpoint, command.order

        def write() -> tuple[str, str, Metadata]:
            operators = gather(command.snapshots, command.ended, command.coordinators)
            metadata = Metadata(
                kind="checkpoint" if order is None else "savepoint",
                job=self._description.job,
                job_name=self._description.name,
                fingerprint=self._description.fingerprint,
                checkpoint=checkpoint,
                epoch=self._journal.epoch,
                triggered_ms=self._clock.now_ms(),
                operators=operators,
            )
            if order is None:
                return *write_metadata(self._store, metadata), metadata
            target = order.options.target
            return f"{target}/{METADATA}", write_savepoint(self._open_root, target, metadata), metadata

        try:
            path, checksum, metadata = await self._in_pool(write)
            if order is not None and order.stop is None:
                # No entry says that it is there, so nobody is told by whom a successor may have taken for dead.
                await self._entries.confirm()
        except LeadershipLost as error:
            self._be_deposed(error)
        except Exception as error:
            self.feed(WriteFailed(self.now(), checkpoint, str(error)))
        else:
            folder = path.rpartition("/")[0]
            self._history.written(checkpoint, metadata, folder if order else f"{self._store.uri}/{folder}")
            self.feed(MetadataWritten(self.now(), checkpoint, path, checksum))

    def _append_end(self, checkpoint: CheckpointId, entry: Entry) -> None:
        now = self.now
        self._entries.append(
            entry, lambda: self._journaled(checkpoint), lambda reason: JournalRefused(now(), checkpoint, reason)
        )

    def _be_deposed(self, error: LeadershipLost) -> None:
        self.feed(Deposed())
        self._notifier.deposed(str(error))

    # Plumbing.

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._coordinator.next_tick_at()
        if due is not None and not self._over:
            delay = max(0.0, due - self.now())
            self._timer = self._loop.call_later(delay, lambda: self.feed(Tick(self.now())))

    def _in_pool(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        return self._loop.run_in_executor(self._pool, work)

    async def _idle(self) -> None:
        """Until nothing is appended, written or deleted any more."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _guarded(self, work: Awaitable[Any]) -> None:
        """Best effort: a later sweep finds what is left."""
        try:
            await work
        except StorageError as error:
            log.warning("files could not be deleted", exc_info=error)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._notifier.fail_job(f"checkpointing failed: {task.exception()}")
