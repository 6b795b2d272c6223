"""Authenticated connections of frames on the event loop, over TCP or a unix socket: the shell of handshake and frames.

RPC and the data plane put their handlers on top. A connection hands nothing on before the peer has proved itself; a
peer that does not, or that breaks the protocol, costs one log line and its connection, never the server. Nothing
here awaits per frame or uses threads; calls of a handler come on the loop and must return soon.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, cast, final

from penstock.base.errors import PeerUnavailable, ProtocolError
from penstock.exchange.frames import HEADER, FrameReader
from penstock.exchange.handshake import (
    NONCE_BYTES,
    PAYLOAD_BYTES_MAX,
    ClientHandshake,
    Handshake,
    HandshakeRefused,
    Purpose,
)
from penstock.exchange.settings import ConnectionSettings

log: Final = logging.getLogger(__name__)

Endpoint = tuple[str, int] | Path
"""A host and port, or the path of a unix socket."""


class Handler(Protocol):
    """What sits on an open connection."""

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        """A frame has come. A ProtocolError raised here closes the connection."""

    def on_lost(self, reason: str) -> None:
        """The connection has ended, for whatever reason; called exactly once."""


Accept = Callable[["FrameConnection"], Handler]
"""The peer has proved itself: give the handler of its connection."""


@final
class FrameConnection(asyncio.BufferedProtocol):
    """One connection. `accept` is called once the peer has proved itself, `ended` when the connection is gone."""

    def __init__(
        self,
        handshake: Handshake,
        accept: Accept,
        *,
        payload_bytes_max: int,
        settings: ConnectionSettings,
        ended: Callable[["FrameConnection", str], None],
    ) -> None:
        self._handshake = handshake
        self._accept = accept
        self._payload_bytes_max = payload_bytes_max
        self._settings = settings
        self._ended = ended
        self._reader = FrameReader(self._on_handshake_frame, PAYLOAD_BYTES_MAX)
        self._transport: asyncio.Transport | None = None
        self._handler: Handler | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._reason: str | None = None
        self.peer = "?"
        """Where the peer is, for logs and reasons."""
        self.violation: ProtocolError | None = None
        """How the peer broke the protocol, if it did."""
        self.heard = False
        """Whether the peer has sent anything at all."""

    @property
    def is_open(self) -> bool:
        """Whether the peer has proved itself and the connection still stands."""
        return self._handler is not None and not self.is_closing

    @property
    def is_closing(self) -> bool:
        return self._reason is not None or self._transport is None

    @property
    def unsent_bytes(self) -> int:
        """What waits in this process for the socket to take it."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, kind: int, *parts: bytes | bytearray | memoryview) -> None:
        """Send one frame, its payload in parts. Nothing once the connection is closing: its handler is told."""
        if self._transport is None or self._reason is not None:
            return
        self._transport.writelines((HEADER.pack(sum(map(len, parts)), kind), *parts))

    def close(self, reason: str) -> None:
        """Close after what was sent has gone out."""
        if self._begin_close(reason) and self._transport is not None:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once."""
        self._begin_close(reason)
        if self._transport is not None:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self.heard = True
        try:
            self._reader.advance(nbytes)
        except HandshakeRefused as error:
            self.send(error.answer.kind, error.answer.payload)
            self._refuse(error, self.close)
        except ProtocolError as error:
            self._refuse(error, self.abort)
        except Exception as error:
            log.exception("a frame's handler failed, the connection is closed", extra={"peer": self.peer})
            self.abort(f"the handler of a frame failed: {error!r}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # By cast: uvloop's transports have the methods, not the base class.
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer_name(transport)
        if self._reason is not None:
            self._transport.abort()  # Given up before it stood.
            return
        _keep_alive(transport, self._settings)
        timeout_s = self._settings.handshake_timeout_s
        self._deadline = asyncio.get_running_loop().call_later(timeout_s, self._too_late)
        first = self._handshake.start()
        if first is not None:
            self.send(first.kind, first.payload)

    def eof_received(self) -> bool:
        return False  # A half-closed connection serves nobody: the transport closes itself.

    def connection_lost(self, exc: Exception | None) -> None:
        if self._reason is None:
            self._reason = f"the connection to {self.peer} was lost: {exc or 'the peer closed it'}"
        self._reader.stop()
        self._cancel_deadline()
        self._transport = None
        if self._handler is not None:
            self._handler.on_lost(self._reason)
        self._ended(self, self._reason)

    def _begin_close(self, reason: str) -> bool:
        if self._reason is not None:
            return False
        self._reason = reason
        self._reader.stop()
        self._cancel_deadline()
        return True

    def _on_handshake_frame(self, kind: int, payload: bytes | bytearray) -> None:
        answer = self._handshake.on_frame(kind, payload)
        if answer is not None:
            self.send(answer.kind, answer.payload)
        if self._handshake.done:
            self._cancel_deadline()
            self._handler = self._accept(self)
            self._reader.open(self._handler.on_frame, self._payload_bytes_max)

    def _refuse(self, error: ProtocolError, end: Callable[[str], None]) -> None:
        self.violation = error
        if self._handler is not None:
            log.warning(
                "connection closed, the peer broke the protocol", extra={"peer": self.peer, "reason": str(error)}
            )
        end(str(error))

    def _too_late(self) -> None:
        timeout_s = self._settings.handshake_timeout_s
        self._refuse(ProtocolError(f"{self.peer} did not prove itself within {timeout_s:g} s"), self.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


async def open_connection(
    endpoint: Endpoint,
    accept: Accept,
    *,
    purpose: Purpose,
    token: bytes,
    payload_bytes_max: int,
    settings: ConnectionSettings,
) -> FrameConnection:
    """Connect, and wait until both sides have proved themselves.

    Raises PeerUnavailable when nobody answers, ProtocolError when the peer refuses us or is not what we expect.
    """
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[FrameConnection] = loop.create_future()

    def accepted(connection: FrameConnection) -> Handler:
        handler = accept(connection)
        if not opened.done():
            opened.set_result(connection)
        return handler

    def ended(connection: FrameConnection, reason: str) -> None:
        if not opened.done():
            kind = PeerUnavailable if connection.violation is None else ProtocolError
            opened.set_exception(kind(f"cannot open a connection to {where}: {reason}"))

    where = endpoint_name(endpoint)
    handshake = ClientHandshake(token, purpose, secrets.token_bytes(NONCE_BYTES))
    connection = FrameConnection(
        handshake, accepted, payload_bytes_max=payload_bytes_max, settings=settings, ended=ended
    )
    try:
        async with asyncio.timeout(settings.connect_timeout_s):
            if isinstance(endpoint, Path):
                await loop.create_unix_connection(lambda: connection, str(endpoint))
            else:
                await loop.create_connection(lambda: connection, *endpoint)
        return await opened
    except TimeoutError as error:
        raise PeerUnavailable(f"cannot connect to {where} within {settings.connect_timeout_s:g} s") from error
    except OSError as error:
        raise PeerUnavailable(f"cannot connect to {where}: {error}") from error
    except asyncio.CancelledError:
        opened.cancel()
        connection.abort("the connection is no longer wanted")
        raise


def endpoint_name(endpoint: Endpoint) -> str:
    """As people write it."""
    return str(endpoint) if isinstance(endpoint, Path) else f"{endpoint[0]}:{endpoint[1]}"


def _peer_name(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        return f"{name[0]}:{name[1]}"
    return str(name) if name else "a local process"


def _keep_alive(transport: asyncio.BaseTransport, settings: ConnectionSettings) -> None:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux; elsewhere the system's own times hold.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.keepalive_idle_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, settings.keepalive_interval_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, settings.keepalive_probes)
