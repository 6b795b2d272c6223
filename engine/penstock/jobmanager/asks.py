"""What people ask of a job's checkpoints: a savepoint, a stop with one, a checkpoint, the disposal of a savepoint.

The job master passes on what it is asked; answers are operations (`penstock.jobmanager.operations`). The checkpoint
service says what came of it. Storage is asked in threads.

Steps a fault test may stop at: those of `penstock.checkpoint.savepoints`.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar, final

from penstock.base.errors import ConfigurationError, PenstockError, StorageError
from penstock.base.ids import CheckpointId, JobId
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.journal_state import FromSavepoint, JournalState
from penstock.checkpoint.protocol import Asked, Keep, SavepointAsked, SavepointOrder, Unwanted
from penstock.checkpoint.savepoints import (
    Note,
    address_of,
    delete_claimed,
    dispose_of_savepoint,
    drop_savepoint,
    forget_note,
    is_complete,
    new_target,
    note,
    notes,
)
from penstock.common.job_status import JobStatus
from penstock.common.options import checkpointing
from penstock.jobmanager.checkpoints import CheckpointService
from penstock.jobmanager.keeping import (
    Kept,
    Retaining,
    own_checkpoint,
    own_checkpoints,
    retained_checkpoints,
    savepoints_below,
)
from penstock.jobmanager.operations import Operation, OperationFailure, Operations, SavepointRequest
from penstock.jobmanager.reign import Reign
from penstock.jobmanager.settings import JobSettings
from penstock.records.batch import SavepointOptions
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)

T = TypeVar("T")
_NOT_RUNNING: Final = "not all tasks are running"
_FORGET_TIMEOUT_S: Final = 60.0
_LOOK_S: Final = 0.05
_CLEAN_UP_TIMEOUT_S: Final = 30.0
"""Time for what is left of savepoints that were given up to be deleted, at the job's end."""


def needed_by(state: JournalState, address: str, open_root: Callable[[str], ObjectStore]) -> str | None:
    """Why the job needs the savepoint at an address, if it does."""

    def is_here(path: str) -> bool:
        return open_root(path).uri == open_root(address).uri

    if state.finished is not None:
        return None
    if state.stopped is not None and is_here(state.stopped.path):
        return "the job is being stopped with it"
    origin = None if state.started is None else state.started.origin
    if isinstance(origin, FromSavepoint) and not state.origin_forgotten and is_here(origin.path):
        if origin.claimed:
            return "the job has claimed it, and deletes it when it is needed no more"
        if not state.lineage:
            return "the job would be restored from it, as it has no checkpoint of its own yet"
    return None


def claimed_and_forgotten(state: JournalState) -> str | None:
    """The address of what the job was started from, if it is the job's to delete now."""
    origin = None if state.started is None else state.started.origin
    if isinstance(origin, FromSavepoint) and origin.claimed and state.origin_forgotten:
        return origin.path
    return None


