"""A harness that runs one operator by hand: records, watermarks, time and checkpoints are given by the test.

For our own tests, and for users' tests of their functions, sources and sinks. Everything runs on the calling thread;
state lies in the heap backend, snapshots in memory, time stands still unless it is moved.
"""

import heapq
import itertools
import queue
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.operators.operator import (
    Operator,
    OperatorContext,
    SnapshotContext,
    SourceDriver,
    SourceStatus,
    StateContext,
    Steps,
)
from penstock.records.batch import Batch
from penstock.records.key_groups import range_for
from penstock.state.handles import KeyedHandle, OperatorStateHandle, StateInfo
from penstock.state.open import open_backend
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.settings import StateSettings
from penstock.testing.snapshots import MemoryFiles


@final
class FakeClock:
    """Time that stands still until it is moved."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def monotonic(self) -> float:
        return self._now_ms / 1000

    def now_ms(self) -> int:
        return self._now_ms

    def move_to(self, now_ms: int) -> None:
        assert now_ms >= self._now_ms, "time never goes back"
        self._now_ms = now_ms


@final
class _Alarm:
    def __init__(self, callback: Callable[[int], Steps | None]) -> None:
        self.callback: Callable[[int], Steps | None] | None = callback

    def cancel(self) -> None:
        self.callback = None


@final
class FakeProcessingTime:
    """Timers on a FakeClock; they fire in `advance_to`."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._alarms: list[tuple[int, int, _Alarm]] = []
        self._order = itertools.count()

    def at(self, timestamp_ms: int, callback: Callable[[int], Steps | None]) -> _Alarm:
        alarm = _Alarm(callback)
        heapq.heappush(self._alarms, (timestamp_ms, next(self._order), alarm))
        return alarm

    def advance_to(self, now_ms: int) -> None:
        """Move the clock, stopping at each timer on the way."""
        while self._alarms and self._alarms[0][0] <= now_ms:
            timestamp_ms, _, alarm = heapq.heappop(self._alarms)
            if alarm.callback is not None:
                self._clock.move_to(max(timestamp_ms, self._clock.now_ms()))
                run(alarm.callback(timestamp_ms))
        self._clock.move_to(now_ms)

    @property
    def pending(self) -> int:
        """How many timers wait."""
        return sum(alarm.callback is not None for _, _, alarm in self._alarms)


