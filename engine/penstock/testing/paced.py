"""A source for fault tests: numbers at a steady pace, the last of them only when the test says so.

The pace makes faults hit in the middle; the file `finish` in the gate folder lets the job end, so a test never has to
be quick: until then the last numbers come drop by drop. The file `hurry` ends the pace. What is emitted in the end does
not depend on any of it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

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

FINISH: Final = "finish"
HURRY: Final = "hurry"
_PAUSE_MS: Final = 5
_DROP_S: Final = 0.05
_AT_ONCE_MAX: Final = 1_000


@final
@dataclass(frozen=True)
class PacedNumbers(Source[RangeSplit, list[RangeSplit]]):
    """All whole numbers from `start` up to, without, `stop`; in order within a split."""

    start: int
    stop: int
    gate: str
    """Folder in which the test makes the file `finish`."""
    per_second: int = 1000
    """Of one subtask."""
    held: int = 100
    """So many numbers wait for the file, but for a drop now and then; the last of them in any case."""
    splits: int | None = None
    """How many there are. As many as subtasks unless given, and then only the last one waits for the file."""
    waiting: int | None = None
    """The same, but that each of them waits: as many subtasks have data until then."""

    def get_boundedness(self) -> Boundedness:
        return Boundedness.BOUNDED

    def create_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        count = self.splits or self.waiting or context.current_parallelism()
        return QueueEnumerator(context, even_ranges(self.start, self.stop, count))

    def restore_enumerator(
        self, context: SplitEnumeratorContext[RangeSplit], state: list[RangeSplit]
    ) -> SplitEnumerator[RangeSplit, list[RangeSplit]]:
        return QueueEnumerator(context, state)

    def create_reader(self, context: SourceReaderContext) -> SourceReader[RangeSplit]:
        return _PacedReader(context, self)


@final
class _PacedReader(QueuedSplitReader[RangeSplit]):
    def __init__(self, context: SourceReaderContext, source: PacedNumbers) -> None:
        super().__init__(context)
        self._source = source
        self._finish = Path(source.gate) / FINISH
        self._hurry = Path(source.gate) / HURRY
        self._begun_s = context.clock.monotonic()
        self._emitted = 0
        self._dropped_s = self._begun_s

    def begin(self, split: RangeSplit) -> None:
        self._split = split

    def read(self, output: ReaderOutput) -> InputStatus:
        split, source = self._split, self._source
        now_s = self.context.clock.monotonic()
        due = int((now_s - self._begun_s) * source.per_second) - self._emitted
        if self._hurry.exists():
            due = max(due, _AT_ONCE_MAX)
        stop = min(split.stop, split.next + due)
        last = split.stop - self._held(split)
        if stop > last and not self._finish.exists():
            stop = max(split.next, last)
            if stop < split.stop - 1 and now_s - self._dropped_s > _DROP_S:
                stop, self._dropped_s = stop + 1, now_s
        if stop > split.next:
            output.collect_batch(list(range(split.next, stop)))
            self._emitted += stop - split.next
            self._split = replace(split, next=stop)
        if stop == split.stop:
            return self.end_split()
        self.context.wake_at(self.context.clock.now_ms() + _PAUSE_MS)
        return InputStatus.NOTHING_AVAILABLE

    def current(self) -> RangeSplit:
        return self._split

    def _held(self, split: RangeSplit) -> int:
        source = self._source
        return min(source.held, split.stop - split.next) if source.splits is None or split.stop == source.stop else 0
