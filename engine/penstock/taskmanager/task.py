"""One task: a chain with its inputs and outputs, run in short steps on the worker's loop.

A step is one callback of at most a few milliseconds. Between steps the loop reads sockets and hands over messages; so a
barrier, a timer or a cancellation waits for a step at most. A task does nothing while an output lacks credit.
Nothing here is done per record. Called by the worker; reports through `TaskReporter`.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from penstock.base.errors import CheckpointFailed, PeerLost
from penstock.base.ids import AttemptId, CheckpointId
from penstock.base.logs import CONTEXT
from penstock.base.steps import reached
from penstock.checkpoint.cadence import Failure
from penstock.common.metrics import MetricTree
from penstock.operators.chain import Chain
from penstock.operators.operator import SnapshotContext, SourceStatus, Steps
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP, Barrier, Batch, EndOfData, EndOfPartition, Watermark
from penstock.taskmanager.inputs import TaskInput
from penstock.taskmanager.outputs import TaskOutput
from penstock.taskmanager.pace import Pace, Pacing
from penstock.taskmanager.reporting import TaskReporter
from penstock.taskmanager.snapshots import RunningSnapshot, SnapshotTaker
from penstock.taskmanager.stopping import Stopping, drain
from penstock.taskmanager.times import TaskTimes

_NO_FIELDS: Final[Mapping[str, Any]] = {}

FINAL_CHECKPOINT: Final = CheckpointId(2**62)
"""Stands for 'the end' where checkpoints are disabled: two-phase commits commit with it."""


@final
class Task:
    """Runs one attempt of a subtask, from `start` to `finished`, `failed` or `cancel`."""

    def __init__(
        self,
        attempt: AttemptId,
        name: str,
        chain: Chain,
        inputs: TaskInput | None,
        output: TaskOutput,
        snapshots: SnapshotTaker,
        *,
        checkpointing: bool,
        restored_finished: bool,
        commit_only: bool,
        pacing: Pacing,
        log_fields: Mapping[str, Any],
        call_soon: Callable[[Callable[[], None]], object],
        connect: Callable[[], None],
        report: TaskReporter,
    ) -> None:
        """Nothing runs before `start`.

        Args:
            attempt, name, chain, inputs, output, snapshots: what the task is made of.
            checkpointing: whether a last checkpoint is to be waited for at the end.
            restored_finished: a checkpoint found it finished; it only passes the end on.
            commit_only: the job was stopped; it commits what the state holds, and ends.
            pacing: for how long it may hold the loop, and what part of that a snapshot may take.
            log_fields: who it is, on every log line of its code.
            call_soon: the loop's.
            connect: makes the outputs; called at the start, when every consumer is known to be there.
            report: where it says what became of it.
        """
        self.attempt = attempt
        self.name = name
        self.chain = chain
        self.inputs = inputs
        self.output = output
        self._snapshots = snapshots
        self._checkpointing = checkpointing
        self._restored_finished = restored_finished
        self._call_soon = call_soon
        self._connect = connect
        self._report = report
        self._scheduled = False
        self._running = False
        self._over = False
        self._mail: deque[Callable[[], None]] = deque()
        self._rest: tuple[Batch, int] | None = None
        self._pacing = pacing
        self._pace = Pace(pacing)
        self.log_fields = log_fields
        self._triggered: deque[Barrier | tuple[int, bytes]] = deque()
        """Barriers of a source that wait for their turn, and events of coordinators that came behind them."""
        self._stopping = Stopping(for_good=commit_only)
        self._source_waits = False
        self._ending: Steps | None = None
        self._ended_data = False
        self._leaving = False
        self._final_after: CheckpointId | None = None
        self._running_snapshots: deque[RunningSnapshot] = deque()
        """Oldest first: a checkpoint may begin while a large savepoint is still being serialised."""
        self.metrics: list[MetricTree] = []
        """By index in the chain: what users' functions measure."""
        self.times = TaskTimes()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._running and not self._over

    @property
    def watermark(self) -> int:
        """The watermark of the task's input; a source has none."""
        return MIN_TIMESTAMP if self.inputs is None else self.inputs.watermark

    @property
    def snapshots(self) -> SnapshotTaker:
        """For metrics."""
        return self._snapshots

    # Called by the worker.

    def start(self) -> None:
        """Let it run."""
        self._running = True
        self.times.start()
        self._connect()
        self.output.on_credit(self.kick)
        if self.inputs is not None:
            self.inputs.on_data(self.kick)
        if self._stopping.for_good:
            self.post(self._finish)
        elif self._restored_finished and self.inputs is None:
            self._ending = iter(())
        self.kick()

    def kick(self) -> None:
        """There may be something to do."""
        if not self._scheduled and self._running and not self._over:
            self._scheduled = True
            self.times.kicked()
            self._call_soon(self._step)

    def post(self, mail: Callable[[], None]) -> None:
        """Run this on the task's thread when the chain is between elements."""
        self._mail.append(mail)
        self.kick()

    def post_timer(self, mail: Callable[[], None]) -> None:
        """As `post`, for what may emit: nothing does once a stop has taken its snapshot."""
        self.post(lambda: self._stopping.hold(mail) if self._stopping.holds else mail())

    def trigger(self, barrier: Barrier) -> None:
        """A checkpoint begins here: this is a source, or all its inputs have ended."""
        if self._over or not self._running:
            error = CheckpointFailed(f"{self.name} is not running")
            self._report.declined(self.attempt, barrier.checkpoint, Failure.NOT_READY, error)
            return
        if self.inputs is None:
            self._triggered.append(barrier)
        else:
            self.inputs.trigger(barrier)
        self.kick()

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        """A checkpoint is durable."""
        if self._over:
            return
        try:
            self._snapshots.notify_complete(checkpoint)
            if not self._restored_finished:
                self.chain.notify_complete(checkpoint)
        except Exception as error:
            self.fail(error)
            return
        is_last = self._final_after is not None and checkpoint >= self._final_after
        if is_last or self._stopping.is_complete(checkpoint):
            self.post(self._finish)

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        """A checkpoint will never complete."""
        if self._over:
            return
        for snapshot in [found for found in self._running_snapshots if found.checkpoint == checkpoint]:
            snapshot.discard()
            self._running_snapshots.remove(snapshot)
        try:
            self._snapshots.notify_aborted(checkpoint)
            if not self._restored_finished:
                self.chain.notify_aborted(checkpoint)
        except Exception as error:
            self.fail(error)
            return
        if self._final_after == checkpoint:
            self._final_after = None
        self._mail.extend(self._stopping.given_up(checkpoint))
        if self.inputs is not None:
            self.inputs.abort(checkpoint)
        self.kick()

    def notify_restored(self, checkpoint: CheckpointId) -> None:
        """All tasks of the job stand: it goes back to no checkpoint before this one any more."""
        if not self._restored_finished:
            # As mail, because a task that waits for its commits looks after each whether it may end.
            self.post(lambda: self.chain.notify_restored(checkpoint))

    def handle_event(self, operator: int, payload: bytes) -> None:
        """An operator's coordinator has something to say."""
        if self._over:
            return
        if self._triggered or self._stopping.draining is not None:
            # A split that was dealt out behind a barrier must not get into that checkpoint: it would be read twice.
            self._triggered.append((operator, payload))
            return
        self._deliver_event(operator, payload)
        self.kick()

    def _deliver_event(self, operator: int, payload: bytes) -> None:
        try:
            self.chain.nodes[operator].operator.handle_event(payload)
        except Exception as error:
            self.fail(error)

    def channel_lost(self, reason: str) -> None:
        """A peer of this task is gone."""
        self.fail(PeerLost(reason))

    def fail(self, error: BaseException) -> None:
        """End badly."""
        if not self._over:
            self.close()
            self._report.failed(self.attempt, error)

    def close(self) -> None:
        """Stop, whatever is under way, and release everything. Idempotent."""
        if self._over:
            return
        self._over = True
        snapshots = [snapshot.discard for snapshot in self._running_snapshots]
        self._running_snapshots.clear()
        errors = [] if self._restored_finished else self.chain.close()
        releases = [*snapshots, self._snapshots.close, self.output.close]
        for release in (*releases, None if self.inputs is None else self.inputs.close):
            # Whatever is broken, the rest is released, and whoever closes goes on to say what became of the task.
            try:
                if release is not None:
                    release()
            except Exception as error:
                errors.append(error)
        for each in errors:
            self._snapshots.log_close_error(self.name, each)

    # The step.

    def _step(self) -> None:
        self._scheduled = False
        if self._over:
            return
        begun = self.times.begin()
        CONTEXT.fields = self.log_fields
        try:
            more = self._run_slice(begun)
        except BaseException as error:  # Else the loop would drop it, and what was not processed with it.
            self.fail(error)
            return
        finally:
            CONTEXT.fields = _NO_FIELDS
        self.times.end(begun)
        if more:
            self.kick()

    def _run_slice(self, begun: float) -> bool:
        """Work until the slice is over or nothing can be done; whether there is more to do at once."""
        deadline = begun + self._pacing.slice_s
        chain = self.chain
        chain.start_slice(deadline)
        if not self._may_run:
            return self._wait_for_credit(begun)
        self.times.unblock(begun)
        more = True
        while more and not self._over:
            if not chain.is_free and not chain.resume():
                break
            more = self._next()
            if time.perf_counter() >= deadline or not self._may_run:
                break
        if self._over:
            return False
        snapshot_waits = self._advance_snapshot(begun, more)
        if not more:
            self.output.flush()
        return (more or not chain.is_free or snapshot_waits) and (self._may_run or snapshot_waits)

    @property
    def _may_run(self) -> bool:
        # A task that stops emits nothing but its end, and its consumers may have gone before it.
        return self.output.has_credit or self._stopping.holds

    def _wait_for_credit(self, begun: float) -> bool:
        self.times.block(begun)
        # A source's barrier does not wait for credit: it is parked behind what is parked already.
        if self._triggered and self.chain.is_free and self._rest is None and self._stopping.is_free:
            self._begin_triggered()
        return self._advance_snapshot(begun, False)

    def _next(self) -> bool:
        """Do the next thing; False when there is nothing."""
        if self._mail:
            self._mail.popleft()()
            if self._leaving:
                self._finish()
            return True
        if self._rest is not None:
            batch, port = self._rest
            self._rest = None
            self._process(batch, port)
            return True
        if self._stopping.holds:
            return False
        if self._stopping.draining is not None:
            return self._advance_draining(*self._stopping.draining)
        if self._ending is not None:
            return self._advance_ending()
        if self._triggered:
            self._begin_triggered()
            return True
        if self.inputs is None:
            return False if self._ended_data else self._poll()
        return self._take()

    def _process(self, batch: Batch, port: int) -> None:
        """Run a batch through the chain, cut so that it fits the slice."""
        size = len(batch.values)
        fits = self._pace.fitting()
        if size > fits + (fits >> 2):
            self._rest = (batch.slice(fits, size), port)
            batch = batch.slice(0, fits)
            size = fits
        begun = time.perf_counter()
        self.chain.head.take(batch, port)
        took = (time.perf_counter() - begun) / size
        self._pace.learn(took, size)

    def _take(self) -> bool:
        inputs = self.inputs
        assert inputs is not None
        taken = inputs.take()
        if taken is None:
            return False
        element, port = taken
        if type(element) is Batch:
            if element.values and not self._restored_finished:
                self._process(element, port)
        elif type(element) is Barrier:
            self._on_barrier(element)
        elif type(element) is EndOfData:
            self._ending = iter(()) if self._restored_finished else self.chain.finish()
        elif not self._restored_finished:
            self.chain.head.take(element, port)
        return True

    def _poll(self) -> bool:
        source = self.chain.source
        assert source is not None
        if self._source_waits:
            return False
        head = self.chain.head
        before = head.records_out
        begun = time.perf_counter()
        status = source.poll(self._pace.wanted())
        emitted = head.records_out - before
        if emitted:
            took = (time.perf_counter() - begun) / emitted
            self._pace.learn(took, emitted)
        if status is SourceStatus.MORE:
            return True
        if status is SourceStatus.END:
            self._ending = self.chain.finish()
            return True
        self._source_waits = True
        source.on_available(self._source_available)
        return emitted > 0

    def _source_available(self) -> None:
        self._source_waits = False
        self.kick()

    # The end.

    def _advance_ending(self) -> bool:
        assert self._ending is not None
        for _ in self._ending:
            return False  # The chain is suspended; the next slice resumes it.
        self._ending = None
        self._ended_data = True
        if self._restored_finished:
            # Its operators are not open, so they cannot pass it on.
            self.output.control(Watermark(MAX_WATERMARK))
        self.output.control(EndOfData())
        self.output.flush()
        if not self._checkpointing:
            self.chain.prepare_snapshot(FINAL_CHECKPOINT)
            self.chain.snapshot_state(SnapshotContext(checkpoint=FINAL_CHECKPOINT, timestamp_ms=0))
            self.chain.notify_complete(FINAL_CHECKPOINT)
            self.post(self._finish)
        else:
            self._snapshots.data_ended(self.attempt)  # The last checkpoint may begin.
        return True

    def _finish(self) -> None:
        """The last checkpoint is complete: leave, once no commit is under way any more."""
        self._leaving = True
        if not self._over and self.chain.is_drained:
            errors = [] if self._restored_finished else self.chain.close()
            if errors:
                # As in Flink: what a function could not bring to its end is no good end of the task.
                self.fail(errors[0])
                return
            self.output.control(EndOfPartition())
            self.close()
            self._report.finished(self.attempt)

    # Checkpoints.

    def _begin_triggered(self) -> None:
        barrier = self._triggered.popleft()
        assert isinstance(barrier, Barrier), "events wait only behind barriers"
        self._on_barrier(barrier)
        if self._stopping.draining is None:
            self._deliver_waiting()

    def _deliver_waiting(self) -> None:
        while self._triggered and not isinstance(event := self._triggered[0], Barrier) and not self._over:
            self._triggered.popleft()
            self._deliver_event(*event)

    def _on_barrier(self, barrier: Barrier) -> None:
        if barrier.options.stop == "drain" and not self._ended_data and not self._restored_finished:
            self._stopping.draining = barrier, drain(self.chain)
        else:
            self._begin_snapshot(barrier)

    def _advance_draining(self, barrier: Barrier, steps: Steps) -> bool:
        for _ in steps:
            return False  # The chain is suspended; the next slice resumes it.
        self._stopping.draining = None
        self._begin_snapshot(barrier)
        self._deliver_waiting()
        return True

    def _begin_snapshot(self, barrier: Barrier) -> None:
        """The synchronous part: everything before the barrier is in, nothing after it."""
        reached("task.snapshot.sync")
        checkpoint = barrier.checkpoint
        if barrier.options.stop is not None:
            self._stopping.taken(barrier)
        begun = time.perf_counter()
        if not self._restored_finished:
            self.chain.prepare_snapshot(checkpoint)
        self.output.control(barrier)
        self.output.flush()
        try:
            if not self._restored_finished:
                self.chain.snapshot_state(SnapshotContext(checkpoint=checkpoint, timestamp_ms=barrier.timestamp_ms))
            snapshot = self._snapshots.begin(
                barrier,
                # One that has had all its data is not finished yet: restored, it commits what its state holds.
                finished=self._restored_finished,
                data_ended=self._ended_data,
                begun=begun,
                alignment_s=self.inputs.alignment_s if self.inputs is not None else 0.0,
                aligned_bytes=self.inputs.aligned_bytes if self.inputs is not None else 0,
            )
            self._running_snapshots.append(snapshot)
        except Exception as error:
            self._report.declined(self.attempt, checkpoint, Failure.TASK_ERROR, error)
            return
        if self._ended_data and self._final_after is None and barrier.options.savepoint is None:
            self._final_after = checkpoint

    def _advance_snapshot(self, begun: float, more: bool) -> bool:
        """Serialise a slice of a running snapshot; whether there is more of it."""
        running = self._running_snapshots
        if not running:
            self._snapshots.idle(self._pacing.slice_s if not more else 0.0)
            return False
        now = time.perf_counter()
        first = running[0]
        deadline = now + (self._pacing.snapshot_s(now - begun, first.spent_s) if more else self._pacing.slice_s)
        while running and running[0].advance(deadline - time.perf_counter()):
            running.popleft()
        first.spent_s += time.perf_counter() - now
        return bool(running)
