"""A channel inside one worker: hands batches over as they are. The same two interfaces, bounded by count.

Made by the worker for an edge between two of its own tasks. Nothing is encoded, so its memory is what its batches'
records take, which the bounds in records and elements hold to a few batches.
"""

from collections import deque
from typing import final

from penstock.base.clock import Clock
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel, OutputChannel, Traffic
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.texts import CodedTexts
from penstock.records.batch import Batch, Control, Element, EndOfPartition


def local_channel(channel: ChannelId, settings: ExchangeSettings, clock: Clock) -> tuple["LocalOutput", "LocalInput"]:
    """Both ends of a new channel."""
    consumer = LocalInput(channel)
    producer = LocalOutput(channel, settings, clock, consumer)
    consumer.attach(producer)
    return producer, consumer


@final
class LocalOutput(OutputChannel):
    """Starved while the queue holds a bound's worth, until half of it is taken."""

    def __init__(self, channel: ChannelId, settings: ExchangeSettings, clock: Clock, consumer: "LocalInput") -> None:
        self.channel = channel
        self.traffic = Traffic()
        self._batch_records = settings.batch_records
        self._batches_max = settings.local_batches
        self._records_max = settings.local_records
        self._clock = clock
        self._consumer: LocalInput | None = consumer
        self._starved_since: float | None = None
        self._starved_s = 0.0

    @property
    def has_credit(self) -> bool:
        return self._starved_since is None

    @property
    def is_drained(self) -> bool:
        return self._starved_since is None

    @property
    def parked_bytes(self) -> int:
        return 0

    @property
    def batch_records(self) -> int:
        return self._batch_records

    @property
    def backpressured_s(self) -> float:
        ongoing = 0.0 if self._starved_since is None else self._clock.monotonic() - self._starved_since
        return self._starved_s + ongoing

    def write_batch(self, batch: Batch | CodedTexts) -> None:
        assert type(batch) is Batch, "within one worker nothing is coded"
        if batch.values:
            self.traffic.records += len(batch.values)
            self.traffic.batches += 1
            self._put(batch, len(batch.values))

    def write_control(self, element: Control) -> None:
        self._put(element, 0)

    def close(self) -> None:
        self._consumer = None
        self._fed()

    def taken(self, elements: int, records: int) -> None:
        """The consumer has taken something; this much is still queued."""
        if self._starved_since is not None and 2 * elements <= self._batches_max and 2 * records <= self._records_max:
            self._fed()
            self.on_credit()

    def _put(self, element: Element, records: int) -> None:
        consumer = self._consumer
        if consumer is None:
            return
        consumer.put(element, records)
        full = consumer.queued_elements >= self._batches_max or consumer.queued_records >= self._records_max
        if full and self._starved_since is None:
            self._starved_since = self._clock.monotonic()

    def _fed(self) -> None:
        if self._starved_since is not None:
            self._starved_s += self._clock.monotonic() - self._starved_since
            self._starved_since = None


@final
class LocalInput(InputChannel):
    """A queue of elements."""

    def __init__(self, channel: ChannelId) -> None:
        self.channel = channel
        self.traffic = Traffic()
        self.queued_records = 0
        self._queue: deque[Element] = deque()
        self._producer: LocalOutput | None = None
        self._blocked = False
        self._complete = False
        self._over = False

    def attach(self, producer: LocalOutput) -> None:
        """Tell `producer` what is taken."""
        self._producer = producer

    @property
    def queued_elements(self) -> int:
        return len(self._queue)

    @property
    def has_data(self) -> bool:
        return bool(self._queue) and not self._blocked

    @property
    def is_blocked(self) -> bool:
        return self._blocked

    @property
    def is_complete(self) -> bool:
        return self._complete

    @property
    def queued_bytes(self) -> int:
        return 0

    def take(self) -> Element | None:
        queue = self._queue
        if self._blocked or not queue:
            return None
        element = queue.popleft()
        if isinstance(element, Batch):
            count = len(element.values)
            self.queued_records -= count
            self.traffic.records += count
            self.traffic.batches += 1
        if self._producer is not None:
            self._producer.taken(len(queue), self.queued_records)
        return element

    def block(self) -> None:
        self._blocked = True

    def unblock(self) -> None:
        if self._blocked:
            self._blocked = False
            if self._queue:
                self.on_data()

    def close(self) -> None:
        self._over = True
        self._queue.clear()
        self.queued_records = 0
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def put(self, element: Element, records: int) -> None:
        """For the producer's end only."""
        if self._over:
            return
        first = not self._queue
        self._complete = isinstance(element, EndOfPartition)
        self._queue.append(element)
        self.queued_records += records
        if first and not self._blocked:
            self.on_data()
