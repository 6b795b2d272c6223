"""What a source is made of, with the names of Flink's Java API: Source, SplitEnumerator, SourceReader.

Users and our connectors implement these. The enumerator runs once, on the JobManager, in a thread of its own; the
readers run in the tasks. Splits are values that can be pickled (or go through the source's own serialiser).
"""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar, final

from penstock.base.clock import Clock
from penstock.base.errors import StateError
from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricGroup
from penstock.common.type_infos import TypeInformation
from penstock.records.serializers import explain_unpicklable

SPLIT = TypeVar("SPLIT")
STATE = TypeVar("STATE")


@final
class Boundedness(Enum):
    """Whether a source ends."""

    BOUNDED = "BOUNDED"
    CONTINUOUS_UNBOUNDED = "CONTINUOUS_UNBOUNDED"


@final
class InputStatus(Enum):
    """What a reader has to say after `poll_next`."""

    MORE_AVAILABLE = "MORE_AVAILABLE"
    """Poll again."""
    NOTHING_AVAILABLE = "NOTHING_AVAILABLE"
    """Poll again after the context's `wake` was called."""
    END_OF_INPUT = "END_OF_INPUT"
    """There will never be more."""


class SimpleVersionedSerializer(ABC):
    """Turns splits, enumerator states or committables into bytes that a later program can still read."""

    @abstractmethod
    def get_version(self) -> int: ...

    @abstractmethod
    def serialize(self, value: Any) -> bytes: ...

    @abstractmethod
    def deserialize(self, version: int, serialized: bytes) -> Any: ...


@final
class PickleSerializer(SimpleVersionedSerializer):
    """The default: pickle."""

    def get_version(self) -> int:
        return 1

    def serialize(self, value: Any) -> bytes:
        try:
            return pickle.dumps(value, protocol=5)
        except Exception as error:  # Whatever a user's __reduce__ raises.
            why = explain_unpicklable(value, error).removeprefix("value")
            raise StateError(f"a {type(value).__name__} cannot be pickled: {type(value).__name__}{why}") from error

    def deserialize(self, version: int, serialized: bytes) -> Any:
        return pickle.loads(serialized)


def pack(serializer: SimpleVersionedSerializer, value: Any) -> tuple[int, bytes]:
    """A value with the version it was serialised in."""
    return serializer.get_version(), serializer.serialize(value)


def unpack(serializer: SimpleVersionedSerializer, packed: tuple[int, bytes]) -> Any:
    version, data = packed
    return serializer.deserialize(version, data)


class SourceOutput(ABC):
    """Where a reader emits records."""

    @abstractmethod
    def collect(self, value: Any, timestamp: int | None = None) -> None:
        """Emit one record."""

    @abstractmethod
    def collect_batch(self, values: list[Any], timestamps: list[int] | None = None) -> None:
        """Emit many at once. The lists are the runtime's from here on, and so are the values: they are not copied."""

    @abstractmethod
    def emit_watermark(self, timestamp: int) -> None:
        """For sources that know their watermarks themselves; effective only without a watermark strategy."""

    @abstractmethod
    def mark_idle(self) -> None:
        """Hold back nobody's watermark until the next record."""

    @abstractmethod
    def mark_active(self) -> None:
        """Take part in the watermark again."""


class ReaderOutput(SourceOutput):
    """The output of a whole reader; splits may have one each, so that each has its own watermark."""

    records_wanted: int = 1000
    """As many as the functions behind it take in some milliseconds: who emits no more in one `poll_next` keeps barriers
    from waiting where a function is slow. Read it in each call."""

    @abstractmethod
    def create_output_for_split(self, split_id: str) -> SourceOutput:
        """The output of one split; the reader's watermark is the lowest of its splits'."""

    @abstractmethod
    def release_output_for_split(self, split_id: str) -> None:
        """The split has ended."""


class SourceReaderContext(ABC):
    """What the runtime offers a reader. Its methods are for the task's thread, unless they say otherwise."""

    configuration: Configuration
    metrics: MetricGroup
    clock: Clock

    @abstractmethod
    def get_index_of_subtask(self) -> int: ...

    @abstractmethod
    def get_parallelism(self) -> int: ...

    @abstractmethod
    def send_split_request(self) -> None:
        """Ask the enumerator for a split."""

    @abstractmethod
    def send_source_event(self, event: Any) -> None:
        """Send something that can be pickled to the enumerator."""

    @abstractmethod
    def wake(self) -> None:
        """After NOTHING_AVAILABLE: poll again. May be called from any thread."""

    @abstractmethod
    def wake_at(self, timestamp_ms: int) -> None:
        """After NOTHING_AVAILABLE: poll again once the clock has passed this time."""

    @abstractmethod
    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Call `work()` in a thread, then `done(result, error)` on the task's thread, and then wake."""


