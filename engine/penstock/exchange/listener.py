"""The listening side: accepts connections on a TCP port or a unix socket and outlives whatever comes in on them.

Used by the RPC server and the data server. Bounds the connections that have not proved themselves.
"""

import asyncio
import errno
import logging
import os
import secrets
from pathlib import Path
from typing import Final, final

from penstock.base.errors import ConfigurationError
from penstock.exchange.connection import Accept, FrameConnection, Handler
from penstock.exchange.handshake import NONCE_BYTES, Purpose, ServerHandshake, check_token
from penstock.exchange.settings import ConnectionSettings

log: Final = logging.getLogger(__name__)


@final
class Listener:
    """Accepts connections; `accept` gives the handler of each one whose peer has proved itself."""

    def __init__(
        self,
        accept: Accept,
        *,
        purpose: Purpose,
        token: bytes,
        payload_bytes_max: int,
        settings: ConnectionSettings,
    ) -> None:
        self._accept = accept
        self._purpose = purpose
        self._token = check_token(token)
        self._payload_bytes_max = payload_bytes_max
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._connections: set[FrameConnection] = set()
        self._unproven: set[FrameConnection] = set()
        self._path: Path | None = None
        self.port = 0
        """The TCP port it listens on; 0 before, and on a unix socket."""

    async def listen(self, host: str, port: int, configuration_key: str) -> None:
        """Listen on TCP; port 0 takes a free one. `configuration_key` is where the user sets the port, for errors."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connection, host, port, backlog=512)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(_listen_error(error, host, port, configuration_key)) from error
        self.port = self._server.sockets[0].getsockname()[1]

    async def listen_unix(self, path: Path) -> None:
        """Listen on a unix socket that only this user can open."""
        loop = asyncio.get_running_loop()
        mask = os.umask(0o177)
        try:
            self._server = await loop.create_unix_server(self._connection, str(path), backlog=512)
        except OSError as error:
            raise ConfigurationError(f"cannot listen on the unix socket {path}: {error}") from error
        finally:
            os.umask(mask)
        self._path = path

    async def close(self, reason: str = "the server is closing") -> None:
        """Listen no more and close every connection; what was sent goes out first. Safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in tuple(self._connections):
            connection.close(reason)
        if server is not None:
            await server.wait_closed()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _connection(self) -> FrameConnection:
        connection = FrameConnection(
            ServerHandshake(self._token, self._purpose, secrets.token_bytes(NONCE_BYTES)),
            self._proven,
            payload_bytes_max=self._payload_bytes_max,
            settings=self._settings,
            ended=self._ended,
        )
        self._connections.add(connection)
        self._unproven.add(connection)
        if len(self._unproven) > self._settings.unproven_max:
            asyncio.get_running_loop().call_soon(self._too_many, connection)
        return connection

    def _too_many(self, connection: FrameConnection) -> None:
        connection.abort(f"more than {self._settings.unproven_max} connections have not proved themselves")

    def _proven(self, connection: FrameConnection) -> Handler:
        self._unproven.discard(connection)
        return self._accept(connection)

    def _ended(self, connection: FrameConnection, reason: str) -> None:
        self._connections.discard(connection)
        if connection in self._unproven:
            self._unproven.discard(connection)
            # A port probe that says nothing is no news to whoever is on call, nor who came when we were closing.
            news = self._server is not None and (connection.heard or connection.violation)
            level = logging.WARNING if news else logging.DEBUG
            log.log(level, "connection refused", extra={"peer": connection.peer, "reason": reason})


def _listen_error(error: Exception, host: str, port: int, key: str) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: stop what uses it, or set {key} to another port"
    if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}: this machine has no such address"
    return f"cannot listen on port {port} of {host}: {error}; see {key}"
