"""A TCP relay in front of a real service that breaks connections where a test says, for faults of the network."""

import socket
import threading
from typing import Final, final

_CHUNK_BYTES: Final = 64 << 10
_INTERIM: Final = b"HTTP/1.1 100 "


@final
class Relay:
    """Passes bytes on between clients and one server, until told to break an answer."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._breaks: list[int] = []
        self.broken = 0
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def break_next_answer(self, *, after_bytes: int) -> None:
        """Close the connection once the server has answered the next request and so many bytes were passed on."""
        with self._lock:
            self._breaks.append(after_bytes)

    def close(self) -> None:
        """Take no more connections; those that are open stay."""
        _shut(self._listener)  # Wakes the thread that accepts, which closing alone would not.
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="relay-connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            back = threading.Thread(target=self._back, args=(server, client), name="relay-back", daemon=True)
            back.start()
            self._forward(client, server)
            back.join()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while chunk := client.recv(_CHUNK_BYTES):
                server.sendall(chunk)
        except OSError:
            pass
        finally:
            _shut(server)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        """Pass answers on; a break that is due lets so many bytes through and then ends the connection."""
        left: int | None = None
        try:
            while chunk := server.recv(_CHUNK_BYTES):
                if left is None and not chunk.startswith(_INTERIM):
                    left = self._take_break()
                if left is None:
                    client.sendall(chunk)
                    continue
                client.sendall(chunk[:left])
                left -= len(chunk)
                if left <= 0:
                    self.broken += 1
                    return
        except OSError:
            pass
        finally:
            _shut(client)
            _shut(server)

    def _take_break(self) -> int | None:
        with self._lock:
            return self._breaks.pop(0) if self._breaks else None


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
