"""The producer's end of a channel to another worker: encodes, spends credit, parks what exceeds it.

Owned by a task's `RecordWriter`; fed with credit by `client.DataClient`. Knows nothing of sockets: it is given a
function that sends a frame. Runs once per batch, never per record.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.ids import ChannelId
from penstock.exchange.channels import OutputChannel, Traffic
from penstock.exchange.codec import BatchEncoder, encode_control
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.texts import CodedTexts, TextDictionary
from penstock.exchange.wire import CHANNEL, CHANNEL_AND_SIZE, Kind
from penstock.records.batch import Batch, Control, EndOfPartition

Send = Callable[..., None]
"""`send(kind, *parts)`: one frame."""

_NOTHING: Final = b""


class _Parked(msgspec.Struct):
    """What waits for credit; of a batch larger than a frame, `sent` bytes are gone already."""

    kind: Kind
    data: bytes
    sent: int = 0


@final
class RemoteOutput(OutputChannel):
    """Never has more in flight than the receiver has granted."""

    def __init__(
        self,
        channel: ChannelId,
        settings: ExchangeSettings,
        clock: Clock,
        send: Send,
        detach: Callable[["RemoteOutput"], None],
    ) -> None:
        self.channel = channel
        self.traffic = Traffic()
        self._frame_bytes = settings.frame_bytes
        self._piece_bytes = settings.frame_bytes // 2
        self._batch_records_max = settings.batch_records * settings.batches_per_frame
        self._clock = clock
        self._send = send
        self._detach = detach
        self._header = CHANNEL.pack(channel)
        self.dictionary = TextDictionary()
        self._encoder = BatchEncoder(self._piece_bytes, self.dictionary)
        self._open = False
        self._credit = 0
        self._parked: deque[_Parked] = deque()
        self._parked_bytes = 0
        self._starved_since: float | None = clock.monotonic()  # Until the receiver's first grant.
        self._starved_s = 0.0
        self._ended = False
        self._over = False

    @property
    def has_credit(self) -> bool:
        return self._starved_since is None

    @property
    def is_drained(self) -> bool:
        return not self._parked

    @property
    def parked_bytes(self) -> int:
        return self._parked_bytes

    @property
    def batch_records(self) -> int:
        record_bytes = self._encoder.bytes_per_record
        most = self._batch_records_max
        return max(1, min(most, int(self._piece_bytes / record_bytes))) if record_bytes else most

    @property
    def backpressured_s(self) -> float:
        ongoing = 0.0 if self._starved_since is None else self._clock.monotonic() - self._starved_since
        return self._starved_s + ongoing

    def write_batch(self, batch: Batch | CodedTexts) -> None:
        assert not self._ended, "nothing follows the end of a channel"
        if self._over or not batch.values:
            return
        traffic = self.traffic
        for records, data in self._encoder.encode(batch):
            traffic.records += records
            traffic.batches += 1
            traffic.bytes += len(data)
            self._put(Kind.BATCH, data)

    def write_control(self, element: Control) -> None:
        assert not self._ended, "nothing follows the end of a channel"
        if self._over:
            return
        if isinstance(element, EndOfPartition):
            self._ended = True
            self._put(Kind.CLOSE, _NOTHING)
        else:
            self._put(Kind.CONTROL, encode_control(element))

    def close(self) -> None:
        if not self._over and not self._ended:
            self._end()
            self._send(Kind.WITHDRAW, self._header)
            self._detach(self)

    def granted(self, count: int) -> None:
        """The receiver has given credit for so many bytes more."""
        if self._over:
            return
        self._open = True
        self._credit += count
        while self._parked and self._send_parked(self._parked[0]):
            self._parked_bytes -= len(self._parked.popleft().data)
        self._settle()

    def lost(self, reason: str) -> None:
        """The receiver cannot be reached any more."""
        if not self._over:
            self._end()
            self.on_lost(reason)

    def _put(self, kind: Kind, data: bytes) -> None:
        parked = _Parked(kind, data)
        if self._parked or not self._send_parked(parked):
            self._parked.append(parked)
            self._parked_bytes += len(data)
        self._settle()

    def _send_parked(self, parked: _Parked) -> bool:
        """Send what credit allows of it; True when all of it is gone."""
        if not self._open:
            return False
        data = parked.data
        size = len(data)
        if size > self._frame_bytes:
            return self._send_in_parts(parked)
        if size > self._credit:
            return False
        self._credit -= size
        self._send(parked.kind, self._header, data)
        return True

    def _send_in_parts(self, parked: _Parked) -> bool:
        whole = memoryview(parked.data)
        while parked.sent < len(whole):
            part = whole[parked.sent : parked.sent + self._frame_bytes]
            if len(part) > self._credit:
                return False
            self._credit -= len(part)
            if parked.sent:
                self._send(Kind.PART, self._header, part)
            else:
                self._send(Kind.FIRST, CHANNEL_AND_SIZE.pack(self.channel, len(whole)), part)
            parked.sent += len(part)
        return True

    def _settle(self) -> None:
        """Note whether credit has run out or has come back, and let go once all is sent."""
        if self._ended and not self._parked:
            self._end()
            self._detach(self)
            return
        short = bool(self._parked) or self._credit <= 0
        since = self._starved_since
        if short and since is None:
            self._starved_since = self._clock.monotonic()
        elif not short and since is not None:
            self._starved_s += self._clock.monotonic() - since
            self._starved_since = None
            self.on_credit()

    def _end(self) -> None:
        self._over = True
        self._parked.clear()
        self._parked_bytes = 0
        if self._starved_since is not None:
            self._starved_s += self._clock.monotonic() - self._starved_since
            self._starved_since = None
