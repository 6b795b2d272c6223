"""REST's answers about a job as large as the page has to bear: many vertices, and a day of checkpoints. Made up.

They are served as the JobManager would serve them, with the page itself; a browser's own stubs are slow with megabytes.
"""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, final

from msgspec import json

from penstock.rest.page_files import page_files

_JOB: Final = "5" * 32
_SECOND_MS: Final = 1000
_STRATEGIES: Final = ("HASH", "FORWARD", "REBALANCE")


@contextmanager
def serving(job: "LargeJob") -> Iterator[str]:
    """The page and what it asks for, at the address that is given."""
    answer = cache(job.answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            file = page_files().get(path)
            body = answer(path.removeprefix("/v1")) if file is None else file.body
            self.send_response(200)
            self.send_header("Content-Type", "application/json" if file is None else file.media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """What is asked is not of interest."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="large-job")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LargeJob:
    """What to make up."""

    vertices: int
    checkpoints: int
    """One per second, the newest just now."""
    now_ms: int
    seed: int = 1

    def answer(self, path: str) -> bytes:
        """What REST gives for this path, without `/v1`; "{}" for what the page has no use for here."""
        parts = path.strip("/").split("/")
        match parts:
            case ["config"]:
                found: Any = {"refresh-interval": 500}
            case ["overview"]:
                found = {"slots-total": 8, "slots-available": 0}
            case ["jobs", "overview"]:
                tasks = {"running": self.vertices, "total": self.vertices, "finished": 0}
                found = {"jobs": [{"jid": _JOB, "tasks": tasks}]}
            case ["jobs", _]:
                found = self._details()
            case ["jobs", _, "checkpoints"]:
                found = self._checkpoints()
            case ["jobs", _, "checkpoints", "config"]:
                found = {"interval": _SECOND_MS, "mode": "EXACTLY_ONCE"}
            case ["jobs", _, "checkpoints", "details", number]:
                found = self._checkpoint(int(number)) | {"tasks": {}}
            case ["jobs", _, "rescales", "summary"]:
                found = {"rescalesCounts": {"inProgress": 0}}
            case ["jobs", _, "rescales", "history"]:
                found = []
            case ["jobs", _, "exceptions"]:
                found = {"exceptionHistory": {"entries": [], "truncated": False}}
            case ["jobs", _, "vertices", _, "subtasks", "metrics"]:
                found = _METRICS
            case _:
                found = {}
        return json.encode(found)

    def _details(self) -> dict[str, Any]:
        ids = [f"{number:032x}" for number in range(self.vertices)]
        counters = dict.fromkeys(("read-records", "read-bytes", "write-records", "write-bytes"), 1)
        return {
            "jid": _JOB,
            "name": "large",
            "state": "RUNNING",
            "end-time": -1,
            "duration": 86_400_000,
            "now": self.now_ms,
            "vertices": [
                {
                    "id": vertex,
                    "name": f"Operator {number}",
                    "parallelism": 8,
                    "maxParallelism": 128,
                    "status": "RUNNING",
                    "duration": 1,
                    "metrics": counters,
                }
                for number, vertex in enumerate(ids)
            ],
            "plan": {"nodes": [{"id": vertex, "inputs": self._inputs(ids, n)} for n, vertex in enumerate(ids)]},
        }

    def _inputs(self, ids: list[str], number: int) -> list[dict[str, Any]]:
        """From up to three of the dozen vertices before."""
        chance = random.Random(self.seed * 100_003 + number)
        before = ids[max(0, number - 12) : number]
        chosen = chance.sample(before, min(len(before), chance.choice((1, 1, 2, 3))))
        return [{"id": source, "ship_strategy": chance.choice(_STRATEGIES)} for source in chosen]

    def _checkpoints(self) -> dict[str, Any]:
        history = [self._checkpoint(number) for number in range(self.checkpoints, 0, -1)]
        figures = dict.fromkeys(("min", "max", "avg", "p95"), 1)
        return {
            "counts": {"restored": 0, "total": len(history), "in_progress": 0, "completed": len(history), "failed": 0},
            "summary": dict.fromkeys(("end_to_end_duration", "checkpointed_size", "state_size"), figures),
            "latest": {"completed": history[0], "failed": None, "savepoint": None, "restored": None},
            "history": history,
        }

    def _checkpoint(self, number: int) -> dict[str, Any]:
        has_failed = number % 1000 == 500
        return {
            "id": number,
            "status": "FAILED" if has_failed else "COMPLETED",
            "is_savepoint": number % 3600 == 0,
            "trigger_timestamp": self.now_ms - (self.checkpoints - number + 1) * _SECOND_MS,
            "end_to_end_duration": 50 + number * 7919 % 400,
            "checkpointed_size": 1 << 20,
            "state_size": (64 << 20) + number * 1024,
            "num_subtasks": self.vertices * 8,
            "num_acknowledged_subtasks": self.vertices * 8,
        }


_METRICS: Final = [
    {"id": name, "min": value, "max": value, "avg": value, "sum": value}
    for name, value in {
        "numRecordsInPerSecond": 1200.0,
        "numRecordsOutPerSecond": 1200.0,
        "busyTimeMsPerSecond": 400.0,
        "backPressuredTimeMsPerSecond": 100.0,
        "idleTimeMsPerSecond": 500.0,
        "currentInputWatermark": 1_700_000_000_000,
        "currentOutputWatermark": 1_700_000_000_000,
    }.items()
]
