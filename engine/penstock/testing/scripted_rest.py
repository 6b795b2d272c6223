"""A JobManager's REST that says what a test tells it to: for clients, and for what a real one says too rarely."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, final


@final
class ScriptedRest:
    """Answers each request with the next of the answers given for it; the last one is repeated.

    An answer is a JSON value, or (status, JSON value). `asked` holds what came: (method, path, body).
    """

    def __init__(self, answers: dict[str, Sequence[Any]]) -> None:
        """`answers`: by `METHOD /path`, without the version."""
        self.asked: list[tuple[str, str, Any]] = []
        left = {request: list(given) for request, given in answers.items()}
        rest = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def do_PATCH(self) -> None:
                self._answer()

            def log_message(self, format: str, *arguments: Any) -> None:
                return None

            def _answer(self) -> None:
                path = self.path.removeprefix("/v1")
                data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                rest.asked.append((self.command, path, json.loads(data) if data else None))
                waiting = left.get(f"{self.command} {path}") or [(404, {"errors": [f"Not found: {path}"]})]
                found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
                status, body = found if isinstance(found, tuple) else (200, found)
                answer = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
