"""What runs inside a task: the operator, its output, and what it is given.

An operator takes batches and gives batches. It runs on one thread, knows nothing of sockets or
checkpoint storage, and is driven by the chain (`penstock.operators.chain`) that a task owns.
Users' own operators (`penstock.datastream` exposes them) are adapted to this interface.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricGroup
from penstock.records.batch import Batch
from penstock.state.backend import KeyedBackend
from penstock.state.operator_state import OperatorStateBackend

Steps = Iterator[None]
"""Work that may take long, cut into steps of a few milliseconds; the task runs other things in between."""


class Output(Protocol):
    """Where an operator emits. Order of calls is the order downstream sees."""

    def batch(self, batch: Batch) -> None:
        """Emit records on the main output."""

    def side(self, tag: str, batch: Batch) -> None:
        """Emit records on the side output with this tag id."""

    def watermark(self, timestamp_ms: int) -> None:
        """No record with a timestamp at or below this one will follow."""

    def status(self, idle: bool) -> None:
        """This stream holds back nobody's watermark for now (True), or does again (False)."""


class Cancellable(Protocol):
    """Something scheduled that can be called off."""

    def cancel(self) -> None:
        """Do not run it."""


class ProcessingTime(Protocol):
    """Timers on the wall clock; callbacks run on the task's thread, between batches."""

    def at(self, timestamp_ms: int, callback: Callable[[int], Steps | None]) -> Cancellable:
        """Call `callback(timestamp_ms)` once the clock has passed `timestamp_ms`."""


class Background(Protocol):
    """Runs blocking I/O in the worker's thread pool."""

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Call `work()` in a thread, then `done(result, error)` on the task's thread, between batches."""


@final
class OperatorContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who and where an operator is, and the services it may use."""

    job: JobId
    job_name: str
    name: str
    """The operator's name, as shown to people."""
    uid: OperatorUid
    task_name: str
    """The name of the whole chain."""
    subtask: int
    parallelism: int
    max_parallelism: int
    attempt: int
    configuration: Configuration
    """The job's configuration, global job parameters included."""
    job_parameters: Mapping[str, str]
    metrics: MetricGroup
    clock: Clock
    processing_time: ProcessingTime
    background: Background
    mailbox: Callable[[Callable[[], None]], None]
    """From any thread: have something called on the task's thread, between batches. Dropped once the task has ended."""
    directory: Path
    """A folder of this task's own; removed when the task ends."""
    send_event: Callable[[bytes], None]
    """To this operator's coordinator on the JobManager (split enumerator, collect sink)."""
    checkpointing: bool
    """Whether checkpoints are enabled: two-phase commits wait for them only then."""
    commit_only: bool = False
    """The job was stopped: the operator commits what its state holds and is closed. It gets and emits nothing."""


@final
class StateContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `initialize_state` is given."""

    restored_checkpoint: CheckpointId | None
    """None: a fresh start."""
    operator: OperatorStateBackend
    keyed: KeyedBackend | None
    """None on an operator whose input is not keyed."""

    @property
    def is_restored(self) -> bool:
        return self.restored_checkpoint is not None


@final
class SnapshotContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `snapshot_state` is given."""

    checkpoint: CheckpointId
    timestamp_ms: int


class Operator(ABC):
    """One operator of a chain: batches in, batches out.

    Life: `setup`, `initialize_state`, `open`, then batches and control elements, then `finish` (all input
    has ended well), then `close` (always). `notify_*` may come at any time in between.
    """

    context: OperatorContext
    output: Output
    keeps_time_when_stopped: ClassVar[bool] = False
    """Whether its timers still fire between the snapshot of a stop and the end. Only where they emit nothing."""

    def setup(self, context: OperatorContext, output: Output) -> None:
        """Keep what the operator is given. Runs no user code."""
        self.context = context
        self.output = output

    def initialize_state(self, state: StateContext) -> None:
        """Register state and read what was restored."""

    def open(self) -> None:
        """Call the user function's `open`."""

    @abstractmethod
    def process(self, batch: Batch, port: int) -> None:
        """Take one batch from input `port` (0, or 1 on the second input of a connect)."""

    def watermark(self, timestamp_ms: int) -> Steps | None:
        """The watermark over all inputs has advanced. Fire timers, then emit it; the default only emits it."""
        self.output.watermark(timestamp_ms)
        return None

    def key_ended(self) -> Steps | None:
        """Run as a batch, only: the current key has no more records, and for it event time is over."""
        return None

    def status(self, idle: bool) -> None:
        """All inputs are idle (True), or one is active again (False)."""
        self.output.status(idle)

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        """May still emit: what is emitted here goes before the barrier."""

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        """Bring registered state up to date; the task snapshots the backends right after."""

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        """The checkpoint is durable and confirmed: effects that waited for it may be made visible."""

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        """The checkpoint will never complete."""

    def notify_restored(self, checkpoint: CheckpointId) -> None:
        """All tasks of the job stand: it goes back to no checkpoint before this one any more.

        Comes after every start and restart with state, of whichever tasks. Not passed on to users' functions, for which
        no checkpoint has completed.
        """

    def handle_event(self, event: bytes) -> None:
        """From this operator's coordinator on the JobManager."""

    def finish(self) -> Steps | None:
        """All inputs have ended: emit what is left. Not called on failure or cancellation."""
        return None

    def drained(self) -> bool:
        """Whether nothing is left to do that was begun before the end (commits).

        A task that has finished ends only then; it asks again after `notify_restored`, and after each callback from
        `background` or `mailbox`.
        """
        return True

    def close(self) -> None:
        """Release resources; called exactly once, also after a failure."""


class SourceStatus:
    """What a source's `poll` says about the near future."""

    MORE: "SourceStatus"
    NOTHING: "SourceStatus"
    END: "SourceStatus"

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"SourceStatus.{self.name}"


SourceStatus.MORE = SourceStatus("MORE")
SourceStatus.NOTHING = SourceStatus("NOTHING")
SourceStatus.END = SourceStatus("END")


class SourceDriver(Operator):
    """A head operator that has no input: the task polls it while every output has credit."""

    @abstractmethod
    def poll(self, records_max: int) -> SourceStatus:
        """Emit at most about `records_max` records. Must not block.

        Before it answers END, a source has emitted MAX_WATERMARK itself; the task then calls `finish`.
        """

    @abstractmethod
    def on_available(self, wake: Callable[[], None]) -> None:
        """After NOTHING: call `wake` (on the task's thread) when there may be something again."""

    @abstractmethod
    def drain(self) -> None:
        """The job stops for good: emit what was read so far, then MAX_WATERMARK. It is polled no more."""

    def process(self, batch: Batch, port: int) -> None:
        raise AssertionError("a source has no input")
