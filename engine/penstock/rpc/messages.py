"""What JobManager, TaskManagers and workers say to each other.

Two unions: `TaskManagerMessage` on the connection between a JobManager and a TaskManager, and `WorkerMessage`
between a JobManager and a worker. The latter travels inside the former (`ToWorker`, `FromWorker`) as bytes that the
TaskManager does not read, and over a unix socket between a TaskManager and its workers.
"""

from typing import Any, final

import msgspec

from penstock.base.ids import AttemptId, ChannelId, CheckpointId, Epoch, JobId, SubtaskId, TaskManagerId, WorkerId
from penstock.checkpoint.handles import KeyedHandle, OperatorStateHandle, StateInfo, TaskSnapshot
from penstock.records.batch import BarrierOptions
from penstock.rpc.figures import OperatorNames, ProcessMetrics, TaskMetrics
from penstock.rpc.inspection import (
    DumpThreads,
    ListLogs,
    LogPiece,
    Logs,
    ReadLog,
    SampleStacks,
    StackSamples,
    ThreadDump,
)


class _Message(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Common encoding of all messages."""


# JobManager and TaskManager.


@final
class RegisterTaskManager(_Message, frozen=True):
    """First message of a TaskManager; answered by `Registered`."""

    taskmanager: TaskManagerId
    host: str
    slots: int
    pid: int
    cpu_cores: float
    memory_bytes: int


@final
class Registered(_Message, frozen=True):
    """The JobManager knows the TaskManager now."""

    job: JobId
    heartbeat_interval_s: float
    heartbeat_timeout_s: float


@final
class SlotsOffered(_Message, frozen=True):
    """The TaskManager has so many slots now."""

    slots: int


@final
class Leaving(_Message, frozen=True):
    """The TaskManager goes, and its workers with it: what they run is to go on elsewhere at once."""

    reason: str


@final
class WorkerReady(_Message, frozen=True):
    """A worker process is up, its data port listens, and it may be given tasks."""

    worker: WorkerId
    slot: int
    pid: int
    host: str
    data_port: int


@final
class WorkerLost(_Message, frozen=True):
    """A worker process has ended."""

    worker: WorkerId
    reason: str


@final
class KillWorker(_Message, frozen=True):
    """End this worker at once: it does not stop in time."""

    worker: WorkerId
    reason: str


@final
class ToWorker(_Message, frozen=True):
    """An encoded WorkerMessage for a worker."""

    worker: WorkerId
    body: bytes


@final
class FromWorker(_Message, frozen=True):
    """An encoded WorkerMessage from a worker."""

    worker: WorkerId
    body: bytes


@final
class TaskDescribed(_Message, frozen=True):
    """From a worker to its TaskManager: what people call a task that it reports metrics of."""

    worker: WorkerId
    attempt: AttemptId
    job: JobId
    job_name: str
    task_name: str
    operators: tuple[OperatorNames, ...]
    """By index in the chain."""


@final
class WorkerMeasured(_Message, frozen=True):
    """From a worker to its TaskManager: a `FromWorker` with a `MetricsReport`, which the TaskManager may read too."""

    worker: WorkerId
    body: bytes


@final
class TaskManagerMeasured(_Message, frozen=True):
    """What a TaskManager's own process takes, sent every so often."""

    process: ProcessMetrics


@final
class ShutDown(_Message, frozen=True):
    """The job is over: end the workers and yourself."""

    reason: str


TaskManagerMessage = (
    RegisterTaskManager
    | Registered
    | SlotsOffered
    | Leaving
    | WorkerReady
    | WorkerLost
    | KillWorker
    | ToWorker
    | FromWorker
    | TaskManagerMeasured
    | ShutDown
    | ListLogs
    | Logs
    | ReadLog
    | LogPiece
    | DumpThreads
    | ThreadDump
    | SampleStacks
    | StackSamples
)
WorkerLinkMessage = ToWorker | FromWorker | WorkerReady | TaskDescribed | WorkerMeasured
"""What a TaskManager and one of its workers say to each other."""


# JobManager and worker: deployment.


@final
class InputChannelSpec(_Message, frozen=True):
    """One channel that a task reads."""

    channel: ChannelId
    edge: int
    port: int
    producer: int
    local: bool
    """Whether the producer runs in the same worker."""


@final
class OutputChannelSpec(_Message, frozen=True):
    """One channel that a task writes."""

    channel: ChannelId
    consumer: int
    worker: WorkerId
    host: str
    data_port: int


@final
class OutputSpec(_Message, frozen=True):
    """All channels of one edge that leaves a task, in the order of the consumer's subtasks."""

    edge: int
    channels: tuple[OutputChannelSpec, ...]


@final
class OperatorRestore(_Message, frozen=True):
    """What one operator's subtask gets back."""

    keyed: tuple[KeyedHandle, ...] = ()
    operator: tuple[OperatorStateHandle, ...] = ()
    states: tuple[StateInfo, ...] = ()
    key_type: dict[str, Any] | None = None
    """Of the keys that the keyed state is held under."""


@final
class TaskDeployment(_Message, frozen=True):
    """One attempt of a subtask, with all it needs to be built."""

    attempt: AttemptId
    inputs: tuple[InputChannelSpec, ...]
    outputs: tuple[OutputSpec, ...]
    restored_checkpoint: CheckpointId | None
    restore: tuple[OperatorRestore, ...]
    """By index in the chain; empty on a fresh start."""
    finished: bool
    """The checkpoint found this subtask finished: it only passes the end on."""
    commit_only: bool = False
    """The job was stopped with what this is restored from: the task commits what its state holds, and ends."""


@final
class LoadJob(_Message, frozen=True):
    """The job this worker will run tasks of. Sent once, before any deployment."""

    job: JobId
    epoch: Epoch
    graph: bytes
    """A pickled JobGraph."""
    configuration: dict[str, str]
    """The cluster's configuration with the job's over it."""
    ahead: bool = False
    """Long before any task: import what the operators need now, so that a task's start does not wait for it."""
    restores: bool = False
    """And whatever reads state, from the store that it lies in: the first tasks will be given back some."""


@final
class JobLoaded(_Message, frozen=True):
    """Answer to a `LoadJob` that came ahead: tasks would start at once now."""


@final
class Deploy(_Message, frozen=True):
    """Build these tasks, restore their state, and answer `Initialized` for each."""

    tasks: tuple[TaskDeployment, ...]


@final
class StateAhead(msgspec.Struct, frozen=True):
    """The RocksDB state that a subtask will probably be given back, at the parallelism that its vertex will have."""

    subtask: SubtaskId
    parallelism: int
    keyed: tuple[tuple[KeyedHandle, ...], ...]
    """By index in the chain."""


@final
class RestoreAhead(_Message, frozen=True):
    """Open the state of tasks that are still to come while others run, and answer `RestoredAhead`.

    What an earlier one asked for and nobody has deployed is dropped; nothing more may come of it, nor of an empty one.
    """

    request: int
    tasks: tuple[StateAhead, ...]


@final
class RestoredAhead(_Message, frozen=True):
    """The state is open, as far as it could be."""

    request: int


@final
class Start(_Message, frozen=True):
    """All tasks of the region are initialized: run."""

    attempts: tuple[AttemptId, ...]


@final
class Cancel(_Message, frozen=True):
    """End these tasks and answer `Ended` for each."""

    attempts: tuple[AttemptId, ...]


@final
class TriggerCheckpoint(_Message, frozen=True):
    """Begin this checkpoint at these tasks: the sources, or whose inputs have all ended."""

    checkpoint: CheckpointId
    timestamp_ms: int
    attempts: tuple[AttemptId, ...]
    options: BarrierOptions


@final
class CheckpointCompleted(_Message, frozen=True):
    """The checkpoint is durable and recorded in the journal: make its effects visible."""

    checkpoint: CheckpointId


@final
class CheckpointAborted(_Message, frozen=True):
    """The checkpoint will never complete."""

    checkpoint: CheckpointId


@final
class RestoreCompleted(_Message, frozen=True):
    """All tasks of the job stand: it goes back to no checkpoint before this one any more."""

    checkpoint: CheckpointId


@final
class OperatorEvent(_Message, frozen=True):
    """Between an operator's subtask and its coordinator, in either direction."""

    attempt: AttemptId
    operator: int
    payload: bytes


# Worker to JobManager.


@final
class ErrorReport(msgspec.Struct, frozen=True):
    """An exception, as text: nothing of the user's is unpickled in the JobManager."""

    type: str
    message: str
    traceback: str
    """The part that is the user's; empty where our sentence says all there is to say."""
    located: bool = False
    """Whether the message itself says which operator and subtask it was."""


@final
class Initialized(_Message, frozen=True):
    """The task waits for its start."""

    attempt: AttemptId


@final
class Ended(_Message, frozen=True):
    """The task is over: FINISHED, CANCELED or FAILED."""

    attempt: AttemptId
    status: str
    error: ErrorReport | None = None
    accumulators: dict[str, float] = {}


@final
class DataEnded(_Message, frozen=True):
    """The task has had all its data and waits for a last checkpoint."""

    attempt: AttemptId


@final
class Acknowledged(_Message, frozen=True):
    """The task's part of a checkpoint is durable."""

    checkpoint: CheckpointId
    attempt: AttemptId
    snapshot: TaskSnapshot


@final
class Declined(_Message, frozen=True):
    """The task cannot take part in a checkpoint."""

    checkpoint: CheckpointId
    attempt: AttemptId
    failure: str
    """Name of a `penstock.checkpoint.cadence.Failure`."""
    error: ErrorReport


@final
class MetricsReport(_Message, frozen=True):
    """Sent every so often."""

    tasks: tuple[TaskMetrics, ...]
    process: ProcessMetrics | None = None


@final
class SavepointProgress(_Message, frozen=True):
    """A task writes its part of a savepoint. Sent every so often."""

    checkpoint: CheckpointId
    attempt: AttemptId
    bytes_written: int


WorkerMessage = (
    LoadJob
    | JobLoaded
    | Deploy
    | RestoreAhead
    | RestoredAhead
    | Start
    | Cancel
    | TriggerCheckpoint
    | CheckpointCompleted
    | CheckpointAborted
    | RestoreCompleted
    | OperatorEvent
    | Initialized
    | Ended
    | DataEnded
    | Acknowledged
    | Declined
    | MetricsReport
    | SavepointProgress
)

_worker_encoder = msgspec.msgpack.Encoder()
_worker_decoder: msgspec.msgpack.Decoder[WorkerMessage] = msgspec.msgpack.Decoder(WorkerMessage)


def encode_worker(message: WorkerMessage) -> bytes:
    """A worker message as bytes."""
    return _worker_encoder.encode(message)


def decode_worker(body: bytes) -> WorkerMessage:
    """The message in these bytes."""
    return _worker_decoder.decode(body)
