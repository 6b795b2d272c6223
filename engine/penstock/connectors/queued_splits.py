"""Splits handed out one at a time to whoever asks: the enumerator and the reader that most of our sources share.

The enumerator runs on the JobManager, readers in tasks. A reader asks when it has nothing left to read; the
enumerator answers with a split, or says that there will be none. What a checkpoint keeps: there the splits not yet
handed out, here those not yet read, with their positions.
"""

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, Generic, TypeVar, final

from penstock.operators.source_api import (
    InputStatus,
    ReaderOutput,
    SourceReader,
    SourceReaderContext,
    SplitEnumerator,
    SplitEnumeratorContext,
)

_RECORDS_PER_POLL: Final = 1000
"""Enough to make light of what a poll costs."""

SPLIT = TypeVar("SPLIT")


@final
class QueueEnumerator(SplitEnumerator[SPLIT, list[SPLIT]], Generic[SPLIT]):
    """Deals out splits that are all known at the start."""

    def __init__(self, context: SplitEnumeratorContext[SPLIT], splits: Iterable[SPLIT]) -> None:
        self._context = context
        self._splits = deque(splits)

    def handle_split_request(self, subtask: int, hostname: str | None) -> None:
        if self._splits:
            self._context.assign_split(self._splits.popleft(), subtask)
        else:
            self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits: Sequence[SPLIT], subtask: int) -> None:
        self._splits.extendleft(reversed(splits))

    def add_reader(self, subtask: int) -> None:
        """Readers ask by themselves."""

    def snapshot_state(self, checkpoint_id: int) -> list[SPLIT]:
        return list(self._splits)


class QueuedSplitReader(SourceReader[SPLIT], Generic[SPLIT]):
    """Reads one split after the other. Subclasses say how one is read."""

    def __init__(self, context: SourceReaderContext) -> None:
        self.context = context
        self._waiting: deque[SPLIT] = deque()
        self._reading = False
        self._asked = False
        self._no_more = False

    def start(self) -> None:
        if not self._waiting:
            self._ask()

    @final
    def poll_next(self, output: ReaderOutput) -> InputStatus:
        if not self._reading:
            if not self._waiting:
                return self._when_out_of_splits()
            self.begin(self._waiting.popleft())
            self._reading = True
        return self.read(output)

    def snapshot_state(self, checkpoint_id: int) -> list[SPLIT]:
        current = [self.current()] if self._reading else []
        return current + list(self._waiting)

    def add_splits(self, splits: Sequence[SPLIT]) -> None:
        self._waiting.extend(splits)
        self._asked = False

    def notify_no_more_splits(self) -> None:
        self._no_more = True

    def is_available(self) -> bool:
        return not self._reading and (bool(self._waiting) or self._no_more)

    @abstractmethod
    def begin(self, split: SPLIT) -> None:
        """This split is to be read now."""

    @abstractmethod
    def read(self, output: ReaderOutput) -> InputStatus:
        """Emit up to `share(output)` records; END_OF_INPUT has the meaning of `end_split`."""

    @abstractmethod
    def current(self) -> SPLIT:
        """The split that is being read, with its position."""

    def share(self, output: ReaderOutput) -> int:
        """How many records `read` may emit now."""
        return min(_RECORDS_PER_POLL, max(1, output.records_wanted))

    def end_split(self) -> InputStatus:
        """The split has been read to its end."""
        self._reading = False
        return InputStatus.MORE_AVAILABLE if self._waiting else self._when_out_of_splits()

    def take_turns(self) -> None:
        """Go on with the next of the splits that wait, if any, and put the current one behind them."""
        if self._waiting:
            self._waiting.append(self.current())
            self.begin(self._waiting.popleft())

    def _when_out_of_splits(self) -> InputStatus:
        if self._no_more:
            return InputStatus.END_OF_INPUT
        self._ask()
        return InputStatus.NOTHING_AVAILABLE

    def _ask(self) -> None:
        if not self._asked and not self._no_more:
            self._asked = True
            self.context.send_split_request()
