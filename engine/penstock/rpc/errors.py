"""Errors that cross a connection, and those of the connection itself."""

import traceback
from typing import final

import msgspec

from penstock.base.errors import PeerUnavailable, PenstockError


class ErrorInfo(msgspec.Struct, frozen=True):
    """An exception, as it travels."""

    type: str
    """Module and qualified name of its class."""
    message: str
    traceback: str

    @classmethod
    def of(cls, error: BaseException) -> "ErrorInfo":
        """Describe `error`; what the peer raised stays what it was."""
        if isinstance(error, RemoteError):
            return error.info
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return cls(name, _text(error), "".join(traceback.format_exception(error)))


@final
class RemoteError(PenstockError):
    """The peer failed to answer a request; `info` has its exception."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.type}: {info.message}")
        self.info = info


@final
class ConnectionLost(PeerUnavailable):
    """The connection ended before the answer came, or before the message could be sent."""


@final
class RequestTimeout(PeerUnavailable):
    """The peer did not answer in time; whether it did what was asked is not known."""


@final
class WriteBufferFull(PeerUnavailable):
    """The peer does not read: what waits to be sent has reached its bound."""


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # A user's __str__ may raise; the type still tells something.
        return "<no text>"
