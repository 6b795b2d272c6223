"""A sink driven by hand, one subtask of it: writes, checkpoints, commits, and the death of an attempt at any of
them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from penstock.base.ids import CheckpointId
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.operators.sink_api import (
    CommitRequest,
    PrecommittingSinkWriter,
    SinkWriter,
    TwoPhaseCommittingSink,
    WriterInitContext,
)
from penstock.operators.source_api import pack, unpack
from penstock.testing.clocks import ManualClock

_THREADS: Final = ThreadPoolExecutor(4, thread_name_prefix="sink-background")


@final
@dataclass(frozen=True)
class SinkSnapshot:
    """What a checkpoint of one subtask holds, serialised."""

    checkpoint: int
    writer: tuple[tuple[int, bytes], ...]
    committables: tuple[tuple[int, bytes], ...]


@final
class SinkRun:
    """One attempt at running one subtask. Dropped without `close`, it has died."""

    def __init__(
        self,
        sink: TwoPhaseCommittingSink[Any, Any],
        *,
        clock: ManualClock,
        restored: list[SinkSnapshot] | None = None,
        subtask: int = 0,
        parallelism: int = 1,
        job: str = "job",
        uid: str = "sink",
        configuration: Configuration | None = None,
    ) -> None:
        self._sink = sink
        self._prepared: dict[int, list[Any]] = {}
        self._context = _Write()
        states = restored or []
        checkpoint = states[0].checkpoint if states else None
        init = _Init(clock, checkpoint, subtask, parallelism, job, uid, configuration or Configuration())
        self._committer = sink.create_committer(init)
        serializer = sink.get_committable_serializer()
        self._commit([unpack(serializer, packed) for state in states for packed in state.committables])
        serializer = sink.get_writer_state_serializer()
        if mine := [unpack(serializer, packed) for state in states for packed in state.writer]:
            self._writer = sink.restore_writer(init, mine)
        else:
            self._writer = sink.create_writer(init)

    def write(self, *values: Any, timestamps: list[int] | None = None) -> None:
        """A batch of records."""
        if not self._writer.write_batch(list(values), timestamps, self._context):
            for index, value in enumerate(values):
                self._context.now = None if timestamps is None else timestamps[index]
                self._writer.write(value, self._context)

    def checkpoint(self, checkpoint: int, *, end_of_input: bool = False) -> SinkSnapshot:
        """Prepare and snapshot; nothing is committed yet."""
        self._writer.flush(end_of_input)
        assert isinstance(self._writer, PrecommittingSinkWriter)
        self._prepared[checkpoint] = list(self._writer.prepare_commit())
        states, committables = self._sink.get_writer_state_serializer(), self._sink.get_committable_serializer()
        return SinkSnapshot(
            checkpoint,
            tuple(pack(states, state) for state in self._writer.snapshot_state(checkpoint)),
            tuple(pack(committables, each) for known in self._prepared.values() for each in known),
        )

    def complete(self, checkpoint: int) -> None:
        """The checkpoint is confirmed: commit what belongs to it and to those before."""
        for known in sorted(known for known in self._prepared if known <= checkpoint):
            self._commit(self._prepared.pop(known))

    def finish(self, checkpoint: int) -> None:
        """The input has ended: the final checkpoint, its commit, and the end."""
        self.checkpoint(checkpoint, end_of_input=True)
        self.complete(checkpoint)
        self.close()

    def close(self) -> None:
        self._writer.close()
        self._committer.close()

    def _commit(self, committables: list[Any]) -> None:
        requests = [CommitRequest(committable) for committable in committables]
        if requests:
            self._committer.commit(requests)
        for request in requests:
            if request.error is not None:
                raise request.error
            assert request.outcome in ("committed", "already committed"), request.outcome


class _Write(SinkWriter.Context):
    def __init__(self) -> None:
        self.now: int | None = None

    def timestamp(self) -> int | None:
        return self.now

    def current_watermark(self) -> int:
        return -(2**63)


class _Init(WriterInitContext):
    def __init__(
        self,
        clock: ManualClock,
        restored: int | None,
        subtask: int,
        parallelism: int,
        job: str,
        uid: str,
        configuration: Configuration,
    ) -> None:
        self.configuration = configuration
        self.metrics = MetricTree(clock).root
        self.clock = clock
        self.processing_time = clock
        self.directory = Path("/nonexistent")
        self.job_id = job
        self.operator_uid = uid
        self.restored_checkpoint_id = None if restored is None else CheckpointId(restored)
        self._subtask = subtask
        self._parallelism = parallelism

    def get_index_of_subtask(self) -> int:
        return self._subtask

    def get_number_of_parallel_subtasks(self) -> int:
        return self._parallelism

    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        def call() -> None:
            try:
                result = work()
            except Exception as error:
                done(None, error)
            else:
                done(result, None)

        _THREADS.submit(call)
