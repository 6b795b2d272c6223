"""Runs a source's reader in a task: splits in and out of checkpoints, timestamps and watermarks, wake-ups.

The task polls it while every output has credit, so a slow consumer stops the reader. What the reader emits is gathered
in segments by split and leaves as batches; each split has its own watermark and the lowest of them goes downstream.
"""

from collections import deque
from collections.abc import Callable
from itertools import chain
from typing import Any, Final, final

from penstock.base.ids import CheckpointId
from penstock.common.options.jobs import OBJECT_REUSE
from penstock.common.typeinfo import TypeInformation
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.operators.emission import Emission
from penstock.operators.failures import Failure, GuardedOutput, blame, blame_record, made_by
from penstock.operators.milliseconds import milliseconds
from penstock.operators.operator import (
    Cancellable,
    OperatorContext,
    Output,
    SnapshotContext,
    SourceDriver,
    SourceStatus,
    StateContext,
)
from penstock.operators.source_api import (
    InputStatus,
    ReaderOutput,
    Source,
    SourceOutput,
    SourceReader,
    SourceReaderContext,
    pack,
    unpack,
)
from penstock.operators.source_events import (
    CustomEvent,
    NoMoreSplits,
    SourceEvent,
    SplitRequested,
    SplitsAdded,
    decode,
    encode,
)
from penstock.operators.watermarks import Stamper, watermark_interval_ms
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP, Batch
from penstock.state.descriptors import ListStateDescriptor

_POLL_S: Final = 0.005
"""A reader is polled again and again for no longer than this."""


@final
class SourceOperator(SourceDriver):
    """The head of a chain that begins with `from_source`."""

    def __init__(
        self,
        source: Source[Any, Any],
        watermark_strategy: WatermarkStrategy | None = None,
        output_type: TypeInformation | None = None,
    ) -> None:
        self._source = source
        self._strategy = watermark_strategy
        self._output_type = output_type
        self._reader: SourceReader[Any] | None = None
        self._early_events: list[bytes] = []
        self._wake: Callable[[], None] | None = None
        self._woken = False
        self._ended = False
        self._alarm: Cancellable | None = None

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, GuardedOutput(output))
        self._emission = Emission(self._output_type, object_reuse=context.configuration.get(OBJECT_REUSE))
        try:
            self._records = _Records(self, self._emission, self._strategy)
        except Failure as error:
            blame(self, error, "making its watermark generator")
        self._interval_ms = watermark_interval_ms(context.configuration)

    def initialize_state(self, state: StateContext) -> None:
        self._splits = state.operator.get_list_state(ListStateDescriptor("_source.splits"))
        self._serializer = self._source.get_split_serializer()

    def open(self) -> None:
        try:
            restored = [unpack(self._serializer, packed) for packed in self._splits.get()]
            reader = self._source.create_reader(_ReaderContext(self.context, self._wake_up))
            self._reader = made_by("create_reader", reader, "SourceReader", "poll_next")
            if restored:
                reader.add_splits(restored)
            reader.start()
            for event in self._early_events:
                self._tell(reader, decode(event))
            self._early_events.clear()
        except Failure as error:
            blame(self, error, "opening the source's reader")
        if self._strategy is not None and self._interval_ms > 0:
            self._tick_later()

    def poll(self, records_max: int) -> SourceStatus:
        if self._ended:
            return SourceStatus.END
        assert self._reader is not None, "a source is opened before it is polled"
        self._woken = False
        records, poll_next, monotonic = self._records, self._reader.poll_next, self.context.clock.monotonic
        until = monotonic() + _POLL_S
        records.records_wanted = records_max
        try:
            status = poll_next(records)
            while status is InputStatus.MORE_AVAILABLE and records.count < records_max and monotonic() < until:
                records.records_wanted = records_max - records.count
                status = poll_next(records)
            if not isinstance(status, InputStatus):
                raise TypeError(f"poll_next() returns an InputStatus, not {status!r}")
            records.flush()
        except Failure as error:
            blame(self, error, "reading")
        if status is InputStatus.END_OF_INPUT:
            self.drain()
            return SourceStatus.END
        return SourceStatus.MORE if status is InputStatus.MORE_AVAILABLE else SourceStatus.NOTHING

    def drain(self) -> None:
        self._ended = True
        self._cancel_alarm()
        self._records.end()

    def on_available(self, wake: Callable[[], None]) -> None:
        if self._woken or (self._reader is not None and self._reader.is_available()):
            self._woken = False
            wake()
        else:
            self._wake = wake

    def handle_event(self, event: bytes) -> None:
        if self._reader is None:
            self._early_events.append(event)
            return
        try:
            self._tell(self._reader, decode(event))
        except Failure as error:
            blame(self, error, "handling an event of the enumerator")
        self._wake_up()

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        assert self._reader is not None
        try:
            splits = self._reader.snapshot_state(snapshot.checkpoint)
            self._splits.update([pack(self._serializer, split) for split in splits])
        except Failure as error:
            blame(self, error, "snapshot_state")

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        try:
            if self._reader is not None:
                self._reader.notify_checkpoint_complete(checkpoint)
        except Failure as error:
            blame(self, error, "notify_checkpoint_complete")

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        try:
            if self._reader is not None:
                self._reader.notify_checkpoint_aborted(checkpoint)
        except Failure as error:
            blame(self, error, "notify_checkpoint_aborted")

    def close(self) -> None:
        self._cancel_alarm()
        reader, self._reader = self._reader, None
        if reader is not None:
            try:
                reader.close()
            except Failure as error:
                blame(self, error, "close")

    def _tell(self, reader: SourceReader[Any], event: SourceEvent) -> None:
        match event:
            case SplitsAdded(splits):
                reader.add_splits([unpack(self._serializer, packed) for packed in splits])
            case NoMoreSplits():
                reader.notify_no_more_splits()
            case CustomEvent(custom):
                reader.handle_source_events(custom)
            case SplitRequested():
                raise AssertionError("only readers ask for splits")

    def _wake_up(self) -> None:
        """On the task's thread: there may be something to read."""
        wake, self._wake = self._wake, None
        if wake is None:
            self._woken = True
        else:
            wake()

    def _tick_later(self) -> None:
        at = self.context.clock.now_ms() + self._interval_ms
        self._alarm = self.context.processing_time.at(at, self._tick)

    def _tick(self, timestamp_ms: int) -> None:
        if not self._ended:
            self._records.periodic()
            self._tick_later()

    def _cancel_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


