"""What a sink is made of, with the names of Flink's Java API: Sink, SinkWriter, Committer.

Users and our connectors implement these. A TwoPhaseCommittingSink's writer prepares its output at each checkpoint and
the committer makes it visible once that checkpoint is durable.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, final

from penstock.base.clock import Clock
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricGroup
from penstock.operators.operator import ProcessingTime
from penstock.operators.source_api import PickleSerializer, SimpleVersionedSerializer

IN = TypeVar("IN")
COMMITTABLE = TypeVar("COMMITTABLE")
WRITER_STATE = TypeVar("WRITER_STATE")


class WriterInitContext(ABC):
    """What the runtime offers a writer."""

    configuration: Configuration
    metrics: MetricGroup
    clock: Clock
    processing_time: ProcessingTime
    directory: Path
    """A folder of the task's own; removed when the task ends."""
    job_id: str
    operator_uid: str = ""
    """Tells this sink from others of the job, over all attempts."""
    restored_checkpoint_id: int | None

    @abstractmethod
    def get_index_of_subtask(self) -> int: ...

    @abstractmethod
    def get_number_of_parallel_subtasks(self) -> int: ...

    @abstractmethod
    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Call `work()` in a thread, then `done(result, error)` on the task's thread."""


class SinkWriter(ABC, Generic[IN]):
    """Takes records, in a task."""

    class Context(ABC):
        @abstractmethod
        def timestamp(self) -> int | None:
            """The record's timestamp; None if it has none."""

        @abstractmethod
        def current_watermark(self) -> int: ...

    @abstractmethod
    def write(self, element: IN, context: "SinkWriter.Context") -> None:
        """Take one record."""

    def write_batch(self, values: list[IN], timestamps: list[int] | None, context: "SinkWriter.Context") -> bool:
        """Take a whole batch; False: not done, `write` is to be called for each record."""
        return False

    @abstractmethod
    def flush(self, end_of_input: bool) -> None:
        """Before a checkpoint and at the end: let nothing depend on this process's memory."""

    def write_watermark(self, watermark: int) -> None:
        """The watermark has advanced."""

    def snapshot_state(self, checkpoint_id: int) -> Sequence[Any]:
        """The writer's state; each element may be restored on another subtask."""
        return ()

    def close(self) -> None:
        """Release resources."""


class PrecommittingSinkWriter(SinkWriter[IN], Generic[IN, COMMITTABLE]):
    """A writer of a two-phase sink."""

    @abstractmethod
    def prepare_commit(self) -> Sequence[COMMITTABLE]:
        """What has been written since the last call, durable but not visible. Called after `flush`."""


@final
class CommitRequest(Generic[COMMITTABLE]):
    """One committable on its way, and what the committer says has become of it. Said nothing: committed."""

    __slots__ = ("committable", "error", "number_of_retries", "outcome")

    def __init__(self, committable: COMMITTABLE, number_of_retries: int = 0) -> None:
        self.committable = committable
        self.number_of_retries = number_of_retries
        self.outcome = "committed"
        self.error: BaseException | None = None

    def get_committable(self) -> COMMITTABLE:
        return self.committable

    def get_number_of_retries(self) -> int:
        return self.number_of_retries

    def signal_already_committed(self) -> None:
        """An earlier attempt had done it: fine."""
        self.outcome = "already committed"

    def retry_later(self) -> None:
        """A passing fault."""
        self.outcome = "retry"

    def update_and_retry_later(self, committable: COMMITTABLE) -> None:
        """A passing fault; go on with this in its place."""
        self.committable = committable
        self.outcome = "retry"

    def signal_failed_with_known_reason(self, error: BaseException) -> None:
        """It can never be committed, and that is known not to matter: it is dropped and counted."""
        self.outcome = "dropped"
        self.error = error

    def signal_failed_with_unknown_reason(self, error: BaseException) -> None:
        """It cannot be committed: the job fails and recovers."""
        self.outcome = "failed"
        self.error = error


class Committer(ABC, Generic[COMMITTABLE]):
    """Makes prepared output visible. Must bear being called again with what it has committed already."""

    blocking: bool = True
    """Whether `commit` waits for something outside: then it is called in a thread, one call at a time."""

    @abstractmethod
    def commit(self, requests: Sequence[CommitRequest[COMMITTABLE]]) -> None:
        """Commit all; say on each request what did not go well."""

    def close(self) -> None:
        """Release resources."""


class Sink(ABC, Generic[IN]):
    """A sink: makes writers. Must be picklable."""

    @abstractmethod
    def create_writer(self, context: WriterInitContext) -> SinkWriter[IN]: ...

    def restore_writer(self, context: WriterInitContext, state: Sequence[Any]) -> SinkWriter[IN]:
        """A writer that goes on from what `snapshot_state` gave; sinks whose writers have state override this."""
        return self.create_writer(context)

    def get_writer_state_serializer(self) -> SimpleVersionedSerializer:
        return PickleSerializer()


class TwoPhaseCommittingSink(Sink[IN], Generic[IN, COMMITTABLE]):
    """A sink that is exactly once by two-phase commit."""

    @abstractmethod
    def create_committer(self, context: WriterInitContext) -> Committer[COMMITTABLE]: ...

    def get_committable_serializer(self) -> SimpleVersionedSerializer:
        return PickleSerializer()
