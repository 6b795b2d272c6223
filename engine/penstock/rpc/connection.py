"""Typed messages over one authenticated connection: ordered, one way or with an answer.

Generic over a union of msgspec structs (tagged, so that one decoder knows them all); the runtime defines the unions.
JobManager, TaskManagers, workers and clients talk through this. One frame is one message; a request carries a
number, which its answer repeats. Nothing is sent again: a lost connection fails what waits for an answer.
"""

import asyncio
import inspect
import logging
import struct
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, TypeVar, cast, final

import msgspec

from penstock.base.errors import ProtocolError
from penstock.exchange.connection import FrameConnection
from penstock.exchange.settings import CONNECTION_DEFAULTS, ConnectionSettings
from penstock.rpc.errors import ConnectionLost, ErrorInfo, RemoteError, RequestTimeout, WriteBufferFull

log: Final = logging.getLogger(__name__)

_MESSAGE: Final = 16
_REQUEST: Final = 17
_REPLY: Final = 18
_FAILURE: Final = 19
_PING: Final = 20
_PONG: Final = 21
_NUMBER: Final = struct.Struct("<Q")

M = TypeVar("M")
"""The union of message types that both ends speak."""

OnMessage = Callable[[M], M | Awaitable[M | None] | None]
"""Takes a message; what it returns (or its awaitable gives) is the answer, if one was asked for. An exception it
raises travels to the asker. Synchronous handlers run in the order of arrival; asynchronous ones are started in it."""


