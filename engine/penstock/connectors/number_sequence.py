"""The numbers from one to another, dealt out in ranges to whichever subtask is ready for the next one."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, final

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

_SPLIT_MIN: Final = 10_000
"""So many numbers take longer to read than the next split to come."""


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


def shrinking_ranges(start: int, stop: int, readers: int) -> list[RangeSplit]:
    """`start` to `stop` in contiguous ranges, each half of what every reader would have of the rest.

    So a reader on a slower core gets fewer of them, and all end at about the same time. Where there is too little to
    be worth that, as many even ones as there are readers.
    """
    if stop - start < 2 * readers * _SPLIT_MIN:
        return even_ranges(start, stop, readers)
    bounds = [start]
    while bounds[-1] < stop:
        rest = stop - bounds[-1]
        bounds.append(bounds[-1] + min(rest, max(_SPLIT_MIN, rest // (2 * readers))))
    return [RangeSplit(str(index), *bound) for index, bound in enumerate(pairwise(bounds))]


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
        return QueueEnumerator(context, shrinking_ranges(self._start, self._end + 1, context.current_parallelism()))

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
