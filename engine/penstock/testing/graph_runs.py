"""Runs a job graph on the calling thread: real operators, chains, partitioners, backends, savepoints and restores.

For property tests of what a program keeps from one form to its next: an example takes milliseconds, where processes
take seconds. What is given to a source is emitted as if it had read it. There is no JobManager, but the decisions of
one are made by the same functions: the reign, the assignment of state, the gathering of `_metadata`.
"""

import itertools
import pickle
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self, final

from penstock.base.ids import AttemptId, CheckpointId, Epoch, SubtaskId, new_job_id
from penstock.checkpoint.cadence import Failure
from penstock.checkpoint.files import SavepointFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.layout import Provenance
from penstock.checkpoint.metadata import Metadata, gather
from penstock.checkpoint.savepoints import write_savepoint
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.exchange.partitioners import make_partitioner
from penstock.exchange.wiring import consumers_of
from penstock.graph.job_graph import ChainedOperator, JobEdge, JobGraph, JobVertex
from penstock.jobmanager.history import CheckpointHistory
from penstock.jobmanager.reign import begin_reign
from penstock.jobmanager.restoring import Restoring
from penstock.operators.chain import Chain
from penstock.operators.operator import OperatorContext, SnapshotContext, SourceDriver, StateContext
from penstock.records.batch import Barrier, BarrierOptions, Batch, Control, SavepointFormat, SavepointOptions, Watermark
from penstock.records.key_groups import range_for
from penstock.rpc.messages import OperatorRestore
from penstock.state.open import BackendKind, open_backend
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.storage import S3Settings, open_store
from penstock.taskmanager.snapshots import OperatorStates, SnapshotTaker
from penstock.testing.operators import FakeBackground, FakeClock, FakeProcessingTime

_NOTHING: Final = OperatorRestore()
_INLINE_MAX_BYTES: Final = 100
_MEMORY_BYTES: Final = 8 << 20


def _open_root(address: str) -> Any:
    return open_store(address, S3Settings())


@final
class Task:
    """One subtask of one vertex."""

    def __init__(self, run: "GraphRun", vertex: JobVertex, index: int) -> None:
        self.vertex = vertex
        self.index = index
        operators = [pickle.loads(operator.factory)() for operator in vertex.chain]
        parents = [(operator.parent, operator.tag) for operator in vertex.chain]
        self.chain = Chain(operators, parents, has_credit=lambda: True)
        self.chain.start_slice(float("inf"))
        restore = run.restore(SubtaskId(vertex.id, index))
        self.states = [
            run.open(operator, vertex, index, restore[at] if restore else _NOTHING, at)
            for at, operator in enumerate(vertex.chain)
        ]
        self.taker = SnapshotTaker(
            attempt=AttemptId(SubtaskId(vertex.id, index), 0),
            parallelism=vertex.parallelism,
            operators=self.states,
            background=_AtOnce(),
            new_writer=lambda checkpoint, savepoint: run.writer(self, savepoint),
            report=run,
        )

    def open(self, run: "GraphRun") -> None:
        """Run the operators up to `open`, all but the source."""
        nodes = list(zip(self.chain.nodes, self.vertex.chain, self.states, strict=True))
        for node, described, _ in nodes:
            node.operator.setup(run.context(described, self), node)
        for node, _, states in reversed(nodes):
            if not isinstance(node.operator, SourceDriver):
                node.operator.initialize_state(
                    StateContext(restored_checkpoint=run.restored, operator=states.operator, keyed=states.keyed)
                )
                node.operator.open()

    def watermark(self, timestamp_ms: int) -> None:
        head = self.chain.head
        if isinstance(head.operator, SourceDriver):
            head.watermark(timestamp_ms)
        else:
            head.take(Watermark(timestamp_ms))

    def snapshot(self, barrier: Barrier) -> None:
        self.chain.prepare_snapshot(barrier.checkpoint)
        for node in self.chain.nodes:
            if not isinstance(node.operator, SourceDriver):
                node.operator.snapshot_state(
                    SnapshotContext(checkpoint=barrier.checkpoint, timestamp_ms=barrier.timestamp_ms)
                )
        running = self.taker.begin(barrier, finished=False, data_ended=False, begun=0.0, alignment_s=0.0)
        while not running.advance(1.0):
            pass

    def close(self) -> None:
        self.chain.close()
        self.taker.close()