@final
class RpcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one RPC connection."""

    connection: ConnectionSettings = CONNECTION_DEFAULTS
    message_bytes_max: int = 256 * 1024 * 1024
    """A job graph with its files is one message."""
    unsent_bytes_max: int = 512 * 1024 * 1024
    """What may wait for a peer that does not read, before sending to it fails."""


RPC_DEFAULTS: Final = RpcSettings()


@final
class Codec(Generic[M]):
    """Encodes and decodes one union of messages. Shared by all connections of a server."""

    def __init__(self, messages: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(messages).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def encode(self, message: M) -> bytes:
        return self._encode(message)

    def decode(self, payload: memoryview | bytes | bytearray) -> M:
        try:
            return cast(M, self._decode(payload))
        except msgspec.DecodeError as error:
            raise ProtocolError(f"the peer sent a message that we do not know: {error}") from error


@final
class RpcConnection(Generic[M]):
    """One end of a connection. Made by `RpcServer` and `connect`, never by hand.

    `on_message` must be set before the next turn of the loop, best where the connection is handed over.
    """

    def __init__(self, connection: FrameConnection, codec: Codec[M], settings: RpcSettings) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[str] = loop.create_future()
        """Done once the connection is gone; its result says why."""
        self.on_message: OnMessage[M] = _not_expected
        self.peer = connection.peer
        self.heard_at = loop.time()
        """The loop's time when the peer last sent anything."""
        self._connection = connection
        self._codec = codec
        self._settings = settings
        self._loop = loop
        self._last_number = 0
        self._waiting: dict[int, asyncio.Future[M]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        return not self.closed.done() and not self._connection.is_closing

    def send(self, message: M) -> None:
        """Send one way; messages arrive in the order of the calls, or not at all.

        Raises ConnectionLost when the connection is gone, WriteBufferFull when the peer does not read.
        """
        self._send(_MESSAGE, b"", self._codec.encode(message))

    async def request(self, message: M, timeout_s: float) -> M:
        """Send, and wait for the answer. Raises RemoteError, RequestTimeout, ConnectionLost or WriteBufferFull."""
        self._last_number = number = self._last_number + 1
        self._send(_REQUEST, _NUMBER.pack(number), self._codec.encode(message))
        self._waiting[number] = answer = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                reply: M = await answer
                return reply
        except TimeoutError as error:
            name = type(message).__name__
            raise RequestTimeout(f"{self.peer} did not answer {name} within {timeout_s:g} s") from error
        finally:
            self._waiting.pop(number, None)

    def ping(self) -> None:
        """Ask for a sign of life; the answer moves `heard_at`."""
        self._connection.send(_PING)

    def close(self, reason: str = "closed by this side") -> None:
        """Close after what was sent has gone out."""
        self._connection.close(reason)

    def abort(self, reason: str) -> None:
        """Close at once; what was not sent yet is lost."""
        self._connection.abort(reason)

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        """For the connection below only."""
        self.heard_at = self._loop.time()
        if kind == _MESSAGE:
            self._handle(None, self._codec.decode(payload))
        elif kind == _REQUEST:
            number, body = _numbered(payload)
            self._handle(number, self._codec.decode(body))
        elif kind == _REPLY:
            number, body = _numbered(payload)
            self._answered(number, body)
        elif kind == _FAILURE:
            number, body = _numbered(payload)
            self._failed(number, body)
        elif kind == _PING:
            self._connection.send(_PONG)
        elif kind != _PONG:
            raise ProtocolError(f"the peer sent a frame of unknown kind {kind}")

    def on_lost(self, reason: str) -> None:
        """For the connection below only."""
        waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionLost(reason))
        for task in self._tasks:
            task.cancel()
        if not self.closed.done():
            self.closed.set_result(reason)

    def _send(self, kind: int, prefix: bytes, body: bytes) -> None:
        if not self.is_open:
            reason = self.closed.result() if self.closed.done() else "the connection is closing"
            raise ConnectionLost(f"cannot send to {self.peer}: {reason}")
        size, settings = len(prefix) + len(body), self._settings
        if size > settings.message_bytes_max:
            raise ProtocolError(f"a message of {size} bytes is larger than {settings.message_bytes_max}")
        unsent = self._connection.unsent_bytes
        if unsent + size > settings.unsent_bytes_max:
            raise WriteBufferFull(
                f"{self.peer} does not read: {unsent} bytes wait, {size} more exceed {settings.unsent_bytes_max}"
            )
        self._connection.send(kind, prefix, body)

    def _handle(self, number: int | None, message: M) -> None:
        try:
            answer = self.on_message(message)
        except Exception as error:  # Whatever a handler raises travels to the asker.
            self._handler_failed(number, message, error)
            return
        if inspect.isawaitable(answer):
            self._start(self._finish(number, message, answer))
        else:
            self._reply(number, message, answer)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, number: int | None, message: M, answer: Awaitable[M | None]) -> None:
        try:
            result = await answer
        except Exception as error:  # Whatever a handler raises travels to the asker.
            self._handler_failed(number, message, error)
        else:
            self._reply(number, message, result)

    def _reply(self, number: int | None, message: M, answer: M | None) -> None:
        if number is None or not self.is_open:
            return
        if answer is None:
            error = TypeError(f"the handler of {type(message).__name__} gave no answer")
            self._handler_failed(number, message, error)
            return
        try:
            self._send(_REPLY, _NUMBER.pack(number), self._codec.encode(answer))
        except Exception as error:  # Whatever a handler raises travels to the asker.
            self._handler_failed(number, message, error)

    def _handler_failed(self, number: int | None, message: M, error: Exception) -> None:
        if number is None:
            log.error(
                "the handler of a message failed",
                extra={"peer": self.peer, "rpc_message": type(message).__name__},
                exc_info=error,
            )
        elif self.is_open:
            self._connection.send(_FAILURE, _NUMBER.pack(number), msgspec.msgpack.encode(ErrorInfo.of(error)))

    def _answered(self, number: int, body: memoryview) -> None:
        answer = self._waiting.get(number)  # Absent: the asker has given up.
        if answer is not None and not answer.done():
            answer.set_result(self._codec.decode(body))

    def _failed(self, number: int, body: memoryview) -> None:
        answer = self._waiting.get(number)
        if answer is not None and not answer.done():
            answer.set_exception(RemoteError(msgspec.msgpack.decode(body, type=ErrorInfo)))


def _numbered(payload: bytes | bytearray) -> tuple[int, memoryview]:
    if len(payload) < _NUMBER.size:
        raise ProtocolError(f"the peer sent a request or answer of {len(payload)} bytes, too short for its number")
    return _NUMBER.unpack_from(payload)[0], memoryview(payload)[_NUMBER.size :]


def _not_expected(message: Any) -> None:
    raise ProtocolError(f"a {type(message).__name__} came, but this end takes no messages")