class _SplitOutput(SourceOutput):
    """Gathers one split's records in the common list, and keeps its watermark."""

    def __init__(self, records: "_Records", stamper: Stamper) -> None:
        self.records = records
        self.stamper = stamper

    def collect(self, value: Any, timestamp: int | None = None) -> None:
        values, timestamps = self.records.segment(self)
        emission = self.records.emission
        values.append(value if type(value) in emission.passes else emission.fix(value))
        timestamps.append(MIN_TIMESTAMP if timestamp is None else milliseconds(timestamp, "a timestamp"))
        self.records.count += 1

    def collect_batch(self, values: list[Any], timestamps: list[int] | None = None) -> None:
        if values:
            self.records.segments.append((self, values, timestamps))
            self.records.count += len(values)

    def emit_watermark(self, timestamp: int) -> None:
        self.records.flush()
        if self.stamper.raise_to(milliseconds(timestamp, "a watermark")):
            self.records.combine()

    def mark_idle(self) -> None:
        self.records.flush()
        self.stamper.idle = True
        self.records.combine()

    def mark_active(self) -> None:
        self.stamper.idle = False
        self.records.combine()


@final
class _Records(_SplitOutput, ReaderOutput):
    """The reader's output: all segments of one poll, in order, and the watermark over all splits."""

    def __init__(self, operator: "SourceOperator", emission: Emission, strategy: WatermarkStrategy | None) -> None:
        self._clock = operator.context.clock
        super().__init__(self, Stamper(strategy, self._clock.now_ms()))
        self._operator = operator
        self._output = operator.output
        self._strategy = strategy
        self._splits: dict[str, _SplitOutput] = {}
        self._used_directly = False
        self._idle = False
        self._watermark = MIN_TIMESTAMP
        self.emission = emission
        self.segments: list[tuple[_SplitOutput, list[Any], list[int] | None]] = []
        self.count = 0

    def create_output_for_split(self, split_id: str) -> SourceOutput:
        found = self._splits.get(split_id)
        if found is None:
            found = self._splits[split_id] = _SplitOutput(self, Stamper(self._strategy, self._clock.now_ms()))
        return found

    def release_output_for_split(self, split_id: str) -> None:
        if split_id in self._splits:
            self.flush()
            del self._splits[split_id]

    def segment(self, split: _SplitOutput) -> tuple[list[Any], list[int]]:
        """The lists that this split's next record goes to."""
        if self.segments:
            owner, values, timestamps = self.segments[-1]
            if owner is split and timestamps is not None:
                return values, timestamps
        fresh: tuple[list[Any], list[int]] = ([], [])
        self.segments.append((split, *fresh))
        return fresh

    def flush(self) -> None:
        """Hand on what was gathered, one batch for all segments that are not cut by a watermark."""
        segments, self.segments, self.count = self.segments, [], 0
        gathered = _Gathering(self._output)
        for owner, values, timestamps in segments:
            self._used_directly = self._used_directly or owner is self
            was_idle = owner.stamper.idle
            try:
                stamped, cuts = owner.stamper.stamp(values, _known(timestamps))
            except Failure as error:
                blame_record(self._operator, error, Batch(values), owner.stamper.records)
            if was_idle:
                self.combine()
            start = 0
            for position, _ in cuts:
                gathered.add(Batch(values, stamped).slice(start, position))
                gathered.flush()
                self.combine()
                start = position
            gathered.add(Batch(values, stamped) if start == 0 else Batch(values, stamped).slice(start, len(values)))
        gathered.flush()

    def periodic(self) -> None:
        now_ms = self._clock.now_ms()
        for output in (self, *self._splits.values()):
            output.stamper.periodic(now_ms)
        self.combine()

    def end(self) -> None:
        """Event time has ended; an idle source speaks once more, for nobody listens to an idle one."""
        if self._idle:
            self._output.status(False)
        self._output.watermark(MAX_WATERMARK)

    def combine(self) -> None:
        """Emit the lowest watermark of all that are not idle, if it has risen."""
        outputs: list[_SplitOutput] = list(self._splits.values())
        if self._used_directly or not outputs:
            outputs.append(self)
        active = [output.stamper.watermark for output in outputs if not output.stamper.idle]
        if bool(active) == self._idle:
            self._idle = not active
            self._output.status(self._idle)
        if active and (lowest := min(active)) > self._watermark:
            self._watermark = lowest
            self._output.watermark(lowest)


