"""The two ends of a channel: what a producer task writes to, what a consumer task takes from.

One channel carries one edge's records from one producer subtask to one consumer subtask, in order. Between workers
it is `output.RemoteOutput` and `input.RemoteInput`, within one `local.LocalOutput` and `local.LocalInput`; tasks and
`writer.RecordWriter` know these interfaces only. Everything runs on the worker's loop; callbacks must only schedule
work, never do it, for they come in the middle of the other end's step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

from penstock.base.ids import ChannelId
from penstock.exchange.texts import CodedTexts, TextDictionary
from penstock.records.batch import Batch, Control, Element


@final
class Traffic:
    """What has passed one end of a channel. Plain counters, read by metrics at their leisure."""

    __slots__ = ("batches", "bytes", "records")

    def __init__(self) -> None:
        self.records = 0
        self.batches = 0
        self.bytes = 0
        """0 within one worker, where nothing is encoded."""


def nothing() -> None:
    """The callback of who does not listen."""


def ignore_loss(reason: str) -> None:
    """The loss callback of who does not listen."""


class OutputChannel(ABC):
    """The producer's end.

    Writing never fails and never blocks: what exceeds the receiver's credit is parked here. A producer that minds
    `has_credit` before each step parks at most what one step produces.
    """

    channel: ChannelId
    traffic: Traffic
    dictionary: TextDictionary | None = None
    """By which `CodedTexts` are numbered; None within one worker, where there are none."""
    on_credit: Callable[[], None] = staticmethod(nothing)
    """Called when `has_credit` becomes true again."""
    on_lost: Callable[[str], None] = staticmethod(ignore_loss)
    """Called at most once, with the reason, when the consumer cannot be reached any more."""

    @property
    @abstractmethod
    def has_credit(self) -> bool:
        """Whether the task may run: nothing is parked, and the receiver has room."""

    @property
    @abstractmethod
    def is_drained(self) -> bool:
        """Whether nothing is parked: all that was written is on its way."""

    @property
    @abstractmethod
    def parked_bytes(self) -> int:
        """What waits for credit, in encoded bytes."""

    @property
    @abstractmethod
    def batch_records(self) -> int:
        """How many records are worth gathering, by recent experience: what is written costs by the batch too."""

    @property
    @abstractmethod
    def backpressured_s(self) -> float:
        """Time spent without credit so far."""

    @abstractmethod
    def write_batch(self, batch: Batch | CodedTexts) -> None:
        """Send a batch. The caller gives it away. Raises UnsendableRecord for what cannot be pickled."""

    @abstractmethod
    def write_control(self, element: Control) -> None:
        """Send a control element, after all that was written before it."""

    @abstractmethod
    def close(self) -> None:
        """The task has ended. What is parked still goes out by itself, as credit comes, if an EndOfPartition is its
        end; otherwise the task was cancelled or failed, and it is thrown away."""


class InputChannel(ABC):
    """The consumer's end: a queue of elements, bounded by the credit that was granted."""

    channel: ChannelId
    traffic: Traffic
    on_data: Callable[[], None] = staticmethod(nothing)
    """Called when `has_data` becomes true."""
    on_lost: Callable[[str], None] = staticmethod(ignore_loss)
    """Called at most once, with the reason, when the producer was lost before its EndOfPartition came."""

    @property
    @abstractmethod
    def has_data(self) -> bool:
        """Whether `take` will give an element."""

    @property
    @abstractmethod
    def is_blocked(self) -> bool:
        """Whether the channel waits for others, to align a barrier."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the producer's EndOfPartition has come: nothing follows what is queued."""

    @property
    @abstractmethod
    def queued_bytes(self) -> int:
        """What waits to be taken, in encoded bytes; 0 within one worker."""

    @abstractmethod
    def take(self) -> Element | None:
        """The next element, and credit for it back to the producer; None if there is none or the channel is blocked."""

    @abstractmethod
    def block(self) -> None:
        """Give out nothing, and so no credit, until `unblock`. Other channels of the same connection go on."""

    @abstractmethod
    def unblock(self) -> None:
        """Give out again what is queued."""

    @abstractmethod
    def close(self) -> None:
        """Throw away what is queued and take nothing more: the task has ended."""
