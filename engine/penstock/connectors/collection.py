"""A source over values that were there when the program was written.

The values travel once, with the source itself; splits and checkpoints hold positions only.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, final

from penstock.connectors.number_sequence import RangeSplit, even_ranges
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
class CollectionSource(Source[RangeSplit, list[RangeSplit]]):
    """Emits each value once; in order within a subtask."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = list(values)

    def get_boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, even_ranges(0, len(self._values), context.current_parallelism()))

    def restore_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit], state: list[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[RangeSplit]:
        return _CollectionReader(context, self._values)


@final
class _CollectionReader(QueuedSplitReader[RangeSplit]):
    def __init__(self, context: SourceReaderContext, values: list[Any]) -> None:
        super().__init__(context)
        self._values = values

    def begin(self, split: RangeSplit) -> None:
        self._split = split

    def read(self, output: ReaderOutput) -> InputStatus:
        split = self._split
        stop = min(split.stop, split.next + self.share(output))
        output.collect_batch(self._values[split.next : stop])
        self._split = replace(split, next=stop)
        return self.end_split() if stop == split.stop else InputStatus.MORE_AVAILABLE

    def current(self) -> RangeSplit:
        return self._split