@final
class GraphRun:
    """A job between its start and its savepoint. A context manager: leaving it closes all operators and backends."""

    def __init__(
        self,
        graph: JobGraph,
        folder: Path,
        *,
        backend: BackendKind = "hashmap",
        savepoint: str | None = None,
        allow_unclaimed: bool = False,
    ) -> None:
        """Start the job, from a savepoint if there is one; `folder` is its own. Raises what refuses that."""
        self.job = new_job_id()
        self.clock = FakeClock()
        self._backend: BackendKind = backend
        self._folder = folder
        self._memory = RocksMemory(_MEMORY_BYTES)
        self._snapshots: list[TaskSnapshot] = []
        self._waiting: deque[tuple[Task, int, Batch]] = deque()
        self._numbers = itertools.count()
        store = _open_root(str(folder / "checkpoints"))
        reign = begin_reign(
            store,
            self.job,
            graph,
            "test",
            open_root=_open_root,
            restore_path=savepoint,
            claim=False,
            allow_older=False,
            allow_unclaimed=allow_unclaimed,
            retained_max=1,
            pinned=(),
            probe=False,
            clock=self.clock,
            rng=Random(),
        )
        self.graph = reign.graph
        self._first_id = reign.first_id
        history = CheckpointHistory(1, self.clock.now_ms)
        self._restoring = Restoring(
            self.job, store, _open_root, reign, history, allow_older=False, passed_over=lambda sentence: None
        )
        self.restored = self._restoring.checkpoint
        self._reading = SnapshotReading(store, open_root=_open_root)
        self.tasks: list[Task] = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def feed(self, source: str, values: Iterable[Any], timestamp: Callable[[Any], int]) -> None:
        """Have the source of this name emit the values, dealt to its subtasks, and all of them arrive."""
        tasks = [task for task in self.tasks if task.vertex.chain[0].name.removeprefix("Source: ") == source]
        for index, value in enumerate(values):
            tasks[index % len(tasks)].chain.head.batch(Batch([value], [timestamp(value)]))
            self._arrive()

    def watermark(self, timestamp_ms: int) -> None:
        """Event time comes to this, everywhere."""
        for task in self.tasks:  # In topological order, so that what timers emit is there before the watermark.
            task.watermark(timestamp_ms)
            self._arrive()

    def savepoint(self, format: SavepointFormat) -> str:
        """Where it is."""
        target = str(self._folder / f"savepoint-{next(self._numbers)}")
        checkpoint = CheckpointId(self._first_id)
        options = SavepointOptions(target, format)
        barrier = Barrier(checkpoint, self.clock.now_ms(), BarrierOptions(savepoint=options, stop="suspend"))
        for task in self.tasks:
            task.snapshot(barrier)
            self._arrive()
        metadata = Metadata(
            kind="savepoint",
            job=self.job,
            checkpoint=checkpoint,
            epoch=Epoch(1),
            triggered_ms=self.clock.now_ms(),
            fingerprint=self.graph.fingerprint,
            operators=gather(self._snapshots, (), {}),
        )
        write_savepoint(_open_root, target, metadata)
        return target

    def close(self) -> None:
        for task in self.tasks:
            task.close()

    # What tasks say, and are lent.

    def acknowledged(self, attempt: AttemptId, checkpoint: CheckpointId, snapshot: TaskSnapshot) -> None:
        self._snapshots.append(snapshot)

    def declined(self, attempt: AttemptId, checkpoint: CheckpointId, failure: Failure, error: BaseException) -> None:
        raise error

    def data_ended(self, attempt: AttemptId) -> None:
        raise AssertionError("data does not end here")

    def restore(self, subtask: SubtaskId) -> tuple[OperatorRestore, ...]:
        return () if self.restored is None else self._restoring.of(subtask)

    def writer(self, task: Task, savepoint: SavepointOptions | None) -> SnapshotFiles:
        assert savepoint is not None, "only savepoints are taken"
        place = SavepointFolder(_open_root(savepoint.target), Provenance(Epoch(1), CheckpointId(self._first_id)))
        return SnapshotFiles(
            place,
            writer=f"{task.vertex.name}-{task.index}",
            inline_max_bytes=_INLINE_MAX_BYTES,
            random=lambda: f"{next(self._numbers):08x}",
        )

    def open(
        self, operator: ChainedOperator, vertex: JobVertex, index: int, restore: OperatorRestore, at: int
    ) -> OperatorStates:
        keyed = None
        if operator.keyed:
            keyed = open_backend(
                self._backend,
                operator_name=operator.name,
                uid=operator.uid,
                key_groups=range_for(vertex.max_parallelism, vertex.parallelism, index),
                max_parallelism=vertex.max_parallelism,
                key_type=operator.key_type,
                restore=restore.keyed,
                restored_keys=restore.key_type,
                reader=self._reading,
                directory=self._folder / f"{vertex.id}-{index}-{at}",
                clock=self.clock,
                memory=self._memory,
                settings=StateSettings(),
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
                reader=self._reading,
            ),
            keyed=keyed,
        )

    def context(self, described: ChainedOperator, task: Task) -> OperatorContext:
        configuration = Configuration.from_dict(dict(self.graph.configuration))
        return OperatorContext(
            job=self.job,
            job_name=self.graph.name,
            name=described.name,
            uid=described.uid,
            task_name=task.vertex.name,
            subtask=task.index,
            parallelism=task.vertex.parallelism,
            max_parallelism=task.vertex.max_parallelism,
            attempt=0,
            configuration=configuration,
            job_parameters={},
            metrics=MetricTree(self.clock).root,
            clock=self.clock,
            processing_time=FakeProcessingTime(self.clock),
            background=FakeBackground(),
            mailbox=lambda work: work(),
            directory=self._folder,
            send_event=lambda payload: None,
            checkpointing=True,
        )

    # How records travel.

    def _build(self) -> None:
        by_vertex: dict[str, list[Task]] = {}
        for vertex in self.graph.vertices:
            for index in range(vertex.parallelism):
                task = Task(self, vertex, index)
                self.tasks.append(task)
                by_vertex.setdefault(vertex.id, []).append(task)
        for task in self.tasks:
            for edge in self.graph.outputs(task.vertex.id):
                task.chain.attach(edge.source_operator, edge.tag, _Edge(self, task, edge, by_vertex[edge.target]))
        for task in reversed(self.tasks):
            task.open(self)

    def arrives(self, task: Task, port: int, batch: Batch) -> None:
        """A task has something to take, in its turn."""
        self._waiting.append((task, port, batch))

    def _arrive(self) -> None:
        while self._waiting:
            task, port, batch = self._waiting.popleft()
            task.chain.head.take(batch, port)


@final
@dataclass(slots=True)
class _AtOnce:
    """Work of the background, done in the foreground."""

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        done(work(), None)


@final
class _Edge:
    """An edge as one of its producers sees it."""

    def __init__(self, run: GraphRun, producer: Task, edge: JobEdge, consumers: list[Task]) -> None:
        chosen = consumers_of(edge.exchange, producer.index, producer.vertex.parallelism, len(consumers))
        self._run = run
        self._port = edge.port
        self._consumers = [consumers[index] for index in chosen]
        self._split = make_partitioner(
            edge.exchange,
            len(self._consumers),
            producer=producer.vertex.name,
            subtask=producer.index,
            max_parallelism=consumers[0].vertex.max_parallelism,
            rng=Random(0),
            custom=None,
        ).split

    def write_batch(self, batch: Batch) -> None:
        for channel, piece in self._split(batch):
            assert isinstance(piece, Batch), "nothing is coded where no channel has a dictionary"
            self._run.arrives(self._consumers[channel], self._port, piece)

    def write_control(self, element: Control) -> None:
        """Watermarks come to every task by themselves."""
