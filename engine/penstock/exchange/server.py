"""The consumer side of the data plane: a worker's listening port, and the input channels behind it.

One per worker. Other workers' `DataClient`s connect to it, one connection each, and open their channels over it. The
socket is always read: credit bounds what comes, channel by channel, so that a blocked one never holds up another.
Frames for channels that nobody here reads (of a deployment that is gone) are dropped and counted.
"""

import logging
from typing import Final, final

from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId
from penstock.exchange.connection import FrameConnection
from penstock.exchange.handshake import Purpose
from penstock.exchange.input import RemoteInput
from penstock.exchange.listener import Listener
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.wire import CHANNEL_AND_SIZE, HEADER_BYTES_MAX, Kind, channel_and_size_of, channel_of

log: Final = logging.getLogger(__name__)


@final
class DataServer:
    """Where other workers send to. A channel may be opened by its producer before its consumer registers it here:
    the producer then waits for its first grant."""

    def __init__(self, token: bytes, settings: ExchangeSettings) -> None:
        self._settings = settings
        self._inputs: dict[ChannelId, RemoteInput] = {}
        self._upstreams: dict[ChannelId, _Upstream] = {}
        """By channel: the connection over which its producer has opened it, whether it is registered yet or not."""
        self._listener = Listener(
            lambda connection: _Upstream(self, connection),
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
        """Listen no more and close every connection; channels are not told. Safe to call twice."""
        self._inputs.clear()
        self._upstreams.clear()
        await self._listener.close("the worker's data port is closing")

    def register(self, channel: ChannelId) -> RemoteInput:
        """The consumer's end of `channel`. The task closes it when it ends."""
        assert channel not in self._inputs, f"channel {channel} is registered twice"
        self._inputs[channel] = consumer = RemoteInput(channel, self._settings.window_bytes, self._forget)
        upstream = self._upstreams.get(channel)
        if upstream is not None:
            upstream.grant_window(consumer)
        return consumer

    def opened(self, channel: ChannelId, upstream: "_Upstream") -> None:
        """A producer has opened `channel`."""
        if channel in self._upstreams:
            raise ProtocolError(f"channel {channel} was opened twice")
        self._upstreams[channel] = upstream
        consumer = self._inputs.get(channel)
        if consumer is not None:
            upstream.grant_window(consumer)

    def reader(self, channel: ChannelId, upstream: "_Upstream") -> RemoteInput | None:
        """Who reads what comes for `channel` from `upstream`; None: nobody, it is dropped."""
        if self._upstreams.get(channel) is upstream:
            consumer = self._inputs.get(channel)
            if consumer is not None:
                return consumer
        self.dropped_frames += 1
        log.debug("frame of an unknown channel dropped", extra={"channel": channel})
        return None

    def withdrawn(self, channel: ChannelId, upstream: "_Upstream") -> None:
        """The producer was cancelled. A consumer that is registered goes with it, by order of the JobManager."""
        if channel not in self._inputs and self._upstreams.get(channel) is upstream:
            del self._upstreams[channel]

    def lost(self, upstream: "_Upstream", reason: str) -> None:
        """A connection has ended, and with it all channels that were opened over it."""
        channels = [channel for channel, opener in self._upstreams.items() if opener is upstream]
        for channel in channels:
            # A consumer that is told may make its task let go of the others.
            self._upstreams.pop(channel, None)
            consumer = self._inputs.get(channel)
            if consumer is not None:
                consumer.lost(reason)

    def _forget(self, gone: RemoteInput) -> None:
        if self._inputs.get(gone.channel) is gone:
            del self._inputs[gone.channel]
            self._upstreams.pop(gone.channel, None)


@final
class _Upstream:
    """One connection, from one worker that sends to us."""

    def __init__(self, server: DataServer, connection: FrameConnection) -> None:
        self._server = server
        self._connection = connection

    def grant_window(self, consumer: RemoteInput) -> None:
        """Let the producer begin."""
        connection, channel = self._connection, consumer.channel
        consumer.opened(lambda count: connection.send(Kind.GRANT, CHANNEL_AND_SIZE.pack(channel, count)))

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        channel = channel_of(payload)
        if kind == Kind.OPEN:
            self._server.opened(channel, self)
        elif kind == Kind.WITHDRAW:
            self._server.withdrawn(channel, self)
        elif kind in _FOR_READERS:
            if kind == Kind.FIRST:
                channel_and_size_of(payload)  # Checks the length.
            reader = self._server.reader(channel, self)
            if reader is not None:
                reader.arrived(Kind(kind), payload)
        else:
            raise ProtocolError(f"the peer sent a data frame of unknown kind {kind}")

    def on_lost(self, reason: str) -> None:
        self._server.lost(self, reason)


_FOR_READERS: Final = frozenset({Kind.BATCH, Kind.FIRST, Kind.PART, Kind.CONTROL, Kind.CLOSE})
