"""Makes a task from its deployment: operators, backends with what they get back, channels, chain.

Restoring reads files and opens databases, so that part runs in a thread; everything the user wrote (factories, open,
initialize_state) runs on the worker's loop, as it will later.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import CheckpointFailed
from penstock.base.ids import AttemptId, CheckpointId, Epoch, JobId, WorkerId
from penstock.checkpoint.alignment import Alignment
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.files import SnapshotReading
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.common.options.jobs import PYTHON_METRICS
from penstock.exchange.partitioners import make_partitioner
from penstock.exchange.plane import DataPlane
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.writer import RecordWriter
from penstock.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex
from penstock.graph.loading import unpickled
from penstock.operators.chain import Chain
from penstock.operators.operator import Operator, OperatorContext, SourceDriver, StateContext
from penstock.records.batch import SavepointOptions
from penstock.records.key_groups import range_for
from penstock.rpc.messages import OperatorRestore, TaskDeployment
from penstock.state.backend import KeyedBackend
from penstock.state.open import BackendKind, open_backend
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.settings import StateSettings
from penstock.taskmanager.ahead import AheadStates
from penstock.taskmanager.inputs import TaskInput
from penstock.taskmanager.outputs import TaskOutput
from penstock.taskmanager.pace import Pacing
from penstock.taskmanager.reporting import TaskReporter
from penstock.taskmanager.services import TaskBackground, TaskTimers, WorkerBackground
from penstock.taskmanager.snapshots import Acknowledger, DiscardableWriter, OperatorStates, SnapshotTaker
from penstock.taskmanager.task import Task

if TYPE_CHECKING:
    from penstock.state.rocksdb.memory import RocksMemory

_NOTHING: Final = OperatorRestore()
_FRAMES: Final = 1_000
"""Python's own limit."""
_FRAMES_PER_OPERATOR: Final = 20
"""From one operator's process to the next one's, with room to spare."""


class Reporter(Acknowledger, TaskReporter, Protocol):
    """All that a task says to the worker."""


NewWriter = Callable[[AttemptId, str, CheckpointId, SavepointOptions | None], DiscardableWriter]


