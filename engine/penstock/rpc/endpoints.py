"""How RPC connections come about: a server on TCP or on a unix socket, and the clients of both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar, final

from penstock.exchange.connection import Endpoint, FrameConnection, open_connection
from penstock.exchange.handshake import Purpose
from penstock.exchange.listener import Listener
from penstock.rpc.connection import RPC_DEFAULTS, Codec, OnMessage, RpcConnection, RpcSettings

M = TypeVar("M")


@final
class RpcServer(Generic[M]):
    """Accepts RPC connections of one union of messages.

    `on_connection` is called with each connection whose peer has proved itself; there it sets `on_message`
    and keeps the connection. It is told of the end through `connection.closed`.
    """

    def __init__(
        self,
        messages: Any,
        token: bytes,
        on_connection: Callable[[RpcConnection[M]], None],
        settings: RpcSettings = RPC_DEFAULTS,
    ) -> None:
        self._codec: Codec[M] = Codec(messages)
        self._on_connection = on_connection
        self._settings = settings
        self._listener = Listener(
            self._accept,
            purpose=Purpose.RPC,
            token=token,
            payload_bytes_max=_payload_bytes_max(settings),
            settings=settings.connection,
        )

    @property
    def port(self) -> int:
        return self._listener.port

    async def listen(self, host: str, port: int, configuration_key: str) -> None:
        """Listen on TCP; port 0 takes a free one. A ConfigurationError names port and key when it cannot be had."""
        await self._listener.listen(host, port, configuration_key)

    async def listen_unix(self, path: Path) -> None:
        """Listen on a unix socket that only this user can open."""
        await self._listener.listen_unix(path)

    async def close(self, reason: str = "the server is closing") -> None:
        """Listen no more and close every connection. Safe to call twice."""
        await self._listener.close(reason)

    def _accept(self, connection: FrameConnection) -> RpcConnection[M]:
        rpc = RpcConnection(connection, self._codec, self._settings)
        self._on_connection(rpc)
        return rpc


async def connect(
    messages: Any,
    host: str,
    port: int,
    token: bytes,
    on_message: OnMessage[M] | None = None,
    settings: RpcSettings = RPC_DEFAULTS,
) -> RpcConnection[M]:
    """Connect over TCP. Raises PeerUnavailable when nobody answers, ProtocolError when the peer refuses us."""
    return await _connect(messages, (host, port), token, on_message, settings)


async def connect_unix(
    messages: Any,
    path: Path,
    token: bytes,
    on_message: OnMessage[M] | None = None,
    settings: RpcSettings = RPC_DEFAULTS,
) -> RpcConnection[M]:
    """Connect to a unix socket, as a worker does to its supervisor. Raises as `connect` does."""
    return await _connect(messages, path, token, on_message, settings)


async def _connect(
    messages: Any, endpoint: Endpoint, token: bytes, on_message: OnMessage[M] | None, settings: RpcSettings
) -> RpcConnection[M]:
    codec: Codec[M] = Codec(messages)
    made: list[RpcConnection[M]] = []

    def accept(connection: FrameConnection) -> RpcConnection[M]:
        rpc = RpcConnection(connection, codec, settings)
        if on_message is not None:
            rpc.on_message = on_message
        made.append(rpc)
        return rpc

    await open_connection(
        endpoint,
        accept,
        purpose=Purpose.RPC,
        token=token,
        payload_bytes_max=_payload_bytes_max(settings),
        settings=settings.connection,
    )
    return made[0]


def _payload_bytes_max(settings: RpcSettings) -> int:
    return settings.message_bytes_max + 8
