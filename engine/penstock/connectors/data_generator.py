"""A source that makes its records from their indices: 0, 1, 2, ... dealt out to the subtasks in turn.

A record is what the generator function makes of its index, so a restored source goes on with the very same records.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

from penstock.base.errors import JobDefinitionError
from penstock.connectors.queued_splits import QueuedSplitReader, QueueEnumerator
from penstock.connectors.rate_limiter import RateLimiterStrategy
from penstock.operators.source_api import (
    Boundedness,
    InputStatus,
    ReaderOutput,
    Source,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)

_FOREVER: Final = 2**63 - 1


@final
@dataclass(frozen=True, slots=True)
class IndexSplit:
    """The indices `next`, `next + step`, ... below `stop`."""

    split_id: str
    next: int
    stop: int
    step: int


@final
class DataGeneratorSource(Source[IndexSplit, list[IndexSplit]]):
    """Emits `generator_function(index)` for each index below `count`, or without end, at most at a given rate."""

    def __init__(
        self,
        generator_function: Callable[[int], Any],
        count: int | None = None,
        rate_limiter_strategy: RateLimiterStrategy | None = None,
    ) -> None:
        function = getattr(generator_function, "map", generator_function)
        if not callable(function):
            raise JobDefinitionError(f"a generator function is called with an index, found {generator_function!r}")
        if count is not None and count < 0:
            raise JobDefinitionError(f"the count of generated records is 0 or above, found {count}")
        self._generate: Callable[[int], Any] = function
        self._count = count
        self._strategy = rate_limiter_strategy or RateLimiterStrategy.no_op()

    def get_boundedness(self) -> Boundedness:
        return Boundedness.CONTINUOUS_UNBOUNDED if self._count is None else Boundedness.BOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[IndexSplit]
    ) -> SplitEnumerator[IndexSplit, list[IndexSplit]]:
        readers = context.current_parallelism()
        stop = _FOREVER if self._count is None else self._count
        return QueueEnumerator(context, [IndexSplit(str(first), first, stop, readers) for first in range(readers)])

    def restore_enumerator(
        self, context: SplitEnumeratorContext[IndexSplit], state: list[IndexSplit]
    ) -> SplitEnumerator[IndexSplit, list[IndexSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[IndexSplit]:
        return _GeneratorReader(context, self._generate, self._strategy)


@final
class _GeneratorReader(QueuedSplitReader[IndexSplit]):
    """Works on all its splits in turn, as those of an endless source never end."""

    def __init__(
        self, context: SourceReaderContext, generate: Callable[[int], Any], strategy: RateLimiterStrategy
    ) -> None:
        super().__init__(context)
        self._generate = generate
        self._limiter = strategy.create_rate_limiter(context.get_parallelism(), context.get_index_of_subtask())

    def begin(self, split: IndexSplit) -> None:
        self._split = split

    def read(self, output: ReaderOutput) -> InputStatus:
        split, now_s = self._split, self.context.clock.monotonic()
        left = max(0, -(-(split.stop - split.next) // split.step))
        wanted = min(left, self.share(output))
        count = self._limiter.take(wanted, now_s)
        if count:
            stop = split.next + count * split.step
            output.collect_batch(list(map(self._generate, range(split.next, stop, split.step))))
            self._split = replace(split, next=stop)
        if count == left:
            return self.end_split()
        self.take_turns()
        if count == wanted:
            return InputStatus.MORE_AVAILABLE
        # Permits come all the time: taken one by one as they come, they would make batches of a few records each.
        self._sleep(now_s)
        return InputStatus.NOTHING_AVAILABLE

    def current(self) -> IndexSplit:
        return self._split

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self._limiter.checkpoint_complete()
        self.context.wake()

    def _sleep(self, now_s: float) -> None:
        at_s = self._limiter.next_at(now_s)
        if at_s is not None:
            self.context.wake_at(self.context.clock.now_ms() + max(1, round((at_s - now_s) * 1000)))
