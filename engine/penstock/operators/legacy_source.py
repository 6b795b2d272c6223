"""SourceFunction: a source of the old kind, a loop of the user's in a thread of its own.

The thread puts records into a bounded buffer and the task takes them out, so a slow consumer stops it in `collect`.
What it emits and what it changes while it holds the checkpoint lock are one step to a checkpoint: the task takes that
lock at the barrier, hands on all that was emitted before it, and gives it back when the function's state is in.
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, final

from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import TypeInformation
from penstock.operators.failures import Failure, blame
from penstock.operators.function_operator import FunctionOperator
from penstock.operators.functions import SourceFunction
from penstock.operators.milliseconds import milliseconds
from penstock.operators.operator import (
    OperatorContext,
    Output,
    SnapshotContext,
    SourceDriver,
    SourceStatus,
)
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP, Batch

_BUFFER_RECORDS_MAX: Final = 4_096


@final
class _Cancelled(BaseException):
    """Raised in the user's thread out of `collect` when the task has ended."""


@final
class CheckpointLock:
    """A lock that the user's thread takes often and the task seldom: the task goes first when it asks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = 0
        self._task_waits = False

    def __enter__(self) -> None:
        self._take(for_task=False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.give_back()

    def take_for_task(self) -> None:
        """Wait until the user's thread has left what it does under the lock."""
        self._take(for_task=True)

    def give_back(self) -> None:
        with self._changed:
            self._depth -= 1
            if self._depth == 0:
                self._owner = None
                self._changed.notify_all()

    @property
    def task_waits(self) -> bool:
        """Whether the task wants it: then nothing that holds it may wait for the task."""
        return self._task_waits

    def _take(self, *, for_task: bool) -> None:
        me = threading.get_ident()
        with self._changed:
            if self._owner == me:
                self._depth += 1
                return
            if for_task:
                self._task_waits = True
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._owner is None and (for_task or not self._task_waits))
            if for_task:
                self._task_waits = False
            self._owner, self._depth = me, 1


@final
class _Buffer:
    """From the user's thread to the task: records and watermarks, in order."""

    def __init__(self, lock: CheckpointLock, arrived: Callable[[], None]) -> None:
        self._lock = lock
        self._arrived = arrived
        self._changed = threading.Condition()
        self._entries: deque[tuple[str, Any, int]] = deque()
        self._cancelled = False

    def put(self, kind: str, value: Any, timestamp: int) -> None:
        with self._changed:
            while len(self._entries) >= _BUFFER_RECORDS_MAX and not self._cancelled and not self._lock.task_waits:
                # The task does not say when it begins to wait for the lock, so look again now and then.
                self._changed.wait(0.01)
            if self._cancelled:
                raise _Cancelled
            self._entries.append((kind, value, timestamp))
            first = len(self._entries) == 1
        if first:
            self._arrived()

    def take(self, count: int) -> list[tuple[str, Any, int]]:
        with self._changed:
            taken = [self._entries.popleft() for _ in range(min(count, len(self._entries)))]
            self._changed.notify_all()
            return taken

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._entries)


@final
class _SourceContext(SourceFunction.SourceContext):
    def __init__(self, buffer: _Buffer, lock: CheckpointLock, record: Callable[[Any], Any]) -> None:
        self._buffer = buffer
        self._lock = lock
        self._record = record

    def collect(self, value: Any) -> None:
        self.collect_with_timestamp(value, MIN_TIMESTAMP)

    def collect_with_timestamp(self, value: Any, timestamp: int) -> None:
        with self._lock:
            self._buffer.put("record", self._record(value), milliseconds(timestamp, "a timestamp"))

    def emit_watermark(self, timestamp: int) -> None:
        with self._lock:
            self._buffer.put("watermark", None, milliseconds(timestamp, "a watermark"))

    def mark_as_temporarily_idle(self) -> None:
        with self._lock:
            self._buffer.put("idle", None, 0)

    def get_checkpoint_lock(self) -> CheckpointLock:
        return self._lock


