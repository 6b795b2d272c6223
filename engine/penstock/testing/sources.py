"""A source driven by hand: enumerator and readers in one thread, background work done when the test says so."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from penstock.common.configuration import Configuration
from penstock.common.metrics import MetricTree
from penstock.operators.source_api import (
    InputStatus,
    ReaderOutput,
    Source,
    SourceOutput,
    SourceReaderContext,
    SplitEnumeratorContext,
    pack,
    unpack,
)
from penstock.testing.clocks import ManualClock


@final
@dataclass(frozen=True)
class SourceSnapshot:
    """What a checkpoint of a source holds, serialised."""

    enumerator: tuple[int, bytes]
    splits: tuple[tuple[int, bytes], ...]


@final
class SourceRun:
    """One source with its readers. `values[i]` is what reader i has emitted."""

    def __init__(
        self,
        source: Source[Any, Any],
        *,
        parallelism: int = 1,
        clock: ManualClock | None = None,
        configuration: Configuration | None = None,
        restored: SourceSnapshot | None = None,
    ) -> None:
        self.source = source
        self.clock = clock or ManualClock()
        self.configuration = configuration or Configuration()
        self.values: list[list[Any]] = [[] for _ in range(parallelism)]
        self.batches: list[int] = []
        self.background: deque[Callable[[], None]] = deque()
        self._events: deque[Callable[[], None]] = deque()
        self._ended: set[int] = set()
        context = _EnumeratorContext(self, parallelism)
        states = source.get_enumerator_checkpoint_serializer()
        if restored is None:
            self.enumerator = source.create_enumerator(context)
        else:
            self.enumerator = source.restore_enumerator(context, unpack(states, restored.enumerator))
        self.enumerator.start()
        self.readers = [source.create_reader(_ReaderContext(self, index)) for index in range(parallelism)]
        splits = [] if restored is None else [unpack(source.get_split_serializer(), s) for s in restored.splits]
        for index, reader in enumerate(self.readers):
            if mine := splits[index::parallelism]:
                reader.add_splits(mine)
            reader.start()
            self.enumerator.add_reader(index)

    @property
    def all_values(self) -> list[Any]:
        return [value for values in self.values for value in values]

    def poll(self, subtask: int = 0) -> InputStatus:
        """Deliver what was said between readers and enumerator, then poll once."""
        self.deliver()
        status = self.readers[subtask].poll_next(_Output(self, subtask))
        if status is InputStatus.END_OF_INPUT:
            self._ended.add(subtask)
        self.deliver()
        return status

    def deliver(self) -> None:
        """Requests to the enumerator, splits to the readers."""
        while self._events:
            self._events.popleft()()

    def do_background(self) -> bool:
        """Do one piece of the work that readers gave to threads; False: there is none."""
        if not self.background:
            return False
        self.background.popleft()()
        return True

    def run(self, polls_max: int = 100_000) -> "SourceRun":
        """Poll until every reader has ended, or until nothing moves any more."""
        for _ in range(polls_max):
            statuses = [self.poll(i) for i in range(len(self.readers)) if i not in self._ended]
            if not statuses:
                return self
            stuck = all(status is InputStatus.NOTHING_AVAILABLE for status in statuses)
            moved = self.do_background() or any(reader.is_available() for reader in self.readers)
            if stuck and not moved:
                return self
        raise AssertionError(f"the source has not ended within {polls_max} rounds")

    @property
    def has_ended(self) -> bool:
        return len(self._ended) == len(self.readers)

    def snapshot(self, checkpoint: int = 1) -> SourceSnapshot:
        """As a checkpoint would take it now."""
        self.deliver()
        splits = [split for reader in self.readers for split in reader.snapshot_state(checkpoint)]
        serializer = self.source.get_split_serializer()
        states = self.source.get_enumerator_checkpoint_serializer()
        return SourceSnapshot(
            pack(states, self.enumerator.snapshot_state(checkpoint)), tuple(pack(serializer, split) for split in splits)
        )

    def close(self) -> None:
        for reader in self.readers:
            reader.close()
        self.enumerator.close()

    def post(self, event: Callable[[], None]) -> None:
        """Have something done before the next poll."""
        self._events.append(event)


class _Output(ReaderOutput):
    def __init__(self, run: SourceRun, subtask: int) -> None:
        self._run = run
        self._values = run.values[subtask]

    def collect(self, value: Any, timestamp: int | None = None) -> None:
        self.collect_batch([value])

    def collect_batch(self, values: list[Any], timestamps: list[int] | None = None) -> None:
        self._values.extend(values)
        self._run.batches.append(len(values))

    def emit_watermark(self, timestamp: int) -> None:
        """Not looked at."""

    def mark_idle(self) -> None:
        """Not looked at."""

    def mark_active(self) -> None:
        """Not looked at."""

    def create_output_for_split(self, split_id: str) -> SourceOutput:
        return self

    def release_output_for_split(self, split_id: str) -> None:
        """Not looked at."""


class _ReaderContext(SourceReaderContext):
    def __init__(self, run: SourceRun, index: int) -> None:
        self._run = run
        self._index = index
        self.configuration = run.configuration
        self.clock = run.clock
        self.metrics = MetricTree(run.clock).root

    def get_index_of_subtask(self) -> int:
        return self._index

    def get_parallelism(self) -> int:
        return len(self._run.values)

    def send_split_request(self) -> None:
        self._run.post(lambda: self._run.enumerator.handle_split_request(self._index, None))

    def send_source_event(self, event: Any) -> None:
        self._run.post(lambda: self._run.enumerator.handle_source_event(self._index, event))

    def wake(self) -> None:
        """Readers are polled anyway."""

    def wake_at(self, timestamp_ms: int) -> None:
        """Readers are polled anyway."""

    def run_in_background(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._run.background.append(lambda: _call(work, done))


class _EnumeratorContext(SplitEnumeratorContext[Any]):
    def __init__(self, run: SourceRun, parallelism: int) -> None:
        self._run = run
        self._parallelism = parallelism
        self.configuration = run.configuration

    def current_parallelism(self) -> int:
        return self._parallelism

    def registered_readers(self) -> Mapping[int, int]:
        return dict.fromkeys(range(self._parallelism), 0)

    def assign_split(self, split: Any, subtask: int) -> None:
        self._run.post(lambda: self._run.readers[subtask].add_splits([split]))

    def assign_splits(self, assignment: Mapping[int, Sequence[Any]]) -> None:
        for subtask, splits in assignment.items():
            for split in splits:
                self.assign_split(split, subtask)

    def signal_no_more_splits(self, subtask: int) -> None:
        self._run.post(lambda: self._run.readers[subtask].notify_no_more_splits())

    def send_event_to_source_reader(self, subtask: int, event: Any) -> None:
        self._run.post(lambda: self._run.readers[subtask].handle_source_events(event))

    def call_async(
        self,
        work: Callable[[], Any],
        handler: Callable[[Any, BaseException | None], None],
        initial_delay_ms: int = 0,
        period_ms: int | None = None,
    ) -> None:
        def fire(_: int) -> None:
            _call(work, handler)
            if period_ms is not None:
                self._run.clock.at(self._run.clock.now_ms() + period_ms, fire)

        if initial_delay_ms == 0:
            self._run.post(lambda: fire(0))
        else:
            self._run.clock.at(self._run.clock.now_ms() + initial_delay_ms, fire)


def _call(work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
    try:
        result = work()
    except Exception as error:
        done(None, error)
    else:
        done(result, None)