@final
class _Gathering:
    """Joins small batches to one."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._batches: deque[Batch] = deque()

    def add(self, batch: Batch) -> None:
        if len(batch):
            self._batches.append(batch)

    def flush(self) -> None:
        batches = self._batches
        if len(batches) == 1:
            self._output.batch(batches[0])
        elif batches:
            values = list(chain.from_iterable(batch.values for batch in batches))
            timestamps = None
            if any(batch.timestamps is not None for batch in batches):
                timestamps = [t for batch in batches for t in batch.timestamps or [MIN_TIMESTAMP] * len(batch)]
            self._output.batch(Batch(values, timestamps))
        batches.clear()


def _known(timestamps: list[int] | None) -> list[int] | None:
    """None where no record has a timestamp."""
    if timestamps is None or max(timestamps) == MIN_TIMESTAMP:
        return None
    return timestamps


@final
class _ReaderContext(SourceReaderContext):
    def __init__(self, context: OperatorContext, wake: Callable[[], None]) -> None:
        self._context = context
        self._wake = wake
        self.configuration = context.configuration
        self.metrics = context.metrics
        self.clock = context.clock

    def get_index_of_subtask(self) -> int:
        return self._context.subtask

    def get_parallelism(self) -> int:
        return self._context.parallelism

    def send_split_request(self) -> None:
        self._context.send_event(encode(SplitRequested(None)))

    def send_source_event(self, event: Any) -> None:
        self._context.send_event(encode(CustomEvent(event)))

    def wake(self) -> None:
        self._context.mailbox(self._wake)

    def wake_at(self, timestamp_ms: int) -> None:
        self._context.processing_time.at(timestamp_ms, lambda _: self._wake())

    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        def then(result: Any, error: BaseException | None) -> None:
            done(result, error)
            self._wake()

        self._context.background.run(work, then)
