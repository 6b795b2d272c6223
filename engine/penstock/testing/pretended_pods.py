"""Pods that only seem to run, for an API server without a node: JobManagers in them answer as if all were well.

with PretendedPods(namespace) as pods:
    ...
    assert pods.told("r1-a0b1c") == ["start"]

They have what the cluster's controllers made of the operator's Deployments. What is done with what they are told is
nothing but to remember it.
"""

import contextlib
import itertools
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self, final

import urllib3

from penstock.testing.kubernetes.api import POD, Namespace, Object, Refused

REST_PORT: Final = 8081
_LOOK_S: Final = 0.2
_numbers: Final = itertools.count(1)
_REVISION: Final = "penstock.dev/revision"
_AWAY: Final = (Refused, urllib3.exceptions.HTTPError, OSError)
"""The API server may be killed by the test."""


@final
class PretendedPods:
    """The kubelet of one namespace: whatever pod is made there runs at once."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._managers: dict[str, PretendedManager] = {}
        self._all: list[PretendedManager] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pretended kubelet")

    def told(self, revision: str) -> list[str]:
        """What the JobManagers of a revision were told to do, in order."""
        return [what for manager in self._all if manager.revision == revision for what in manager.told]

    def looks(self, revision: str) -> int:
        """How often the JobManagers of a revision were asked how they are."""
        return sum(manager.looks for manager in self._all if manager.revision == revision)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        for manager in self._managers.values():
            manager.close()

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            with contextlib.suppress(*_AWAY):
                self._look()

    def _look(self) -> None:
        pods = self._namespace.pods()
        for pod in pods:
            if not (pod.get("status") or {}).get("podIP"):
                self._run_pod(pod)
        for name in self._managers.keys() - {pod["metadata"]["name"] for pod in pods}:
            self._managers.pop(name).close()

    def _run_pod(self, pod: Object) -> None:
        name, labels = pod["metadata"]["name"], pod["metadata"]["labels"]
        ip = _address()
        if labels.get("app.kubernetes.io/component") == "jobmanager":
            self._managers[name] = PretendedManager(ip, labels[_REVISION])
            self._all.append(self._managers[name])
        ready = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": ready}
        path = self._namespace.api.path(POD, f"{name}/status", self._namespace.name)
        self._namespace.api.json("PATCH", path, {"status": status}, content_type="application/merge-patch+json")


@final
class PretendedManager:
    """A JobManager in standby, whose job completes its checkpoints as soon as it was started."""

    def __init__(self, ip: str, revision: str) -> None:
        self.revision = revision
        self.told: list[str] = []
        self.looks = 0
        self._start_id: str | None = None
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = manager.summary() if self.path.endswith("/penstock/summary") else None
                self._answer(404 if found is None else 200, found or {"errors": [f"Not found: {self.path}"]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                manager.tell(self.path, body)
                self._answer(202, {})

            def do_PATCH(self) -> None:
                self.do_POST()

            def log_message(self, format: str, *arguments: Any) -> None:
                return None

            def _answer(self, status: int, body: Any) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer((ip, REST_PORT), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def tell(self, path: str, body: Any) -> None:
        """Of what was asked only a start has an effect."""
        if path.endswith("/penstock/standby"):
            self._start_id = str(body["startId"])
            self.told.append("start")
        else:
            self.told.append(path.rpartition("/")[2])

    def summary(self) -> dict[str, Any]:
        """Of one whose job runs since it was told to."""
        self.looks += 1
        started = self._start_id is not None
        job = {"state": "RUNNING", "startTime": 1, "parallelism": 1, "restarts": 0, "failure": None}
        return {
            "standby": {
                "revision": self.revision,
                "state": "STARTED" if started else "WAITING",
                "startId": self._start_id,
                "error": None,
                "slots": {"required": 1, "registered": 1},
                "preflight": {"status": "COMPATIBLE", "against": None, "findings": []},
            },
            "job": job if started else None,
            "checkpoints": {"completed": 5, "failed": 0, "last": None} if started else None,
        }

    def close(self) -> None:
        """Nobody answers at its address any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _address() -> str:
    """Of this machine's own, another one for each pod and each process that pretends."""
    number = (os.getpid() % 50) * 1_000 + next(_numbers) % 1_000
    return f"127.{100 + number // 40_000}.{number // 200 % 200}.{1 + number % 200}"