@final
class LegacySource(FunctionOperator, SourceDriver):
    """The head of a chain that begins with `add_source`."""

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        super().__init__(function, output_type)
        self._lock = CheckpointLock()
        self._locked = False
        self._idle = False
        self._watermark = MIN_TIMESTAMP
        self._ended = False
        self._returned = False
        self._error: BaseException | None = None
        self._wake: Callable[[], None] | None = None
        self._woken = False
        self._thread: threading.Thread | None = None

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._buffer = _Buffer(self._lock, self._call_task)

    def open(self) -> None:
        super().open()
        self._thread = threading.Thread(target=self._run, name=f"source-{self.context.name}", daemon=True)
        self._thread.start()

    def poll(self, records_max: int) -> SourceStatus:
        if self._ended:
            return SourceStatus.END
        self._woken = False
        returned = self._returned
        self._emit(self._buffer.take(records_max))
        if len(self._buffer):
            return SourceStatus.MORE
        if not returned:
            return SourceStatus.NOTHING
        if self._error is not None:
            blame(self, self._error, "run")
        self._end_event_time()
        return SourceStatus.END

    def drain(self) -> None:
        # Held until the state is in: what the function emitted since would belong to nothing.
        self._lock_out()
        self._end_event_time()

    def on_available(self, wake: Callable[[], None]) -> None:
        if self._woken or len(self._buffer) or self._returned:
            self._woken = False
            wake()
        else:
            self._wake = wake

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        """Everything emitted so far goes before the barrier, and nothing more until the state is in."""
        self._lock_out()

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        try:
            super().snapshot_state(snapshot)
        finally:
            self._unlock()

    def close(self) -> None:
        thread = self._thread
        self._buffer.cancel()
        self._unlock()
        try:
            if thread is not None and thread.is_alive():
                self.function.cancel()
        except Failure as error:
            blame(self, error, "cancel")
        finally:
            if thread is not None:
                thread.join(timeout=5.0)
            super().close()

    def _lock_out(self) -> None:
        """Have the user's thread wait, and emit all that it has emitted so far."""
        if not self._locked:
            self._lock.take_for_task()
            self._locked = True
            self._emit(self._buffer.take(len(self._buffer)))

    def _end_event_time(self) -> None:
        self._ended = True
        self._set_idle(False)
        if self._watermark < MAX_WATERMARK:
            self.output.watermark(MAX_WATERMARK)

    def _unlock(self) -> None:
        if self._locked:
            self._locked = False
            self._lock.give_back()

    def _run(self) -> None:
        """In the user's thread."""
        try:
            self.function.run(_SourceContext(self._buffer, self._lock, self.emission.one))
        except _Cancelled:
            pass
        except Failure as error:
            self._error = error
        self._returned = True
        self._call_task()

    def _call_task(self) -> None:
        self.context.mailbox(self._wake_up)

    def _wake_up(self) -> None:
        wake, self._wake = self._wake, None
        if wake is None:
            self._woken = True
        else:
            wake()

    def _emit(self, entries: list[tuple[str, Any, int]]) -> None:
        values: list[Any] = []
        timestamps: list[int] = []
        for kind, value, timestamp in entries:
            if kind == "record":
                self._set_idle(False)
                values.append(value)
                timestamps.append(timestamp)
                continue
            self._emit_records(values, timestamps)
            values, timestamps = [], []
            if kind == "idle":
                self._set_idle(True)
            elif timestamp > self._watermark:
                self._watermark = timestamp
                self.output.watermark(timestamp)
        self._emit_records(values, timestamps)

    def _emit_records(self, values: list[Any], timestamps: list[int]) -> None:
        if values:
            known = max(timestamps) > MIN_TIMESTAMP
            self.output.batch(Batch(values, timestamps if known else None))

    def _set_idle(self, idle: bool) -> None:
        if idle != self._idle:
            self._idle = idle
            self.output.status(idle)