@final
class Asks:
    """Carries them out, once each. Everything here runs on the JobManager's loop."""

    def __init__(
        self,
        operations: Operations,
        job: JobId,
        store: ObjectStore,
        open_root: Callable[[str], ObjectStore],
        settings: JobSettings,
    ) -> None:
        self._operations = operations
        self._job = job
        self._store = store
        self._open_root = open_root
        self._directory = settings.savepoint_directory
        self._pinned = settings.pinned
        self._service: CheckpointService | None = None
        self.reign: Reign | None = None
        """Set once it has begun."""
        self._loop = asyncio.get_running_loop()
        self._savepoints: dict[str, Operation] = {}
        """Under way, by trigger id."""
        self._stops: dict[str, Operation] = {}
        """Those of them whose savepoint is there, and whose job is about to end."""
        self._waiting: list[Operation] = []
        """For a checkpoint to begin."""
        self._checkpoints: dict[CheckpointId, list[Operation]] = {}
        self._dropped: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    # What is asked.

    def savepoint(self, request: SavepointRequest) -> Operation:
        """See `JobMaster.savepoint`."""
        directory = request.directory or self._directory
        if not directory:
            raise ConfigurationError(
                f"no folder for savepoints: name one, or set {checkpointing.SAVEPOINT_DIRECTORY.key} for all of them"
            )
        self._open_root(directory)  # An address that is none is refused at once.
        operation, new = self._operations.begin("savepoint", request.trigger_id)
        if new and self._service is None:
            # Nothing is noted in the store about a job that another JobManager may be driving.
            self._fail(operation, f"the savepoint was not taken: {_NOT_RUNNING}")
        elif new:
            self._savepoints[operation.trigger_id] = operation
            target = new_target(directory, self._job, secrets.token_hex(6))
            options = SavepointOptions(target, request.format)
            self._start(self._begin(SavepointOrder(operation.trigger_id, options, request.stop)))
        return operation

    def checkpoint(self, trigger_id: str | None, *, anew: bool) -> Operation:
        """See `JobMaster.take_checkpoint`."""
        operation, new = self._operations.begin("checkpoint", trigger_id)
        if new:
            service = self._service
            refusal = _NOT_RUNNING if service is None else service.refusal
            if service is None or refusal is not None:
                self._fail(operation, f"no checkpoint can be taken: {refusal}")
            else:
                self._waiting.append(operation)
                service.feed(Asked(service.now(), anew))
        return operation

    def dispose(self, path: str, trigger_id: str | None) -> Operation:
        """See `JobMaster.dispose`."""
        operation, new = self._operations.begin("savepoint-disposal", trigger_id)
        if new:
            self._start(self._dispose(operation, address_of(path)))
        return operation

    @property
    def journaled(self) -> JournalState | None:
        """See `JobMaster.journaled`."""
        return None if self.reign is None else self.reign.journal.state

    @property
    def retaining(self) -> Retaining:
        """See `JobMaster.retaining`."""
        return Retaining(None if self.reign is None else self.reign.retention.retained_max, self._pinned)

    def keep(self, retained_max: int, pinned: tuple[str, ...] | None) -> bool:
        """See `JobMaster.keep`."""
        service = self._service
        if service is None or service.refusal is not None:
            return False
        pinned = self._pinned if pinned is None else pinned
        service.feed(Keep(service.now(), retained_max, self._own(pinned)))
        self._pinned = pinned
        return True

    async def kept(self, directory: str | None) -> tuple[list[Kept], list[Kept]]:
        """See `JobMaster.kept`."""
        state = JournalState() if self.reign is None else self.reign.journal.state
        folder = directory or self._directory

        def look() -> tuple[list[Kept], list[Kept]]:
            checkpoints = retained_checkpoints(self._store, self._job, state, self._own(self._pinned))
            if not folder:
                return checkpoints, []
            return checkpoints, savepoints_below(
                self._open_root,
                folder,
                self._job,
                lambda address: needed_by(state, address, self._open_root),
                self._is_pinned,
            )

        checkpoints, savepoints = await self._in_thread(look)
        # What the journal has forgotten meanwhile may have lost its files while it was looked at.
        retained = set() if self.reign is None else {known.id for known in self.reign.journal.state.retained}
        return [known for known in checkpoints if known.id in retained], savepoints

    # What came of it, said by the checkpoint service.

    def begun(self, checkpoint: CheckpointId, order: SavepointOrder | None) -> None:
        """A checkpoint or savepoint begins, or goes on to its tasks."""
        if order is None:
            if checkpoint in self._checkpoints:
                return
            waiting, self._waiting = self._waiting, []
            self._checkpoints[checkpoint] = waiting
        else:
            waiting = [o for o in (self._savepoints.get(order.id),) if o is not None]
        for operation in waiting:
            operation.checkpoint = checkpoint

    def _checkpoint_ended(self, checkpoint: CheckpointId, failure: Failure | None, reason: str) -> None:
        for operation in self._checkpoints.pop(checkpoint, ()):
            if failure is None:
                self._operations.complete(operation)
            else:
                self._fail(operation, f"checkpoint {checkpoint} failed: {reason}")
        if failure is None:
            self._drop_again()

    def savepoint_done(self, checkpoint: CheckpointId, order: SavepointOrder) -> None:
        """The savepoint is there; if the job stops with it, what was asked for is done once the job has ended."""
        operation = self._savepoints.pop(order.id, None)
        self._start(self._forget(order.options.target))
        self._drop_again()
        if operation is None:
            return
        if order.stop is None:
            self._operations.complete(operation, location=order.options.target)
        else:
            operation.location = order.options.target
            self._stops[order.id] = operation

    def savepoint_failed(self, order: SavepointOrder, reason: str) -> None:
        """There will be none."""
        operation = self._savepoints.pop(order.id, None)
        if operation is not None:
            self._fail(operation, f"the savepoint was not taken: {reason}")
        if order.options.target not in self._dropped:
            self._start(self._forget(order.options.target))  # Nothing was written.

    def drop(self, order: SavepointOrder) -> None:
        """Delete what there is of a savepoint that was given up."""
        self._dropped.add(order.options.target)
        self._start(self._drop(order.options.target))

    def restarting(self) -> None:
        """Tasks failed: checkpoints that were to be taken are not."""
        waiting, self._waiting = self._waiting, []
        for operation in waiting:
            self._fail(operation, "no checkpoint was taken: tasks failed")

    async def ended(self, status: JobStatus) -> None:
        """The job is over: say what has become of everything, and clean up."""
        self._drop_again()
        for operation in self._stops.values():
            if status is JobStatus.FINISHED:
                self._operations.complete(operation, location=operation.location)
            else:
                text = f"the savepoint {operation.location} is complete, but the job ended {status.name}"
                self._fail(operation, f"{text}: what its sinks had prepared is committed by whoever starts from it")
        checkpoints = [operation for waiting in self._checkpoints.values() for operation in waiting]
        for operation in (*self._savepoints.values(), *self._waiting, *checkpoints):
            self._fail(operation, f"the job ended {status.name}")
        try:
            async with asyncio.timeout(_CLEAN_UP_TIMEOUT_S):
                await self._idle()
        except TimeoutError:
            log.warning("files of savepoints are left in the store", extra={"job": self._job})

    # The beginning of a reign.

    def attach(self, service: CheckpointService) -> None:
        """The reign has begun. Finish what a JobManager before us was about: complete savepoints are there, others go;
        so does what the job has claimed and needs no more."""
        assert self.reign is not None
        self._service = service
        service.watchers.append(self._checkpoint_ended)
        stopped = self.reign.journal.state.stopped
        self._start(self._resume(None if stopped is None else stopped.path))
        self.delete_origin()

    def delete_origin(self) -> None:
        """The job has claimed what it was started from; if the journal has forgotten that, it goes."""
        address = None if self.reign is None else claimed_and_forgotten(self.reign.journal.state)
        if address is not None:
            self._start(self._quietly(lambda: delete_claimed(self._open_root, address)))

    def close(self) -> None:
        """Stop whatever is under way."""
        for task in self._tasks:
            task.cancel()

    async def _idle(self) -> None:
        """Until nothing is written or deleted any more."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _begin(self, order: SavepointOrder) -> None:
        noted = Note(order.id, order.options.target, order.stop)
        try:
            await self._in_thread(lambda: note(self._store, self._job, noted))
        except PenstockError as error:
            self.savepoint_failed(order, str(error))
        else:
            assert self._service is not None, "it was there when the savepoint was asked for"
            self._service.feed(SavepointAsked(self._service.now(), order))

    async def _forget(self, target: str) -> None:
        await self._quietly(lambda: forget_note(self._store, self._job, target))

    async def _drop(self, target: str) -> None:
        # The note stays until something has succeeded later: a task may still be writing.
        await self._quietly(lambda: drop_savepoint(self._open_root, target))

    def _drop_again(self) -> None:
        dropped, self._dropped = self._dropped, set()
        for target in dropped:
            self._start(self._drop_for_good(target))

    async def _drop_for_good(self, target: str) -> None:
        def work() -> None:
            drop_savepoint(self._open_root, target)
            forget_note(self._store, self._job, target)

        await self._quietly(work)

    async def _dispose(self, operation: Operation, address: str) -> None:
        reign = self.reign
        if reign is None:
            self._fail(operation, f"{address} is not deleted: this JobManager does not drive the job")
            return
        journal = reign.journal
        own = own_checkpoint(self._store, self._job, address, self._open_root)
        if own is not None:
            await self._dispose_of_checkpoint(operation, own, reign)
            return

        def dispose() -> str | None:
            journal.confirm()  # Whoever has come after us may need what we do not.
            needed = "it is pinned" if self._is_pinned(address) else needed_by(journal.state, address, self._open_root)
            if needed is None:
                dispose_of_savepoint(self._open_root, address)
            return needed

        try:
            needed = await self._in_thread(dispose)
        except PenstockError as error:
            self._fail(operation, str(error), error)
            return
        if needed is not None:
            self._fail(operation, f"{address} is not deleted: {needed}")
        else:
            self._operations.complete(operation)

    async def _dispose_of_checkpoint(self, operation: Operation, checkpoint: CheckpointId, reign: Reign) -> None:
        """One that is retained: the journal forgets it, then its files go, but those that others need."""
        service, retention = self._service, reign.retention
        refusal = "the job had ended before this JobManager came" if service is None else service.refusal
        if service is None or (refusal is not None and not service.has_ended):
            self._fail(operation, f"checkpoint {checkpoint} is not deleted now: {refusal}")
            return
        if checkpoint == retention.newest or checkpoint in retention.pinned:
            why = "it is pinned" if checkpoint in retention.pinned else "the job would be restored from it"
            self._fail(operation, f"checkpoint {checkpoint} is not deleted: {why}")
            return
        service.feed(Unwanted(service.now(), checkpoint))
        try:
            async with asyncio.timeout(_FORGET_TIMEOUT_S):
                while checkpoint in retention.retained:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            self._fail(operation, f"checkpoint {checkpoint} is not deleted yet: the journal could not be written to")
        else:
            self._operations.complete(operation)

    async def _resume(self, stopped_with: str | None) -> None:
        try:
            found = await self._in_thread(lambda: notes(self._store, self._job))
        except PenstockError:
            log.warning("savepoints that were being written could not be looked for", exc_info=True)
            return
        for noted in found:
            try:
                await self._settle(noted, stopped_with)
            except PenstockError:
                log.warning("an unfinished savepoint is left", extra={"path": noted.target}, exc_info=True)

    async def _settle(self, noted: Note, stopped_with: str | None) -> None:
        """A stop whose savepoint is there, but not its entry in the journal, did not happen: the job goes on."""
        if noted.trigger_id in self._savepoints:
            return
        operation, new = self._operations.begin("savepoint", noted.trigger_id)
        if not new:
            return
        complete = await self._in_thread(lambda: is_complete(self._open_root, noted.target))
        if complete and noted.stop is None:
            self._operations.complete(operation, location=noted.target)
        elif complete and noted.target == stopped_with:
            operation.location = noted.target
            self._stops[noted.trigger_id] = operation
        else:
            self._fail(operation, "the savepoint was not taken: the JobManager was lost meanwhile")
            await self._in_thread(lambda: drop_savepoint(self._open_root, noted.target))
        await self._forget(noted.target)

    def _own(self, addresses: Iterable[str]) -> frozenset[CheckpointId]:
        return own_checkpoints(self._store, self._job, addresses, self._open_root)

    def _is_pinned(self, address: str) -> bool:
        here = self._open_root(address).uri
        return any(self._open_root(address_of(pin)).uri == here for pin in self._pinned)

    def _fail(self, operation: Operation, message: str, error: Exception | None = None) -> None:
        kind = OperationFailure(message)
        if error is not None:
            kind = OperationFailure(message, f"{type(error).__module__}.{type(error).__qualname__}")
        self._operations.fail(operation, kind)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(None, work)

    async def _quietly(self, work: Callable[[], None]) -> None:
        """Best effort: what stays is found by a note, or by the next reign."""
        try:
            await self._in_thread(work)
        except (StorageError, ConfigurationError):
            log.warning("files of a savepoint could not be deleted", exc_info=True)

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("what was asked of the job could not be done", exc_info=task.exception())
