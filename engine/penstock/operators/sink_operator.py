"""Runs a Sink in a task: writer, and for two-phase sinks the committer.

At a checkpoint the writer flushes and prepares; what it prepared lies in operator state under the checkpoint's id and
is committed once that checkpoint, or a later one, is confirmed. What a restored task finds is committed when all tasks
of the job stand; it may have been committed before, so committers must bear seeing the same thing twice.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from penstock.base.ids import CheckpointId
from penstock.operators.failures import Failure, GuardedOutput, blame, made_by, shortened
from penstock.operators.operator import (
    Operator,
    OperatorContext,
    Output,
    SnapshotContext,
    StateContext,
    Steps,
)
from penstock.operators.sink_api import (
    CommitRequest,
    Committer,
    PrecommittingSinkWriter,
    Sink,
    SinkWriter,
    TwoPhaseCommittingSink,
    WriterInitContext,
)
from penstock.operators.source_api import pack, unpack
from penstock.records.batch import MIN_TIMESTAMP, Batch
from penstock.state.descriptors import ListStateDescriptor

log = logging.getLogger(__name__)

_RETRY_DELAY_MS: Final = 1_000
_RETRY_DELAY_MAX_MS: Final = 60_000


@final
class _WriterInit(WriterInitContext):
    def __init__(self, context: OperatorContext, restored: CheckpointId | None) -> None:
        self._context = context
        self.configuration = context.configuration
        self.metrics = context.metrics
        self.clock = context.clock
        self.processing_time = context.processing_time
        self.directory = context.directory
        self.job_id = context.job
        self.operator_uid = context.uid
        self.restored_checkpoint_id = restored

    def get_index_of_subtask(self) -> int:
        return self._context.subtask

    def get_number_of_parallel_subtasks(self) -> int:
        return self._context.parallelism

    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._context.background.run(work, done)


@final
class _WriteContext(SinkWriter.Context):
    __slots__ = ("current", "now")

    def __init__(self) -> None:
        self.now = self.current = MIN_TIMESTAMP

    def timestamp(self) -> int | None:
        return None if self.now == MIN_TIMESTAMP else self.now

    def current_watermark(self) -> int:
        return self.current


@final
class SinkOperator(Operator):
    """The last operator of a chain that ends in `sink_to`."""

    keeps_time_when_stopped = True  # Commits are tried again by the clock.

    def __init__(self, sink: Sink[Any]) -> None:
        self._sink = sink
        self._writer: SinkWriter[Any] | None = None
        self._commits: _Commits | None = None
        self._finished = False

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, GuardedOutput(output))
        self._write_context = _WriteContext()

    def initialize_state(self, state: StateContext) -> None:
        self._init = _WriterInit(self.context, state.restored_checkpoint)
        self._writer_state = state.operator.get_list_state(ListStateDescriptor("_sink.writer"))
        self._committable_state = state.operator.get_list_state(ListStateDescriptor("_sink.committables"))

    def open(self) -> None:
        try:
            if isinstance(self._sink, TwoPhaseCommittingSink):
                self._commits = _Commits(self, self._sink, self._init)
                self._commits.recover(self._committable_state.get())
            if self.context.commit_only:
                return
            serializer = self._sink.get_writer_state_serializer()
            restored = [unpack(serializer, packed) for packed in self._writer_state.get()]
            if restored:
                writer = self._sink.restore_writer(self._init, restored)
            else:
                writer = self._sink.create_writer(self._init)
            self._writer = made_by("create_writer", writer, "SinkWriter", "write")
        except Failure as error:
            blame(self, error, "opening the sink")

    def process(self, batch: Batch, port: int) -> None:
        assert self._writer is not None
        context, write = self._write_context, self._writer.write
        doing = "write"
        try:
            if self._writer.write_batch(batch.values, batch.timestamps, context):
                return
            timestamps: Sequence[int] = batch.timestamps or [MIN_TIMESTAMP] * len(batch)
            for value, context.now in zip(batch.values, timestamps, strict=True):
                doing = "record"
                write(value, context)
        except Failure as error:
            blame(self, error, doing if doing == "write" else f"record {shortened(value)}")

    def watermark(self, timestamp_ms: int) -> Steps | None:
        assert self._writer is not None
        self._write_context.current = timestamp_ms
        try:
            self._writer.write_watermark(timestamp_ms)
        except Failure as error:
            blame(self, error, "write_watermark")
        self.output.watermark(timestamp_ms)
        return None

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        assert self._writer is not None
        try:
            self._writer.flush(self._finished)
            if self._commits is not None and isinstance(self._writer, PrecommittingSinkWriter):
                self._commits.prepared(checkpoint, self._writer.prepare_commit())
        except Failure as error:
            blame(self, error, "preparing a checkpoint")

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        assert self._writer is not None
        serializer = self._sink.get_writer_state_serializer()
        try:
            state = self._writer.snapshot_state(snapshot.checkpoint)
            self._writer_state.update([pack(serializer, element) for element in state])
            if self._commits is not None:
                self._committable_state.update(self._commits.snapshot())
        except Failure as error:
            blame(self, error, "snapshot_state")

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        if self._commits is not None:
            self._commits.confirmed(checkpoint)

    def notify_restored(self, checkpoint: CheckpointId) -> None:
        if self._commits is not None:
            self._commits.confirmed(checkpoint)

    def finish(self) -> Steps | None:
        assert self._writer is not None
        self._finished = True
        try:
            self._writer.flush(True)
        except Failure as error:
            blame(self, error, "flush")
        return None

    def drained(self) -> bool:
        return self._commits is None or self._commits.drained()

    def close(self) -> None:
        writer, commits = self._writer, self._commits
        self._writer = self._commits = None
        try:
            if writer is not None:
                writer.close()
        except Failure as error:
            blame(self, error, "close")
        finally:
            if commits is not None:
                commits.close()


@final
class _Commits:
    """What was prepared, what may be committed, and the one call to the committer that is under way."""

    def __init__(self, operator: Operator, sink: TwoPhaseCommittingSink[Any, Any], init: WriterInitContext) -> None:
        self._operator = operator
        self._context = operator.context
        made = made_by("create_committer", sink.create_committer(init), "Committer", "commit")
        self._committer: Committer[Any] = made
        self._serializer = sink.get_committable_serializer()
        self._restored = CheckpointId(init.restored_checkpoint_id or 0)
        self._prepared: deque[tuple[CheckpointId, list[CommitRequest[Any]]]] = deque()
        """By checkpoint, oldest first."""
        self._confirmed: deque[tuple[CheckpointId, CommitRequest[Any]]] = deque()
        self._under_way: list[tuple[CheckpointId, CommitRequest[Any]]] = []
        self._waiting = False
        self._closed = False

    def recover(self, restored: Sequence[Any]) -> None:
        """Take over what a checkpoint held, ahead of everything new, until it is confirmed once more.

        Another task may find its own part of it damaged. Then that one's region falls back to the checkpoint before,
        with the whole job's next restart all others do, and what this one held is made again.
        """
        for checkpoint, packed in sorted(restored, key=lambda entry: entry[0]):
            request = CommitRequest(unpack(self._serializer, packed))
            # What was made at the end, where no checkpoint is waited for, bears none's id; but this one held it.
            self._prepared.append((min(checkpoint, self._restored), [request]))

    def prepared(self, checkpoint: CheckpointId, committables: Sequence[Any]) -> None:
        if committables:
            self._prepared.append((checkpoint, [CommitRequest(committable) for committable in committables]))

    def snapshot(self) -> list[Any]:
        """Everything that is not known to be committed."""
        known = [*self._under_way, *self._confirmed]
        known += [(checkpoint, request) for checkpoint, requests in self._prepared for request in requests]
        return [(checkpoint, pack(self._serializer, request.committable)) for checkpoint, request in known]

    def confirmed(self, checkpoint: CheckpointId) -> None:
        """A notification may be missed, so this one speaks for those before it."""
        while self._prepared and self._prepared[0][0] <= checkpoint:
            made_in, requests = self._prepared.popleft()
            self._confirmed.extend((made_in, request) for request in requests)
        self._go_on()

    def drained(self) -> bool:
        """What was restored must be gone too: a task that only commits has nothing else to wait for."""
        holds_restored = bool(self._prepared) and self._prepared[0][0] <= self._restored
        return not (holds_restored or self._confirmed or self._under_way)

    def close(self) -> None:
        self._closed = True
        self._committer.close()

    def _go_on(self) -> None:
        """Commit what may be committed, one call at a time, in order."""
        if self._under_way or self._waiting or not self._confirmed or self._closed:
            return
        self._under_way = list(self._confirmed)
        self._confirmed.clear()
        requests = [request for _, request in self._under_way]
        if self._committer.blocking:
            self._context.background.run(lambda: self._committer.commit(requests), self._done)
            return
        try:
            self._committer.commit(requests)
        except Failure as error:
            self._done(None, error)
        else:
            self._done(None, None)

    def _done(self, result: Any, error: BaseException | None) -> None:
        if self._closed:
            return
        if error is not None:
            blame(self._operator, error, "commit")
        self._settle()
        self._go_on()

    def _settle(self) -> None:
        """Look at what the committer said about each request."""
        again: list[tuple[CheckpointId, CommitRequest[Any]]] = []
        settled, self._under_way = self._under_way, []
        for checkpoint, request in settled:
            if request.outcome == "failed":
                self._under_way = settled
                failed = request.error or RuntimeError("the committer gave no reason")
                blame(self._operator, failed, f"commit of {shortened(request.committable)}")
            if request.outcome == "retry":
                again.append((checkpoint, CommitRequest(request.committable, request.number_of_retries + 1)))
            elif request.outcome == "dropped":
                log.warning(
                    "output can never be committed and is dropped",
                    extra={"operator": self._context.name, "checkpoint": checkpoint, "reason": str(request.error)},
                )
        if again:
            self._confirmed.extendleft(reversed(again))
            self._wait(max(request.number_of_retries for _, request in again))

    def _wait(self, retries: int) -> None:
        self._waiting = True
        delay_ms = min(_RETRY_DELAY_MAX_MS, _RETRY_DELAY_MS * 2 ** min(retries - 1, 10))
        self._context.processing_time.at(self._context.clock.now_ms() + delay_ms, self._retry)

    def _retry(self, timestamp_ms: int) -> None:
        self._waiting = False
        self._go_on()
