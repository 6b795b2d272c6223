"""What a task writes: the record writers of all edges that leave its chain, taken as one."""

from collections.abc import Callable, Sequence
from typing import final

from penstock.exchange.writer import RecordWriter
from penstock.records.batch import Control


@final
class TaskOutput:
    """All writers of a task. The task runs only while every one of them has credit."""

    def __init__(self) -> None:
        self.writers: tuple[RecordWriter, ...] = ()

    def connect(self, writers: Sequence[RecordWriter]) -> None:
        """The consumers are there: write to them from now on."""
        self.writers = tuple(writers)

    @property
    def has_credit(self) -> bool:
        """Whether every channel of every edge can take more."""
        for writer in self.writers:
            if not writer.has_credit:
                return False
        return True

    def on_credit(self, kick: Callable[[], None]) -> None:
        """Have `kick` called when credit comes back."""
        for writer in self.writers:
            writer.on_credit = kick

    def control(self, element: Control) -> None:
        """Send a control element on every edge, behind all records."""
        for writer in self.writers:
            writer.write_control(element)

    def flush(self) -> None:
        """Send what has been gathered: the task has nothing to do, or says something that must not wait."""
        for writer in self.writers:
            writer.flush()

    def close(self) -> None:
        """The task has ended: what was sent before its EndOfPartition still goes out, all else is dropped."""
        for writer in self.writers:
            writer.close()
