"""A job on a JobManager and TaskManagers that are processes of their own, as on a cluster, for fault tests.

They are started by the command line, find each other by address, and are asked over REST.
"""

import contextlib
import subprocess
import time
from pathlib import Path
from typing import Any, Final, final

from penstock.base.errors import PenstockError
from penstock.rest.client import RestClient
from penstock.testing import jobs
from penstock.testing.cluster import FaultCluster, Job, Setup
from penstock.testing.commands import free_port
from penstock.testing.host import CheckpointView, View
from penstock.testing.processes import workers_of
from penstock.testing.services import Minio
from penstock.testing.steps import Plan

_COMMAND: Final = "penstock.cli.start"
_ASKED_EACH_S: Final = 0.05


@final
class SpreadCluster(FaultCluster):
    """One JobManager at a time, and TaskManagers with one slot each, that outlive it."""

    def __init__(self, folder: Path, job: Job, setup: Setup, minio: Minio | None = None) -> None:
        super().__init__(folder, job, setup, minio)
        self._rpc_port = free_port()
        self._rest_port = free_port()
        self._started = 0
        self._seen = View(0)
        self._seen_at = 0.0
        self.taskmanagers: list[subprocess.Popen[bytes]] = []
        """Those that belong to the newest JobManager."""
        self._all_taskmanagers: list[subprocess.Popen[bytes]] = []

    def start(self, plan: Plan | None = None) -> subprocess.Popen[bytes]:
        """Start a JobManager, and as many TaskManagers as are wanting; a later JobManager succeeds the first."""
        command = ["-m", _COMMAND, "jobmanager", "--job", str(jobs.__file__), "--job-id", self.id]
        command += ["--port", str(self._rpc_port), "--rest-port", str(self._rest_port)]
        number = len(self._hosts)
        process = self._popen([*command, *self._settings(), *self.arguments()], self._log_file(number), plan)
        self._hosts.append(process)
        self._seen = View(process.pid)
        while len(self.taskmanagers) < self.job.parallelism:
            self.start_taskmanager(plan)
        return process

    def start_apart(self) -> subprocess.Popen[bytes]:
        """Start a successor that the earlier JobManager's TaskManagers do not find, with TaskManagers of its own."""
        self._rpc_port, self._rest_port = free_port(), free_port()
        self.taskmanagers.clear()
        return self.start()

    def start_taskmanager(self, plan: Plan | None = None) -> None:
        """Start one more, with one slot."""
        command = ["-m", _COMMAND, "taskmanager", "--jobmanager", f"127.0.0.1:{self._rpc_port}", "--slots", "1"]
        log_file = self.folder / f"log-tm-{self._started}.txt"
        self._started += 1
        process = self._popen([*command, *self._settings()], log_file, plan)
        self.taskmanagers.append(process)
        self._all_taskmanagers.append(process)

    def kill_taskmanager(self, index: int = 0) -> None:
        """SIGKILL to a TaskManager; its workers die with it."""
        process = self.taskmanagers.pop(index)
        process.kill()
        process.wait()

    def kill_host(self) -> None:
        """SIGKILL to the JobManager; the TaskManagers wait for its successor."""
        self.host.kill()
        self.host.wait()

    @property
    def rest(self) -> RestClient:
        """Of the newest JobManager."""
        return RestClient(f"127.0.0.1:{self._rest_port}")

    def workers(self) -> list[int]:
        return [worker for process in self.taskmanagers for worker in workers_of(process.pid)]

    def view(self) -> View:
        """What the JobManager says over REST; what it said last when it does not answer."""
        now = time.monotonic()
        if now - self._seen_at >= _ASKED_EACH_S:
            self._seen_at = now
            with contextlib.suppress(PenstockError):
                self._seen = _view(RestClient(f"127.0.0.1:{self._rest_port}", timeout_s=2.0), self.id, self.host.pid)
        return self._seen

    def story(self) -> str:
        parts = [super().story()]
        parts += [f"-- {file.name}\n{file.read_text()[-4000:]}" for file in sorted(self.folder.glob("log-tm-*.txt"))]
        return "\n".join(parts)

    def wait_exit(self, timeout_s: float = 40.0) -> int:
        code = super().wait_exit(timeout_s)
        for process in self._all_taskmanagers:
            process.wait()
        return code

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        for process in self._all_taskmanagers:
            process.wait()

    def _settings(self) -> list[str]:
        return [part for key, value in self.configuration().items() for part in ("-D", f"{key}={value}")]


def _view(client: RestClient, job: str, pid: int) -> View:
    details, checkpoints, exceptions = client.job(job), client.checkpoints(job), client.exceptions(job)
    restored = checkpoints["latest"]["restored"]
    oldest_first = list(reversed(exceptions))
    return View(
        pid,
        status=details["state"],
        restarts=len(exceptions),
        checkpoints=tuple(_checkpoint(record) for record in reversed(checkpoints["history"])),
        exceptions=tuple(entry["stacktrace"] for entry in oldest_first),
        failed_at_ms=tuple(entry["timestamp"] for entry in oldest_first),
        running_since_ms=details["timestamps"]["RUNNING"],
        restored=None if restored is None else restored["id"],
    )


def _checkpoint(record: dict[str, Any]) -> CheckpointView:
    return CheckpointView(
        record["id"], record["status"], record.get("failure_message", ""), record["trigger_timestamp"], None
    )
