"""The producer side of the data plane: one connection to each worker we send to, shared by all channels to it.

One per worker. Connections are made when the first channel to a worker is opened, and stay for later deployments. A
connection that is lost, or does not come about, is reported to each of its channels once; the next `open` tries anew.
"""

import asyncio
from collections.abc import Callable
from typing import final

from penstock.base.clock import Clock
from penstock.base.errors import PenstockError, ProtocolError
from penstock.base.ids import ChannelId
from penstock.exchange.connection import FrameConnection, Handler, open_connection
from penstock.exchange.handshake import Purpose, check_token
from penstock.exchange.output import RemoteOutput
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.wire import CHANNEL, HEADER_BYTES_MAX, Kind, channel_and_size_of

Address = tuple[str, int]
"""Host and port of a worker's `DataServer`."""


@final
class DataClient:
    """Opens channels to other workers."""

    def __init__(self, token: bytes, settings: ExchangeSettings, clock: Clock) -> None:
        self._token = check_token(token)
        self._settings = settings
        self._clock = clock
        self._links: dict[Address, _Downstream] = {}

    def open(self, channel: ChannelId, address: Address) -> RemoteOutput:
        """The producer's end of `channel`, whose consumer is in the worker at `address`. It has no credit until
        both are connected; failing to connect is reported to `on_lost`."""
        link = self._links.get(address)
        if link is None:
            link = _Downstream(address, self._token, self._settings, self._forget)
            self._links[address] = link
        output = RemoteOutput(channel, self._settings, self._clock, link.send, link.detach)
        link.attach(output)
        return output

    async def close(self) -> None:
        """Close every connection after what was sent has gone out, or the peer had its time to read it; channels are
        not told. Safe to call twice."""
        links, self._links = tuple(self._links.values()), {}
        await asyncio.gather(*(link.close() for link in links))

    def _forget(self, link: "_Downstream") -> None:
        if self._links.get(link.address) is link:
            del self._links[link.address]


@final
class _Downstream:
    """One connection, to one worker that we send to."""

    def __init__(
        self, address: Address, token: bytes, settings: ExchangeSettings, forget: Callable[["_Downstream"], None]
    ) -> None:
        self.address = address
        self._token = token
        self._settings = settings
        self._forget = forget
        self._outputs: dict[ChannelId, RemoteOutput] = {}
        self._connection: FrameConnection | None = None
        loop = asyncio.get_running_loop()
        self._gone: asyncio.Future[None] = loop.create_future()
        self._connecting = loop.create_task(self._connect(), name=f"connect to {address[0]}:{address[1]}")

    def attach(self, output: RemoteOutput) -> None:
        """Let `output` use the connection, as soon as it stands."""
        assert output.channel not in self._outputs, f"channel {output.channel} is opened twice"
        self._outputs[output.channel] = output
        if self._connection is not None:
            self.send(Kind.OPEN, CHANNEL.pack(output.channel))

    def detach(self, output: RemoteOutput) -> None:
        """`output` has no more to send."""
        if self._outputs.get(output.channel) is output:
            del self._outputs[output.channel]

    def send(self, kind: int, *parts: bytes | memoryview) -> None:
        if self._connection is not None:
            self._connection.send(kind, *parts)

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        if kind == Kind.GRANT:
            channel, count = channel_and_size_of(payload)
            output = self._outputs.get(channel)
            if output is not None:
                output.granted(count)
        else:
            raise ProtocolError(f"the peer sent a data frame of unknown kind {kind}")

    def on_lost(self, reason: str) -> None:
        self._connection = None
        self._forget(self)
        self._lose_all(reason)
        if not self._gone.done():
            self._gone.set_result(None)

    async def close(self) -> None:
        """Close once what was sent has gone out."""
        self._outputs.clear()
        if self._connection is None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._connection is not None:
            connection = self._connection
            connection.close("the worker is closing")
            await asyncio.wait([self._gone], timeout=self._settings.connection.close_timeout_s)
            connection.abort("the peer does not read")

    async def _connect(self) -> None:
        try:
            await open_connection(
                self.address,
                self._open,
                purpose=Purpose.DATA,
                token=self._token,
                payload_bytes_max=HEADER_BYTES_MAX,
                settings=self._settings.connection,
            )
        except PenstockError as error:
            self._forget(self)
            self._lose_all(str(error))

    def _open(self, connection: FrameConnection) -> Handler:
        self._connection = connection
        for channel in tuple(self._outputs):
            self.send(Kind.OPEN, CHANNEL.pack(channel))
        return self

    def _lose_all(self, reason: str) -> None:
        outputs, self._outputs = tuple(self._outputs.values()), {}
        for output in outputs:
            output.lost(reason)
