"""A task's part in checkpoints: snapshots of its operators' backends, written in a thread, then acknowledged."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, final

import msgspec

from penstock.base.errors import CheckpointFailed, StateTooLarge
from penstock.base.ids import AttemptId, CheckpointId, OperatorUid
from penstock.base.steps import reached
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.handles import OperatorSnapshot, SnapshotStats, TaskSnapshot, files_of
from penstock.common.options import checkpointing
from penstock.operators.operator import Background
from penstock.records.batch import Barrier, BarrierOptions, SavepointOptions
from penstock.state.backend import KeyedBackend, KeyedSnapshot, SnapshotForm, SnapshotWriter
from penstock.state.handles import StateInfo
from penstock.state.operator_state import OperatorStateBackend, OperatorStateSnapshot

log: Final = logging.getLogger(__name__)


class Acknowledger(Protocol):
    """Where the outcome of a snapshot goes. Calls come on the loop."""

    def acknowledged(self, attempt: AttemptId, checkpoint: CheckpointId, snapshot: TaskSnapshot) -> None:
        """All of it is durable."""

    def declined(self, attempt: AttemptId, checkpoint: CheckpointId, failure: Failure, error: BaseException) -> None:
        """It could not be taken or written."""

    def data_ended(self, attempt: AttemptId) -> None:
        """The task has had all its data and waits for a last checkpoint."""


@final
class OperatorStates(msgspec.Struct, kw_only=True):
    """The backends of one operator of the chain."""

    uid: OperatorUid
    name: str
    max_parallelism: int
    operator: OperatorStateBackend
    keyed: KeyedBackend | None


@final
class _Part(msgspec.Struct):
    states: OperatorStates
    operator: OperatorStateSnapshot
    keyed: KeyedSnapshot | None


@final
class RunningSnapshot(msgspec.Struct):
    """One checkpoint's snapshot of a task, between its barrier and its hand-over to the writing thread."""

    checkpoint: CheckpointId
    parts: list[_Part]
    ready: Callable[[], None]
    _at: int = 0
    spent_s: float = 0.0
    """Time that serialising has had."""

    def advance(self, budget_s: float) -> bool:
        """Serialise for about `budget_s`; True once it has gone to the thread."""
        deadline = time.perf_counter() + budget_s
        while self._at < len(self.parts):
            keyed = self.parts[self._at].keyed
            if keyed is not None and not keyed.advance(deadline - time.perf_counter()):
                return False
            self._at += 1
        self.ready()
        return True

    def discard(self) -> None:
        """The checkpoint is given up before it was written."""
        for part in self.parts:
            if part.keyed is not None:
                part.keyed.discard()


