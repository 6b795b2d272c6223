"""A source over values that were there when the program was written.

The values travel once, pickled, with the source itself; splits and checkpoints hold positions only.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, final

import cloudpickle

from penstock.base.errors import JobDefinitionError
from penstock.connectors.number_sequence import RangeSplit, even_ranges
from penstock.connectors.queued_splits import RECORDS_PER_POLL, QueuedSplitReader, QueueEnumerator
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
        listed = list(values)
        self._count = len(listed)
        try:
            self._pickled: bytes = cloudpickle.dumps(listed, protocol=5)
        except Exception as error:
            position = next((index for index, value in enumerate(listed) if not _can_be_pickled(value)), 0)
            raise JobDefinitionError(
                f"element {position} of the collection, a {type(listed[position]).__name__}, cannot be pickled: {error}"
            ) from error

    def get_boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, even_ranges(0, self._count, context.current_parallelism()))

    def restore_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit], state: list[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[RangeSplit]:
        return _CollectionReader(context, self._pickled)


@final
class _CollectionReader(QueuedSplitReader[RangeSplit]):
    def __init__(self, context: SourceReaderContext, pickled: bytes) -> None:
        super().__init__(context)
        self._pickled = pickled
        self._values: list[Any] | None = None

    def begin(self, split: RangeSplit) -> None:
        self._split = split
        if self._values is None:
            self._values = cloudpickle.loads(self._pickled)

    def read(self, output: ReaderOutput) -> InputStatus:
        assert self._values is not None
        split = self._split
        stop = min(split.stop, split.next + RECORDS_PER_POLL)
        output.collect_batch(self._values[split.next : stop])
        self._split = replace(split, next=stop)
        return self.end_split() if stop == split.stop else InputStatus.MORE_AVAILABLE

    def current(self) -> RangeSplit:
        return self._split


def _can_be_pickled(value: Any) -> bool:
    try:
        cloudpickle.dumps(value, protocol=5)
    except Exception:
        return False
    return True
