"""Operators that users write themselves, a record at a time, with Flink's names: for `DataStream.transform`.

A user subclasses OneInputStreamOperator or TwoInputStreamOperator; `UserOperator` adapts it to the engine's batches.
What it emits is gathered over a batch and copied like everything that user code emits.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import Any, final

from penstock.base.errors import StateError
from penstock.base.ids import CheckpointId
from penstock.common.metrics import MetricGroup
from penstock.common.options.jobs import OBJECT_REUSE
from penstock.common.typeinfo import TypeInformation
from penstock.operators.checkpointed import FunctionSnapshotContext
from penstock.operators.emission import FLUSH_RECORDS, Emission, SideOutputs, no_timers
from penstock.operators.failures import Failure, GuardedOutput, blame, shortened
from penstock.operators.function_contexts import OperatorRuntimeContext, SnapshotContextOfFunction, keyed_state
from penstock.operators.functions import OutputTag, RuntimeContext, TimerService
from penstock.operators.milliseconds import milliseconds
from penstock.operators.operator import (
    Operator,
    OperatorContext,
    Output,
    SnapshotContext,
    StateContext,
    Steps,
)
from penstock.operators.process import NO_KEY, KeyedTimerService, UnkeyedTimerService, end_key
from penstock.operators.timers import Timers
from penstock.records.batch import MIN_TIMESTAMP, Batch
from penstock.state.api import OperatorStateStore
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import StateDescriptor


@final
class StreamRecord:
    """A value and its timestamp, if it has one."""

    __slots__ = ("timestamp", "value")

    def __init__(self, value: Any, timestamp: int | None = None) -> None:
        self.value = value
        self.timestamp = timestamp if timestamp is None else milliseconds(timestamp, "a timestamp")

    def get_value(self) -> Any:
        return self.value

    def has_timestamp(self) -> bool:
        return self.timestamp is not None

    def get_timestamp(self) -> int:
        """-2**63 if it has none."""
        return MIN_TIMESTAMP if self.timestamp is None else self.timestamp

    def replace(self, value: Any) -> "StreamRecord":
        """Another value with the same timestamp."""
        return StreamRecord(value, self.timestamp)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StreamRecord) and other.value == self.value and other.timestamp == self.timestamp

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StreamRecord({self.value!r}, {self.timestamp!r})"


@final
class RecordOutput:
    """Where a user's operator emits; `self.output` in it."""

    def __init__(self, output: Output, output_type: TypeInformation | None, *, object_reuse: bool) -> None:
        self._output = output
        self._emission = Emission(output_type, object_reuse=object_reuse)
        self._sides = SideOutputs(output, object_reuse=object_reuse)
        self._values: list[Any] = []
        self._timestamps: list[int] = []

    def collect(self, record: StreamRecord) -> None:
        """Emit a record."""
        if type(record) is not StreamRecord:
            raise TypeError(
                f"collect() takes a StreamRecord, as StreamRecord(value) or record.replace(value), not {record!r}"
            )
        self._values.append(self._emission.one(record.value))
        self._timestamps.append(record.get_timestamp())
        if len(self._values) >= FLUSH_RECORDS:
            self.flush()

    def collect_side(self, tag: OutputTag, record: StreamRecord) -> None:
        """Emit a record on a side output."""
        self._sides.timestamp = record.get_timestamp()
        self._sides.emit(tag, record.value)

    def emit_watermark(self, timestamp: int) -> None:
        """Emit a watermark after all records emitted so far."""
        self.flush()
        self._output.watermark(milliseconds(timestamp, "a watermark"))

    def flush(self) -> None:
        """Hand on what was gathered. The engine calls it after each batch."""
        if self._values:
            values, timestamps = self._values, self._timestamps
            self._values, self._timestamps = [], []
            known = max(timestamps) > MIN_TIMESTAMP
            self._output.batch(Batch(values, timestamps if known else None))
        self._sides.flush()