class SourceReader(ABC, Generic[SPLIT]):
    """Reads splits, in a task."""

    def start(self) -> None:
        """Called once, before the first poll; splits that were restored are there already."""

    @abstractmethod
    def poll_next(self, output: ReaderOutput) -> InputStatus:
        """Emit a few records (some milliseconds' worth). Must not block."""

    def is_available(self) -> bool:
        """Asked after NOTHING_AVAILABLE, before the task goes to sleep: whether there is something by now."""
        return False

    @abstractmethod
    def snapshot_state(self, checkpoint_id: int) -> Sequence[SPLIT]:
        """The splits under way, with the positions up to which records were emitted."""

    @abstractmethod
    def add_splits(self, splits: Sequence[SPLIT]) -> None:
        """More to read."""

    def notify_no_more_splits(self) -> None:
        """There will be no other splits than those given."""

    def handle_source_events(self, event: Any) -> None:
        """From the enumerator."""

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The positions of this checkpoint are durable."""

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete."""

    def close(self) -> None:
        """Release resources."""


class SplitEnumeratorContext(ABC, Generic[SPLIT]):
    """What the runtime offers an enumerator."""

    configuration: Configuration

    @abstractmethod
    def current_parallelism(self) -> int: ...

    @abstractmethod
    def registered_readers(self) -> Mapping[int, int]:
        """The subtasks whose readers run now, and their attempts."""

    @abstractmethod
    def assign_split(self, split: SPLIT, subtask: int) -> None: ...

    @abstractmethod
    def assign_splits(self, assignment: Mapping[int, Sequence[SPLIT]]) -> None: ...

    @abstractmethod
    def signal_no_more_splits(self, subtask: int) -> None: ...

    @abstractmethod
    def send_event_to_source_reader(self, subtask: int, event: Any) -> None: ...

    @abstractmethod
    def call_async(
        self,
        work: Callable[[], Any],
        handler: Callable[[Any, BaseException | None], None],
        initial_delay_ms: int = 0,
        period_ms: int | None = None,
    ) -> None:
        """Call `work()` and give its result or error to `handler`; again each `period_ms`, if given."""


class SplitEnumerator(ABC, Generic[SPLIT, STATE]):
    """Finds splits and deals them out, on the JobManager. Never called concurrently."""

    def start(self) -> None:
        """Called once."""

    @abstractmethod
    def handle_split_request(self, subtask: int, hostname: str | None) -> None:
        """A reader asks for a split."""

    @abstractmethod
    def add_splits_back(self, splits: Sequence[SPLIT], subtask: int) -> None:
        """A reader failed before a checkpoint held these: deal them out again."""

    @abstractmethod
    def add_reader(self, subtask: int) -> None:
        """A reader runs now (again)."""

    @abstractmethod
    def snapshot_state(self, checkpoint_id: int) -> STATE:
        """What has not been dealt out yet."""

    def handle_source_event(self, subtask: int, event: Any) -> None:
        """From a reader."""

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """The checkpoint is durable."""

    def close(self) -> None:
        """Release resources."""


class Source(ABC, Generic[SPLIT, STATE]):
    """A source: makes enumerators and readers. Must be picklable."""

    @abstractmethod
    def get_boundedness(self) -> Boundedness: ...

    @abstractmethod
    def create_enumerator(self, context: SplitEnumeratorContext[SPLIT]) -> SplitEnumerator[SPLIT, STATE]: ...

    @abstractmethod
    def restore_enumerator(
        self, context: SplitEnumeratorContext[SPLIT], state: STATE
    ) -> SplitEnumerator[SPLIT, STATE]: ...

    @abstractmethod
    def create_reader(self, context: SourceReaderContext) -> SourceReader[SPLIT]: ...

    def get_produced_type(self) -> TypeInformation | None:
        """The type of its records where the source knows it; None: whatever the program declares."""
        return None

    def get_split_serializer(self) -> SimpleVersionedSerializer:
        return PickleSerializer()

    def get_enumerator_checkpoint_serializer(self) -> SimpleVersionedSerializer:
        return PickleSerializer()
