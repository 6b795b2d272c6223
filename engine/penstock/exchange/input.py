"""The consumer's end of a channel from another worker: a queue of encoded elements, and the credit for them.

Fed by `server.DataServer`; taken from by a task. Elements stay encoded until they are taken, so that what is queued
never takes more memory than was granted. Knows nothing of sockets: it is given a function that grants credit.

The receiver grants a window at the start and gives bytes back when they are taken, in bulk. A batch larger than the
window gets a loan for what exceeds it, which is withheld when it is taken: memory is bounded by the window and the
largest records, and every batch gets through.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import msgspec

from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel, Traffic
from penstock.exchange.codec import BatchDecoder, decode_control
from penstock.exchange.wire import CHANNEL, CHANNEL_AND_SIZE, Kind
from penstock.records.batch import Element, EndOfPartition

Grant = Callable[[int], None]
"""`grant(bytes)`: tell the producer that it may send so many bytes more."""

_NOTHING: Final = memoryview(b"")


class _Queued(msgspec.Struct, frozen=True):
    """An encoded element, and the credit that its taking gives back."""

    kind: Kind
    data: memoryview
    credit: int


@final
class RemoteInput(InputChannel):
    """Grants credit for what is taken, never for what is queued."""

    def __init__(self, channel: ChannelId, window_bytes: int, release: Callable[["RemoteInput"], None]) -> None:
        self.channel = channel
        self.traffic = Traffic()
        self._window_bytes = window_bytes
        self._release = release
        self._grant: Grant | None = None
        self._granted = 0
        """Bytes that the producer may still send."""
        self._owed = 0
        """Bytes taken, whose credit has not gone back yet."""
        self._decode = BatchDecoder().decode
        self._queue: deque[_Queued] = deque()
        self._queued_bytes = 0
        self._whole: bytearray | None = None
        self._arrived = 0
        self._loan = 0
        self._blocked = False
        self._complete = False
        self._over = False
        self._released = False

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
        return self._queued_bytes + self._arrived

    @property
    def is_open(self) -> bool:
        """Whether a producer has opened the channel."""
        return self._grant is not None

    def take(self) -> Element | None:
        if self._blocked or not self._queue:
            return None
        queued = self._queue.popleft()
        data = queued.data
        self._queued_bytes -= len(data)
        self._owed += queued.credit
        # While a batch larger than a frame is arriving, its producer needs every byte that can be had.
        if self._owed * 4 >= self._window_bytes or self._whole is not None:
            self._give_back()
        if queued.kind is not Kind.BATCH:
            return EndOfPartition() if queued.kind is Kind.CLOSE else decode_control(data)
        batch = self._decode(data)
        traffic = self.traffic
        traffic.records += len(batch.values)
        traffic.batches += 1
        traffic.bytes += len(data)
        return batch

    def block(self) -> None:
        self._blocked = True

    def unblock(self) -> None:
        if self._blocked:
            self._blocked = False
            if self._queue:
                self.on_data()

    def close(self) -> None:
        if not self._released:
            self._over = self._released = True
            self._queue.clear()
            self._queued_bytes = 0
            self._whole, self._arrived = None, 0
            self._release(self)

    def opened(self, grant: Grant) -> None:
        """A producer has connected: grant it the window."""
        if self._grant is not None:
            raise ProtocolError(f"channel {self.channel} was opened twice")
        self._grant = grant
        self._owed = self._window_bytes
        self._give_back()

    def arrived(self, kind: Kind, payload: bytes | bytearray) -> None:
        """A frame of this channel has come, its fields checked but for the credit."""
        if self._over:
            return
        match kind:
            case Kind.BATCH | Kind.CONTROL:
                data = memoryview(payload)[CHANNEL.size :]
                self._spend(len(data))
                self._enqueue(_Queued(kind, data, len(data)))
            case Kind.FIRST:
                self._begin(CHANNEL_AND_SIZE.unpack_from(payload)[1], memoryview(payload)[CHANNEL_AND_SIZE.size :])
            case Kind.PART:
                self._append(memoryview(payload)[CHANNEL.size :])
            case Kind.CLOSE:
                self._complete = True
                self._enqueue(_Queued(kind, _NOTHING, 0))
            case _:
                raise ProtocolError(f"channel {self.channel}: a frame of kind {kind.name} comes from producers never")

    def lost(self, reason: str) -> None:
        """The producer's connection has ended."""
        if not self._over and not self._complete:
            self._over = True
            self.on_lost(reason)

    def _begin(self, size: int, data: memoryview) -> None:
        if self._whole is not None:
            raise ProtocolError(f"channel {self.channel}: a batch begins before the one before it is whole")
        if len(data) > size:
            raise ProtocolError(f"channel {self.channel}: a batch of {size} bytes begins with {len(data)}")
        self._whole = bytearray(size)
        self._loan = max(0, size - self._window_bytes)
        self._owed += self._loan
        self._append(data)
        if self._owed:
            self._give_back()

    def _append(self, data: memoryview) -> None:
        whole = self._whole
        if whole is None or self._arrived + len(data) > len(whole):
            raise ProtocolError(f"channel {self.channel}: {len(data)} bytes belong to no batch")
        self._spend(len(data))
        whole[self._arrived : self._arrived + len(data)] = data
        self._arrived += len(data)
        if self._arrived == len(whole):
            credit = len(whole) - self._loan
            self._whole, self._arrived, self._loan = None, 0, 0
            self._enqueue(_Queued(Kind.BATCH, memoryview(whole), credit))

    def _enqueue(self, queued: _Queued) -> None:
        first = not self._queue
        self._queue.append(queued)
        self._queued_bytes += len(queued.data)
        if first and not self._blocked:
            self.on_data()

    def _spend(self, count: int) -> None:
        if count > self._granted:
            raise ProtocolError(f"channel {self.channel}: {count} bytes came, but only {self._granted} were granted")
        self._granted -= count

    def _give_back(self) -> None:
        count, self._owed = self._owed, 0
        self._granted += count
        if self._grant is not None:
            self._grant(count)