@final
class SnapshotTaker(msgspec.Struct, kw_only=True):
    """Takes the snapshots of one task."""

    attempt: AttemptId
    parallelism: int
    operators: Sequence[OperatorStates]
    background: Background
    new_writer: Callable[[CheckpointId, SavepointOptions | None], "DiscardableWriter"]
    report: Acknowledger
    state_bytes: int = 0
    """Size of what the newest snapshot refers to, and of that by operator."""
    operator_bytes: tuple[int, ...] = ()
    start_delay_ms: int = 0
    """From the newest checkpoint's beginning to its first barrier here."""
    _savepoint: "tuple[CheckpointId, DiscardableWriter] | None" = msgspec.field(default=None)
    _closed: bool = msgspec.field(default=False)
    _aborted: deque[CheckpointId] = msgspec.field(default_factory=lambda: deque(maxlen=64))

    def begin(
        self,
        barrier: Barrier,
        *,
        finished: bool,
        data_ended: bool,
        begun: float,
        alignment_s: float,
        aligned_bytes: int = 0,
    ) -> RunningSnapshot:
        """The synchronous part: fix what belongs to the checkpoint."""
        checkpoint, savepoint = barrier.checkpoint, barrier.options.savepoint
        form = _form(barrier.options)
        parts = [
            _Part(
                states,
                states.operator.snapshot(checkpoint),
                None if states.keyed is None else states.keyed.snapshot(checkpoint, form=form),
            )
            for states in self.operators
        ]
        synced = time.perf_counter()
        took_s = synced - begun + alignment_s
        self.start_delay_ms = delay_ms = max(0, int((time.time() - took_s) * 1000) - barrier.timestamp_ms)

        writers: list[DiscardableWriter] = []

        def write() -> TaskSnapshot:
            writers.append(self.new_writer(checkpoint, savepoint))
            if savepoint is not None:
                self._savepoint = checkpoint, writers[0]
            return self._write(
                writers[0],
                parts,
                finished,
                data_ended,
                delay_ms=delay_ms,
                sync_s=synced - begun,
                alignment_s=alignment_s,
                aligned_bytes=aligned_bytes,
                synced=synced,
            )

        def discard() -> None:
            for writer in writers:
                writer.discard_quietly()

        def done(result: Any, error: BaseException | None) -> None:
            if savepoint is not None:
                self._savepoint = None
            if self._closed:
                # Nobody is told of the files any more, so nobody else takes them away before the next sweep.
                self.background.run(discard, lambda *_: None)
                return
            if error is not None and checkpoint in self._aborted:
                # Its local files may have been taken away under the upload; nobody waits for it any more.
                log.debug("upload of an aborted checkpoint ended", extra={"checkpoint": checkpoint}, exc_info=error)
            elif error is not None:
                self.report.declined(self.attempt, checkpoint, Failure.TASK_ERROR, error)
            else:
                if savepoint is None:
                    self.state_bytes = result.stats.state_bytes
                    self.operator_bytes = tuple(map(_bytes_of, result.operators))
                self.report.acknowledged(self.attempt, checkpoint, result)

        return RunningSnapshot(checkpoint, parts, lambda: self.background.run(write, done))

    @property
    def savepoint_progress(self) -> tuple[CheckpointId, int] | None:
        """The savepoint that is being written, and how many bytes of it are."""
        savepoint = self._savepoint
        return None if savepoint is None else (savepoint[0], savepoint[1].bytes_written)

    def data_ended(self, attempt: AttemptId) -> None:
        """Pass on that only the last checkpoint is missing."""
        self.report.data_ended(attempt)

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        for states in self.operators:
            if states.keyed is not None:
                states.keyed.notify_complete(checkpoint)

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        self._aborted.append(checkpoint)
        for states in self.operators:
            if states.keyed is not None:
                states.keyed.notify_aborted(checkpoint)

    def idle(self, budget_s: float) -> bool:
        """Let backends do their housekeeping; True when there is nothing more to do."""
        done = True
        for states in self.operators:
            if states.keyed is not None:
                done = states.keyed.idle(budget_s) and done
        return done

    def close(self) -> None:
        """Release the backends."""
        if self._closed:
            return
        self._closed = True
        for states in self.operators:
            if states.keyed is not None:
                try:
                    states.keyed.close()
                except Exception as error:
                    self.log_close_error(f"{self.attempt} {states.name}", error)

    def log_close_error(self, task: str, error: BaseException) -> None:
        """A close failed where something else had ended the task already: said, but it changes nothing."""
        log.error("closing an operator failed", extra={"task": task}, exc_info=error)

    def _write(
        self,
        writer: "DiscardableWriter",
        parts: Sequence[_Part],
        finished: bool,
        data_ended: bool,
        *,
        delay_ms: int,
        sync_s: float,
        alignment_s: float,
        aligned_bytes: int,
        synced: float,
    ) -> TaskSnapshot:
        """In a thread: make everything durable."""
        reached("task.snapshot.upload")
        try:
            operators = tuple(self._write_part(part, writer) for part in parts)
        except BaseException:
            writer.discard_quietly()
            raise
        reached("task.snapshot.uploaded")
        files = [file for operator in operators for file in files_of(operator.keyed, operator.operator)]
        stats = SnapshotStats(
            state_bytes=sum(file.file.size for file in files),
            checkpointed_bytes=writer.bytes_written,
            alignment_ms=int(alignment_s * 1000),
            start_delay_ms=delay_ms,
            sync_ms=int(sync_s * 1000),
            async_ms=int((time.perf_counter() - synced) * 1000),
            processed_bytes=aligned_bytes,
        )
        subtask, attempt = self.attempt.subtask, self.attempt.attempt
        return TaskSnapshot(subtask, attempt, operators, finished=finished, data_ended=data_ended, stats=stats)

    def _write_part(self, part: _Part, writer: SnapshotWriter) -> OperatorSnapshot:
        states = part.states
        keyed_infos = states.keyed.infos() if states.keyed is not None else ()
        with _named(states.name, keyed_infos):
            keyed = () if part.keyed is None else (part.keyed.write(writer),)
        with _named(states.name, states.operator.infos()):
            operator = part.operator.write(writer)
        infos = states.operator.infos() + keyed_infos
        return OperatorSnapshot(
            uid=states.uid,
            subtask=self.attempt.subtask.index,
            parallelism=self.parallelism,
            max_parallelism=states.max_parallelism,
            keyed=keyed,
            operator=operator if operator.states else None,
            states=infos,
            key_type=states.keyed.key_info() if states.keyed is not None else None,
            name=states.name,
        )


def _form(options: BarrierOptions) -> SnapshotForm:
    if options.savepoint is None:
        return "anew" if options.anew else "incremental"
    return "canonical" if options.savepoint.format == "canonical" else "full"


def _bytes_of(snapshot: OperatorSnapshot) -> int:
    return sum(file.file.size for file in files_of(snapshot.keyed, snapshot.operator))


@contextmanager
def _named(operator: str, states: Sequence[StateInfo]) -> Iterator[None]:
    """Say of state that is too large for the JobManager which it is."""
    try:
        yield
    except StateTooLarge as error:
        names = ", ".join(repr(info.name) for info in states if not info.name.startswith("_timers."))
        raise CheckpointFailed(
            f"state {names} of operator {operator!r} has {error.found} bytes, but storage in the JobManager takes at"
            f" most {error.limit}: set {checkpointing.DIRECTORY.key} to a folder or bucket"
        ) from error


class DiscardableWriter(SnapshotWriter, Protocol):
    """A snapshot writer that counts, and can take back what nobody refers to yet."""

    bytes_written: int

    def discard_quietly(self) -> None:
        """Delete what was uploaded, as far as the store answers."""