@final
class FakeBackground:
    """Work is kept until `run_all`, and then done on the calling thread."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.waiting.append((work, done))

    def run_all(self) -> None:
        while self.waiting:
            work, done = self.waiting.pop(0)
            try:
                result = work()
            except Exception as error:
                done(None, error)
            else:
                done(result, None)


@final
@dataclass(slots=True)
class GatheredOutput:
    """What an operator has emitted. `events` has everything in order: batches, (tag, batch), ("watermark", t), ..."""

    batches: list[Batch] = field(default_factory=list)
    side_batches: dict[str, list[Batch]] = field(default_factory=dict)
    watermarks: list[int] = field(default_factory=list)
    statuses: list[bool] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)

    def batch(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.events.append(("records", batch.values))

    def side(self, tag: str, batch: Batch) -> None:
        self.side_batches.setdefault(tag, []).append(batch)
        self.events.append((f"side {tag}", batch.values))

    def watermark(self, timestamp_ms: int) -> None:
        self.watermarks.append(timestamp_ms)
        self.events.append(("watermark", timestamp_ms))

    def status(self, idle: bool) -> None:
        self.statuses.append(idle)
        self.events.append(("idle", idle))

    @property
    def values(self) -> list[Any]:
        return [value for batch in self.batches for value in batch.values]

    @property
    def timestamps(self) -> list[int | None]:
        """Of each record; None where its batch has none."""
        none: list[int | None] = [None]
        return [timestamp for batch in self.batches for timestamp in batch.timestamps or none * len(batch)]

    def side_values(self, tag: str) -> list[Any]:
        return [value for batch in self.side_batches.get(tag, ()) for value in batch.values]

    def clear(self) -> None:
        for gathered in (self.batches, self.watermarks, self.statuses, self.events):
            gathered.clear()
        self.side_batches.clear()


@final
@dataclass(frozen=True, slots=True)
class HarnessSnapshot:
    """A checkpoint of one operator; give it to the next harness as `restore`."""

    checkpoint: CheckpointId
    files: MemoryFiles
    keyed: KeyedHandle | None
    operator: OperatorStateHandle
    infos: tuple[StateInfo, ...]


def run(steps: Steps | None) -> int:
    """Take all steps; how many there were."""
    return 0 if steps is None else sum(1 for _ in steps)


@final
class OperatorHarness:
    """One operator, opened. A context manager: leaving it closes the operator."""

    def __init__(
        self,
        operator: Operator,
        *,
        keyed: bool = False,
        parallelism: int = 1,
        subtask: int = 0,
        max_parallelism: int = 128,
        configuration: dict[str, Any] | None = None,
        checkpointing: bool = True,
        restore: HarnessSnapshot | None = None,
        now_ms: int = 0,
        name: str = "operator",
    ) -> None:
        self.operator = operator
        self.output = GatheredOutput()
        self.clock = FakeClock(now_ms)
        self.processing_time = FakeProcessingTime(self.clock)
        self.background = FakeBackground()
        self.sent_events: list[bytes] = []
        self._mailbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._files = restore.files if restore is not None else MemoryFiles()
        self._folder = tempfile.TemporaryDirectory(prefix="penstock-harness-")
        self._closed = False
        texts = Configuration.from_dict(configuration or {})
        self.context = OperatorContext(
            job=JobId("0" * 32),
            job_name="harness",
            name=name,
            uid=OperatorUid(name),
            task_name=name,
            subtask=subtask,
            parallelism=parallelism,
            max_parallelism=max_parallelism,
            attempt=0,
            configuration=texts,
            job_parameters=texts.to_dict(),
            metrics=MetricTree(self.clock).root,
            clock=self.clock,
            processing_time=self.processing_time,
            background=self.background,
            mailbox=self._mailbox.put,
            directory=Path(self._folder.name),
            send_event=self.sent_events.append,
            checkpointing=checkpointing,
        )
        self.keyed = self._open_keyed(restore) if keyed else None
        try:
            self._start(restore)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "OperatorHarness":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def values(self) -> list[Any]:
        """All records emitted on the main output."""
        return self.output.values

    def process(
        self,
        values: Iterable[Any],
        timestamps: Iterable[int] | None = None,
        *,
        keys: Iterable[Any] | Callable[[Any], Any] | None = None,
        port: int = 0,
    ) -> None:
        """Give the operator one batch; `keys` are the records' keys, or the function that tells them."""
        records = list(values)
        key_list = None
        if callable(keys):
            key_list = [keys(value) for value in records]
        elif keys is not None:
            key_list = list(keys)
        elif self.keyed is not None:
            key_list = list(records)
        self.operator.process(Batch(records, None if timestamps is None else list(timestamps), key_list), port)

    def process_unkeyed(self, values: Iterable[Any], *, port: int = 0) -> None:
        """A batch without keys into an operator that is keyed: the broadcast side."""
        self.operator.process(Batch(list(values)), port)

    def watermark(self, timestamp_ms: int) -> int:
        """Advance event time; how many steps that took."""
        return run(self.operator.watermark(timestamp_ms))

    def advance_time(self, now_ms: int) -> None:
        """Move the clock to `now_ms`; timers on the way fire."""
        self.processing_time.advance_to(now_ms)

    def run_mailbox(self, timeout_s: float | None = None) -> bool:
        """Do what other threads left for this one; with a timeout, wait for the first. Whether there was anything."""
        found = False
        while True:
            try:
                call = self._mailbox.get(timeout=timeout_s) if timeout_s and not found else self._mailbox.get_nowait()
            except queue.Empty:
                return found
            found = True
            call()

    def poll(self, records_max: int = 1_000) -> SourceStatus:
        """Poll a source once."""
        assert isinstance(self.operator, SourceDriver)
        return self.operator.poll(records_max)

    def snapshot(self, checkpoint: int) -> HarnessSnapshot:
        """Take a checkpoint; it is neither confirmed nor aborted yet."""
        number = CheckpointId(checkpoint)
        self.operator.prepare_snapshot_pre_barrier(number)
        self.output.events.append(("barrier", checkpoint))
        self.operator.snapshot_state(SnapshotContext(checkpoint=number, timestamp_ms=self.clock.now_ms()))
        operator_state = self.state.snapshot(number).write(self._files)
        keyed_state = None
        if self.keyed is not None:
            snapshot = self.keyed.snapshot(number, form="full")
            while not snapshot.advance(1.0):
                pass
            keyed_state = snapshot.write(self._files)
        return HarnessSnapshot(number, self._files, keyed_state, operator_state, self.state.infos())

    def complete(self, checkpoint: int) -> None:
        """Confirm a checkpoint, and do the work that this sets off."""
        if self.keyed is not None:
            self.keyed.notify_complete(CheckpointId(checkpoint))
        self.operator.notify_checkpoint_complete(CheckpointId(checkpoint))
        self.background.run_all()

    def restored(self, checkpoint: int) -> None:
        """All tasks of the job stand, and this is the checkpoint that holds for all; do the work that this sets off."""
        self.operator.notify_restored(CheckpointId(checkpoint))
        self.background.run_all()

    def abort(self, checkpoint: int) -> None:
        if self.keyed is not None:
            self.keyed.notify_aborted(CheckpointId(checkpoint))
        self.operator.notify_checkpoint_aborted(CheckpointId(checkpoint))

    def finish(self) -> None:
        """All input has ended."""
        run(self.operator.finish())

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.operator.close()
            if self.keyed is not None:
                self.keyed.close()
            self._folder.cleanup()

    def _start(self, restore: HarnessSnapshot | None) -> None:
        self.state = OperatorStateBackend(
            operator_name=self.context.name,
            uid=self.context.uid,
            restore=[] if restore is None else [restore.operator],
            infos=() if restore is None else restore.infos,
            reader=self._files,
        )
        self.operator.setup(self.context, self.output)
        restored = None if restore is None else restore.checkpoint
        self.operator.initialize_state(
            StateContext(restored_checkpoint=restored, operator=self.state, keyed=self.keyed)
        )
        self.operator.open()

    def _open_keyed(self, restore: HarnessSnapshot | None) -> Any:
        context = self.context
        handle = None if restore is None else restore.keyed
        return open_backend(
            "hashmap",
            operator_name=context.name,
            uid=context.uid,
            key_groups=range_for(context.max_parallelism, context.parallelism, context.subtask),
            max_parallelism=context.max_parallelism,
            key_type=None,
            restore=[] if handle is None else [handle],
            reader=self._files,
            directory=context.directory,
            clock=self.clock,
            memory=None,
            settings=StateSettings(),
        )