class StreamOperator(ABC):
    """Base of users' operators. The methods of an operator's life do nothing unless overridden."""

    output: RecordOutput
    runtime_context: RuntimeContext
    timer_service: TimerService
    """Timers of the current key; `on_event_time` and `on_processing_time` are called when they fire."""
    _runtime: "UserOperator"

    def setup(self) -> None:
        """First of all; there is no state yet."""

    def initialize_state(self, context: "StateInitializationContext") -> None:
        """Register operator state and read what was restored."""

    def open(self) -> None:
        """Before the first record."""

    def process_watermark(self, timestamp: int) -> None:
        """The watermark has advanced and timers have fired; by default it is emitted."""
        self.output.emit_watermark(timestamp)

    def on_event_time(self, timestamp: int) -> None:
        """An event-time timer of the current key has fired."""

    def on_processing_time(self, timestamp: int) -> None:
        """A processing-time timer of the current key has fired."""

    def prepare_snapshot_pre_barrier(self, checkpoint_id: int) -> None:
        """May still emit: it goes before the barrier."""

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        """Bring operator state up to date."""

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The checkpoint is durable."""

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""

    def finish(self) -> None:
        """All input has ended well: emit what is left."""

    def close(self) -> None:
        """Release resources; also called after a failure."""

    def get_current_key(self) -> Any:
        """The key of the record, or of the timer, that is being processed."""
        return self._runtime.current_key()

    def get_keyed_state(self, descriptor: StateDescriptor) -> Any:
        """The handle of a state of the current key; from `initialize_state` on."""
        if not self._runtime.has_state:
            raise StateError("there is no state yet in setup(): ask for it in initialize_state() or open()")
        return keyed_state(self._runtime.keyed, descriptor)

    @property
    def metrics(self) -> MetricGroup:
        return self._runtime.context.metrics


class OneInputStreamOperator(StreamOperator):
    """An operator on one stream."""

    @abstractmethod
    def process_element(self, record: StreamRecord) -> None: ...


class TwoInputStreamOperator(StreamOperator):
    """An operator on two connected streams."""

    @abstractmethod
    def process_element1(self, record: StreamRecord) -> None: ...

    @abstractmethod
    def process_element2(self, record: StreamRecord) -> None: ...


@final
class StateInitializationContext:
    """What `StreamOperator.initialize_state` is given."""

    def __init__(self, state: StateContext) -> None:
        self._state = state

    def is_restored(self) -> bool:
        return self._state.is_restored

    def get_restored_checkpoint_id(self) -> int | None:
        return self._state.restored_checkpoint

    def get_operator_state_store(self) -> OperatorStateStore:
        return self._state.operator


@final
class UserOperator(Operator):
    """The engine's side of a user's operator."""

    def __init__(self, operator: StreamOperator, output_type: TypeInformation | None = None) -> None:
        self._operator = operator
        self._output_type = output_type
        self.keyed: KeyedBackend | None = None
        self._timers: Timers | None = None
        self._opened = False
        self.has_state = False

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, GuardedOutput(output))
        object_reuse = context.configuration.get(OBJECT_REUSE)
        user = self._operator
        user._runtime = self
        user.output = self._records = RecordOutput(self.output, self._output_type, object_reuse=object_reuse)
        self._service = UnkeyedTimerService(context)
        user.timer_service = self._service
        self._guarded("setup", user.setup)

    def initialize_state(self, state: StateContext) -> None:
        self.keyed = state.keyed
        self.has_state = True
        user = self._operator
        if state.keyed is not None:
            self._timers = Timers(
                self.context,
                state.keyed,
                on_event_time=lambda timestamp, _: self._fire(user.on_event_time, timestamp),
                on_processing_time=lambda timestamp, _: self._fire(user.on_processing_time, timestamp),
                flush=self._records.flush,
            )
            self._service = KeyedTimerService(self.context, self._timers)
            user.timer_service = self._service
        user.runtime_context = OperatorRuntimeContext(self.context, self.keyed)
        self._guarded("initialize_state", user.initialize_state, StateInitializationContext(state))

    def open(self) -> None:
        self._opened = True
        self._guarded("open", self._operator.open)
        if self._timers is not None:
            self._timers.start()

    def process(self, batch: Batch, port: int) -> None:
        user = self._operator
        if isinstance(user, TwoInputStreamOperator):
            call = user.process_element2 if port else user.process_element1
        else:
            assert isinstance(user, OneInputStreamOperator)
            call = user.process_element
        keys: Iterable[Any] = repeat(NO_KEY, len(batch))
        if self.keyed is not None and batch.keys is not None:
            self.keyed.prepare(batch.keys)
            keys = batch.keys
        timestamps: Iterable[int] = batch.timestamps or repeat(MIN_TIMESTAMP, len(batch))
        value: Any = None
        try:
            for key, value, timestamp in zip(keys, batch.values, timestamps, strict=True):
                if self.keyed is not None:
                    self.keyed.current.key = key
                call(StreamRecord(value, None if timestamp == MIN_TIMESTAMP else timestamp))
        except Failure as error:
            blame(self, error, f"record {shortened(value)}")
        self._records.flush()

    def watermark(self, timestamp_ms: int) -> Steps | None:
        self._service.watermark = timestamp_ms
        firing = None if self._timers is None else self._timers.advance(timestamp_ms)
        if firing is not None:
            return self._fire_then_pass(firing, timestamp_ms)
        self._guarded("process_watermark", self._operator.process_watermark, timestamp_ms)
        return None

    def key_ended(self) -> Steps | None:
        return None if self._timers is None else end_key(self._timers, self._service)

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        self._guarded("prepare_snapshot_pre_barrier", self._operator.prepare_snapshot_pre_barrier, checkpoint)

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        self._guarded("snapshot_state", self._operator.snapshot_state, SnapshotContextOfFunction(snapshot))

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        self._guarded("notify_checkpoint_complete", self._operator.notify_checkpoint_complete, checkpoint)

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        self._guarded("notify_checkpoint_aborted", self._operator.notify_checkpoint_aborted, checkpoint)

    def finish(self) -> Steps | None:
        if self._timers is not None:
            self._timers.close()
        self._guarded("finish", self._operator.finish)
        return None

    def close(self) -> None:
        if self._timers is not None:
            self._timers.close()
        if self._opened:
            self._opened = False
            self._guarded("close", self._operator.close)

    def current_key(self) -> Any:
        if self.keyed is None:
            raise no_timers("the current key")
        return self.keyed.current.key

    def _fire_then_pass(self, firing: Steps, timestamp_ms: int) -> Iterator[None]:
        yield from firing
        self._guarded("process_watermark", self._operator.process_watermark, timestamp_ms)

    def _fire(self, call: Any, timestamp: int) -> None:
        try:
            call(timestamp)
        except Failure as error:
            key = shortened(self.current_key())
            blame(self, error, f"timer {timestamp} of key {key}")

    def _guarded(self, doing: str, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Failure as error:
            blame(self, error, doing)
        self._records.flush()