@final
class WorkerServices(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker lends to its tasks."""

    worker: WorkerId
    job: JobId
    graph: JobGraph
    configuration: Configuration
    job_parameters: Mapping[str, str]
    clock: Clock
    plane: DataPlane
    exchange: ExchangeSettings
    pacing: Pacing
    reading: SnapshotReading
    ahead: AheadStates
    new_writer: NewWriter
    """What it writes bears the epoch of the reign that the worker was last told of."""
    writers: Callable[[Epoch], NewWriter]
    reach_store: Callable[[], None]
    """Have the connections that the first restore would wait for. Blocks."""
    backend: BackendKind
    state: StateSettings
    rocks_memory: "RocksMemory | None"
    """Shared by all RocksDB backends of this worker; None on the heap."""
    directory: Path
    checkpointing: bool
    last_checkpoint: bool
    """Whether tasks wait for a checkpoint when their input has ended."""
    exactly_once: bool
    call_soon: Callable[[Callable[[], None]], object]
    background: Callable[[Callable[[], Any], Callable[[Any, BaseException | None], None]], None]
    call_later: Callable[[float, Callable[[], None]], Any]
    call_threadsafe: Callable[[Callable[[], None]], None]
    send_event: Callable[[AttemptId, int, bytes], None]
    report: Reporter


def _make_room_for(operators: int) -> None:
    """An element goes through a chain on one stack: beside it, users' functions have as much as Python gives them."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _FRAMES + _FRAMES_PER_OPERATOR * operators))


@final
class TaskBuilder:
    """Builds one task. `restore` in a thread first, then `build` on the loop."""

    def __init__(self, deployment: TaskDeployment, services: WorkerServices) -> None:
        self._deployment = deployment
        self._services = services
        self._vertex: JobVertex = services.graph.vertex(deployment.attempt.subtask.vertex)
        self._directory = services.directory / str(deployment.attempt).replace("#", "-")
        self._states: list[OperatorStates] = []

    @property
    def directory(self) -> Path:
        return self._directory

    def restore(self) -> None:
        """Open the backends of all operators and give them back what they had. Blocks."""
        self._directory.mkdir(parents=True, exist_ok=True)
        restore = self._deployment.restore
        if restore:
            self._services.reading.hold(self._deployment.attempt)
        for index, operator in enumerate(self._vertex.chain):
            self._states.append(self._open(operator, restore[index] if restore else _NOTHING, index))

    def discard(self) -> None:
        """Close what `restore` has opened: the task will not be built."""
        for states in self._states:
            if states.keyed is not None:
                states.keyed.close()

    def build(self) -> Task:
        """Make the task and run its operators up to `open`."""
        deployment, services, vertex = self._deployment, self._services, self._vertex
        attempt = deployment.attempt
        name = f"{vertex.name} ({attempt.subtask.index + 1}/{vertex.parallelism})"
        operators = [self._operator(operator) for operator in vertex.chain]
        _make_room_for(len(operators))
        output = TaskOutput()
        chain = Chain(
            operators,
            [(operator.parent, operator.tag) for operator in vertex.chain],
            has_credit=lambda: output.has_credit,
        )
        inputs = None
        if deployment.inputs:
            inputs = TaskInput(
                [services.plane.input(spec.channel, local=spec.local) for spec in deployment.inputs],
                [spec.port for spec in deployment.inputs],
                Alignment(len(deployment.inputs), services.exactly_once),
                lambda checkpoint, reason: services.report.declined(
                    attempt, checkpoint, Failure.SUBSUMED, CheckpointFailed(reason)
                ),
            )
        mail: list[Task] = []

        def post(work: Callable[[], None]) -> None:
            mail[0].post(work)

        background = TaskBackground(services.background, post)
        snapshots = SnapshotTaker(
            attempt=attempt,
            parallelism=vertex.parallelism,
            operators=self._states,
            # Not through the task's mail: an acknowledgement does not wait for credit.
            background=WorkerBackground(services.background),
            new_writer=lambda checkpoint, savepoint: services.new_writer(attempt, vertex.name, checkpoint, savepoint),
            report=services.report,
        )
        task = Task(
            attempt,
            name,
            chain,
            inputs,
            output,
            snapshots,
            checkpointing=services.last_checkpoint,
            restored_finished=deployment.finished,
            commit_only=deployment.commit_only,
            pacing=services.pacing,
            log_fields={
                "job": services.job,
                "task": vertex.name,
                "subtask": attempt.subtask.index,
                "attempt": attempt.attempt,
            },
            call_soon=services.call_soon,
            connect=lambda: self._connect(chain, output, mail[0]),
            report=services.report,
        )
        mail.append(task)
        if inputs is not None:
            inputs.on_lost(task.channel_lost)
        try:
            self._open_operators(task, background)
        except BaseException:
            task.close()
            raise
        return task

    def _connect(self, chain: Chain, output: TaskOutput, task: Task) -> None:
        services = self._services
        edges = {edge.id: edge for edge in services.graph.outputs(self._vertex.id)}
        writers = []
        for spec in self._deployment.outputs:
            edge = edges[spec.edge]
            ends = [
                services.plane.output(c.channel, None if c.worker == services.worker else (c.host, c.data_port))
                for c in spec.channels
            ]
            writer = self._writer(edge, ends)
            writer.on_lost = task.channel_lost
            writers.append(writer)
            chain.attach(edge.source_operator, edge.tag, writer)
        output.connect(writers)

    def _open_operators(self, task: Task, background: TaskBackground) -> None:
        deployment, services, vertex, chain = self._deployment, self._services, self._vertex, task.chain
        attempt = deployment.attempt
        for index, (node, described) in enumerate(zip(chain.nodes, vertex.chain, strict=True)):
            operator_name = described.name
            tree = MetricTree(services.clock, shown=services.configuration.get(PYTHON_METRICS))
            task.metrics.append(tree)
            context = OperatorContext(
                job=services.job,
                job_name=services.graph.name,
                name=operator_name,
                uid=described.uid,
                task_name=vertex.name,
                subtask=attempt.subtask.index,
                parallelism=vertex.parallelism,
                max_parallelism=vertex.max_parallelism,
                attempt=attempt.attempt,
                configuration=services.configuration,
                job_parameters=services.job_parameters,
                metrics=tree.root,
                clock=services.clock,
                processing_time=TaskTimers(
                    services.clock,
                    services.call_later,
                    task.post if node.operator.keeps_time_when_stopped else task.post_timer,
                    node.begin,
                ),
                background=background,
                mailbox=lambda work: services.call_threadsafe(lambda: task.post(work)),
                directory=self._directory,
                send_event=self._event_sender(index),
                checkpointing=services.checkpointing,
                commit_only=deployment.commit_only,
            )
            node.operator.setup(context, node)
        if deployment.finished:
            return  # It ended before: its operators neither open nor close.
        # Downstream first: an operator may emit while it is opened.
        for node, states in reversed(list(zip(chain.nodes, self._states, strict=True))):
            node.operator.initialize_state(
                StateContext(
                    restored_checkpoint=deployment.restored_checkpoint, operator=states.operator, keyed=states.keyed
                )
            )
            # A source that only ends need not begin.
            if not (deployment.commit_only and isinstance(node.operator, SourceDriver)):
                node.operator.open()

    def _event_sender(self, index: int) -> Callable[[bytes], None]:
        send, attempt = self._services.send_event, self._deployment.attempt
        return lambda payload: send(attempt, index, payload)

    def _operator(self, described: ChainedOperator) -> Operator:
        factory: Callable[[], Operator] = unpickled(described.factory, f"operator {described.name!r}")
        return factory()

    def _writer(self, edge: JobEdge, channels: list[Any]) -> RecordWriter:
        services, vertex = self._services, self._vertex
        target = services.graph.vertex(edge.target)
        subtask = self._deployment.attempt.subtask.index
        name = vertex.chain[edge.source_operator].name
        custom = unpickled(edge.partitioner, "the custom partitioner") if edge.partitioner is not None else None
        partitioner = make_partitioner(
            edge.exchange,
            len(channels),
            producer=f"operator {name!r} (subtask {subtask + 1} of {vertex.parallelism})",
            subtask=subtask,
            max_parallelism=target.max_parallelism,
            rng=Random(),
            custom=custom,
            dictionaries=[channel.dictionary for channel in channels],
        )
        return RecordWriter(
            channels, partitioner, buffer_timeout_ms=edge.buffer_timeout_ms, call_later=services.call_later
        )

    def _open(self, operator: ChainedOperator, restore: OperatorRestore, index: int) -> OperatorStates:
        services, vertex = self._services, self._vertex
        keyed: KeyedBackend | None = None
        if self._deployment.commit_only:
            restore = msgspec.structs.replace(restore, keyed=())  # What is to be committed is no keyed state.
        if operator.keyed:
            subtask = self._deployment.attempt.subtask.index
            key_groups = range_for(vertex.max_parallelism, vertex.parallelism, subtask)
            keyed = open_backend(
                services.backend,
                operator_name=operator.name,
                uid=operator.uid,
                key_groups=key_groups,
                max_parallelism=vertex.max_parallelism,
                key_type=operator.key_type,
                restore=restore.keyed,
                restored_keys=restore.key_type,
                reader=services.reading,
                directory=self._directory / f"state-{index}",
                clock=services.clock,
                memory=services.rocks_memory,
                settings=services.state,
                ahead=services.ahead.take(operator.uid, key_groups, restore.keyed),
            )
        return OperatorStates(
            uid=operator.uid,
            name=operator.name,
            max_parallelism=vertex.max_parallelism,
            operator=OperatorStateBackend(
                operator_name=operator.name,
                uid=operator.uid,
                restore=restore.operator,
                infos=restore.states,
                reader=services.reading,
            ),
            keyed=keyed,
        )
