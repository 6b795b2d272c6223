"""The consumer side of the data plane: a worker's listening port, and the input channels behind it.

One per worker. Other workers' `DataClient`s connect to it, one connection each, and open their channels over it. The
socket is always read: credit bounds what comes, channel by channel, so that a blocked one never holds up another.
Frames for channels that nobody here reads (of a deployment that is gone) are dropped and counted.
"""

import logging
from typing import Final, final

from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId
from penstock.exchange.connection import FrameConnection, Handler
from penstock.exchange.handshake import Purpose
from penstock.exchange.input import RemoteInput
from penstock.exchange.listener import Listener
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.wire import CHANNEL, CHANNEL_AND_SIZE, HEADER_BYTES_MAX, Kind, channel_and_size_of, channel_of

log: Final = logging.getLogger(__name__)


@final
class DataServer:
    """Where other workers send to. A consumer registers its channels before their producers are started."""

    def __init__(self, token: bytes, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._inputs: dict[ChannelId, RemoteInput] = {}
        self._listener = Listener(
            self._accept,
            purpose=Purpose.DATA,
            token=token,
            payload_bytes_max=settings.frame_bytes + HEADER_BYTES_MAX,
            settings=settings.connection,
        )
        self.dropped_frames = 0
        """Frames for channels that nobody here reads."""

    @property
    def port(self) -> int:
        return self._listener.port

    async def listen(self, host: str, port: int, configuration_key: str) -> None:
        """Listen; port 0 takes a free one. A ConfigurationError names port and key when it cannot be had."""
        await self._listener.listen(host, port, configuration_key)

    async def close(self) -> None:
        """Listen no more and close every connection. Safe to call twice."""
        self._inputs.clear()
        await self._listener.close("the worker's data port is closing")

    def register(self, channel: ChannelId) -> RemoteInput:
        """Expect a producer to open `channel`. The task closes the channel when it ends."""
        assert channel not in self._inputs, f"channel {channel} is registered twice"
        self._inputs[channel] = found = RemoteInput(channel, self._settings.window_bytes, self._forget)
        return found

    def input(self, channel: ChannelId) -> RemoteInput | None:
        """The consumer's end of `channel`, if it is registered here."""
        return self._inputs.get(channel)

    def dropped(self, channel: ChannelId) -> None:
        """A frame came for a channel that nobody here reads."""
        self.dropped_frames += 1
        log.debug("frame of an unknown channel dropped", extra={"channel": channel})

    def _accept(self, connection: FrameConnection) -> Handler:
        return _Upstream(self, connection)

    def _forget(self, gone: RemoteInput) -> None:
        if self._inputs.get(gone.channel) is gone:
            del self._inputs[gone.channel]


@final
class _Upstream:
    """One connection, from one worker that sends to us."""

    def __init__(self, server: DataServer, connection: FrameConnection) -> None:
        self._server = server
        self._connection = connection
        self._opened: dict[ChannelId, RemoteInput] = {}

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        channel = channel_of(payload)
        if kind == Kind.OPEN:
            self._open(channel)
            return
        found = self._opened.get(channel)
        if found is None or self._server.input(channel) is not found:
            self._opened.pop(channel, None)
            self._server.dropped(channel)
            return
        if kind == Kind.FIRST:
            channel_and_size_of(payload)  # Checks the length.
        elif kind not in _FROM_PRODUCERS:
            raise ProtocolError(f"the peer sent a data frame of unknown kind {kind}")
        found.arrived(Kind(kind), payload)

    def on_lost(self, reason: str) -> None:
        for found in tuple(self._opened.values()):
            found.lost(reason)
        self._opened.clear()

    def _open(self, channel: ChannelId) -> None:
        found = self._server.input(channel)
        if found is None:
            self._server.dropped(channel)
            self._connection.send(Kind.UNKNOWN, CHANNEL.pack(channel))
            return
        self._opened[channel] = found
        connection = self._connection
        found.opened(lambda count: connection.send(Kind.GRANT, CHANNEL_AND_SIZE.pack(channel, count)))


_FROM_PRODUCERS: Final = frozenset({Kind.BATCH, Kind.FIRST, Kind.PART, Kind.CONTROL, Kind.CLOSE})
