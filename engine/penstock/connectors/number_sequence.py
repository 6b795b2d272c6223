"""The numbers from one to another, dealt out in as many ranges as the source has subtasks."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

from penstock.base.errors import JobDefinitionError
from penstock.common.type_infos import TypeInformation
from penstock.common.typeinfo import Types
from penstock.connectors.queued_splits import QueuedSplitReader, QueueEnumerator
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


@final
@dataclass(frozen=True, slots=True)
class RangeSplit:
    """Numbers from `next` up to, without, `stop`."""

    split_id: str
    next: int
    stop: int


def even_ranges(start: int, stop: int, count: int) -> list[RangeSplit]:
    """`start` to `stop` in `count` contiguous ranges that differ by one at most; none is empty."""
    total = max(0, stop - start)
    bounds = [start + total * index // count for index in range(count + 1)]
    pairs = pairwise(bounds)
    return [RangeSplit(str(index), begin, end) for index, (begin, end) in enumerate(pairs) if begin < end]


@final
class NumberSequenceSource(Source[RangeSplit, list[RangeSplit]]):
    """All whole numbers from `start` to `end`, both included. In order within a subtask."""

    def __init__(self, start: int, end: int) -> None:
        if start > end:
            raise JobDefinitionError(f"a number sequence ends where it begins or later: found {start} to {end}")
        self._start = start
        self._end = end

    def get_produced_type(self) -> TypeInformation:
        return Types.LONG()

    def get_boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, even_ranges(self._start, self._end + 1, context.current_parallelism()))

    def restore_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit], state: list[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[RangeSplit]:
        return _NumberReader(context)


@final
class _NumberReader(QueuedSplitReader[RangeSplit]):
    def begin(self, split: RangeSplit) -> None:
        self._split = split

    def read(self, output: ReaderOutput) -> InputStatus:
        split = self._split
        stop = min(split.stop, split.next + self.share(output))
        output.collect_batch(list(range(split.next, stop)))
        self._split = replace(split, next=stop)
        return self.end_split() if stop == split.stop else InputStatus.MORE_AVAILABLE

    def current(self) -> RangeSplit:
        return self._split
