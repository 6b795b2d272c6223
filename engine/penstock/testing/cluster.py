"""A job on processes of its own, for fault tests: started, killed, succeeded, watched, and cleaned away.

    with FaultCluster(folder, Job("count", numbers=4000), storage) as cluster:
        cluster.start(Plan(folder / "plan", Stop("task.snapshot.upload")))
        ...
        cluster.finish()  # lets the job come to its end at once, and compares what it committed with the oracle

Whatever happens in the block, no process is left after it; one that had to be killed then is an error.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, final, get_args

import msgspec

from penstock.base.clock import SystemClock
from penstock.base.ids import JobId, new_job_id
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import JournalState
from penstock.storage import ObjectStore, S3Settings, open_store
from penstock.testing import host, host_start, jobs
from penstock.testing.host import Ask, AskKind, OperationView, View, asks_beside
from penstock.testing.oracle import Expectation, read_output
from penstock.testing.paced import FINISH, HURRY
from penstock.testing.processes import command_of, kill_and_wait, started_with, workers_of
from penstock.testing.services import Minio
from penstock.testing.steps import Plan, wait_until

Backend = Literal["hashmap", "rocksdb", "rocksdb-incremental"]
StorageKind = Literal["jobmanager", "file", "s3"]

ONLY_WHEN_ASKED: Final = {"execution.checkpointing.interval": "365 d"}
"""No checkpoint comes by itself. The first one is due at a random moment of the interval: of ten minutes, one job in
thirty would take one amid a test of twenty seconds."""

_MARK: Final = "PENSTOCK_FAULT_TEST"
_LOG_SHOWN: Final = 60_000
_TIMEOUT_S: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Job:
    """Which job runs, and how long it has to run."""

    name: str = "count"
    numbers: int = 2400
    rate: int = 800
    """Numbers per second and subtask of a source."""
    parallelism: int = 2
    local_output: bool = False
    """Into a folder, wherever checkpoints go."""
    options: Mapping[str, str | None] = field(default_factory=dict)
    """Configuration over the usual one; None takes a key away."""
    script: str = str(jobs.__file__)
    """Where the job is described."""
    arguments: tuple[str, ...] = ()
    """Of the script, beside the usual ones."""


@final
@dataclass(frozen=True, slots=True)
class Setup:
    """Where state is kept, and where checkpoints go."""

    backend: Backend
    storage: StorageKind

    def __str__(self) -> str:
        return f"{self.backend}-{self.storage}"

    @property
    def durable(self) -> bool:
        """Whether checkpoints outlive the JobManager."""
        return self.storage != "jobmanager"


MATRIX: Final = tuple(Setup(backend, storage) for backend in get_args(Backend) for storage in get_args(StorageKind))
DURABLE: Final = tuple(setup for setup in MATRIX if setup.durable)


class FaultCluster:
    """The processes of one job, and what they leave. One process holds JobManager and TaskManagers.

    `penstock.testing.spread.SpreadCluster` has a process for each.
    """

    def __init__(self, folder: Path, job: Job, setup: Setup, minio: Minio | None = None) -> None:
        self.folder = folder
        self.job = job
        self.setup = setup
        self.id: JobId = new_job_id()
        self.gate = folder / "gate"
        self.minio = minio
        self._mark = secrets.token_hex(8)
        self._hosts: list[subprocess.Popen[bytes]] = []
        self._tmp = folder / "tmp"
        self.gate.mkdir(parents=True)
        self._tmp.mkdir()
        bucket = None if minio is None or setup.storage != "s3" else minio.new_bucket()
        self.checkpoints = f"{bucket}/checkpoints" if bucket else str(folder / "checkpoints")
        self.savepoints = f"{bucket}/savepoints" if bucket else str(folder / "savepoints")
        self.output = f"{bucket}/output" if bucket and not job.local_output else str(folder / "output")

    def __enter__(self) -> "FaultCluster":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left = self.processes()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            kill_and_wait(pid)
        for process in self._hosts:
            process.wait()

    # Processes.

    def start(self, plan: Plan | None = None) -> subprocess.Popen[bytes]:
        """Start a JobManager with its TaskManagers; a second one succeeds the first."""
        number = len(self._hosts)
        command = ["-m", host_start.__name__, self.id, str(self._view_file(number)), self.job.script, *self.arguments()]
        process = self._popen(command, self._log_file(number), plan)
        self._hosts.append(process)
        return process

    def arguments(self) -> list[str]:
        """Of the job's script."""
        job = self.job
        places = ["--gate", str(self.gate), "--output", self.output]
        return [job.name, *places, "--numbers", str(job.numbers), "--rate", str(job.rate), *job.arguments]

    def _popen(self, command: list[str], log_file: Path, plan: Plan | None) -> subprocess.Popen[bytes]:
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        environment |= {} if plan is None else plan.environment
        environment |= {
            _MARK: self._mark,
            "PENSTOCK_CONFIGURATION": json.dumps(self.configuration()),
            "PENSTOCK_SECRET": self._mark,
            "TMPDIR": str(self._tmp),
        }
        with log_file.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, *command], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def host(self) -> subprocess.Popen[bytes]:
        """The newest JobManager's process."""
        return self._hosts[-1]

    def kill_host(self) -> None:
        """SIGKILL to the JobManager, and wait until all that hangs on it is gone."""
        self.host.kill()
        self.host.wait()
        wait_until(lambda: not self.processes(), 10.0, lambda: f"processes outlive their JobManager: {self._left()}")

    def workers(self) -> list[int]:
        """Processes of the workers, oldest first."""
        return workers_of(self.host.pid)

    def kill_worker(self, index: int = 0) -> int:
        """SIGKILL to a worker that runs tasks."""
        pid = self.workers()[index]
        kill_and_wait(pid)
        return pid

    def processes(self) -> list[int]:
        """All processes of this test that live."""
        return started_with(_MARK, self._mark)

    # What is seen.

    def view(self) -> View:
        """What the newest JobManager says of its job."""
        file = self._view_file(len(self._hosts) - 1)
        return msgspec.json.decode(file.read_bytes(), type=View) if file.exists() else View(0)

    def wait(self, what: str, condition: Callable[[View], bool], timeout_s: float = _TIMEOUT_S) -> View:
        """Until the condition holds for what the newest JobManager says; fails at once when that has ended."""

        def holds() -> bool:
            ended = self.host.poll() is not None
            if condition(self.view()):
                return True
            assert not ended, f"the JobManager ended with {self.host.returncode} before: {what}"
            return False

        wait_until(holds, timeout_s, lambda: f"never came: {what}; last seen: {self.view()}")
        return self.view()

    def wait_running(self) -> View:
        return self.wait("the job runs", lambda view: view.status == "RUNNING")

    def wait_completed(self, more: int = 1) -> View:
        """Until so many more checkpoints have completed."""
        before = max(self.view().completed, default=0)
        return self.wait(
            f"{more} more completed checkpoints", lambda view: sum(id > before for id in view.completed) >= more
        )

    def wait_restarted(self, times: int = 1) -> View:
        """Until the job runs again after so many restarts in all."""
        return self.wait(
            f"{times} restarts", lambda view: view.restarts >= times and view.status in ("RUNNING", "FINISHED")
        )

    def rescale(self, parallelism: int) -> None:
        """Ask the newest JobManager for it."""
        draft = self.folder / f"{host.RESCALE}.draft"
        draft.write_text(str(parallelism))
        draft.replace(self.folder / host.RESCALE)

    def wait_rescaled(self, parallelism: int) -> View:
        """Until the job runs at this parallelism and its journal says so."""
        return self.wait(
            f"parallelism {parallelism}",
            lambda view: set(view.parallelism.values()) == {parallelism} and view.rescales[-1:] == ("SUCCEEDED",),
        )

    def raise_once(self, source: str) -> None:
        """Have a task behind this source raise at its next record."""
        (self.gate / f"{jobs.RAISE}-{source}").touch()

    def told(self, source: str) -> dict[str, list[str]]:
        """What the tasks behind this source were told of checkpoints, by `<subtask>.<attempt>`."""
        prefix = f"{jobs.RAISE}-{source}-told-"
        return {file.name.removeprefix(prefix): file.read_text().splitlines() for file in self.gate.glob(f"{prefix}*")}

    @property
    def store(self) -> ObjectStore:
        """The checkpoint folder, past the job."""
        assert self.setup.durable, "the JobManager keeps them to itself"
        return open_store(self.checkpoints, S3Settings() if self.minio is None else self.minio.settings)

    def journal(self) -> JournalState:
        """What the job's journal says."""
        return Journal(self.store, self.id, "test", clock=SystemClock(), rng=Random()).open()

    # What is asked.

    def ask(self, kind: AskKind = "savepoint", path: str | None = None, **more: Any) -> str:
        """Ask the newest JobManager for something; under which id."""
        asked = Ask(secrets.token_hex(16), kind, path or (self.savepoints if kind == "savepoint" else None), **more)
        folder = asks_beside(self._view_file(len(self._hosts) - 1))
        folder.mkdir(exist_ok=True)
        draft = folder / f"{asked.id}.draft"
        draft.write_bytes(msgspec.json.encode(asked))
        draft.replace(folder / f"{asked.id}.json")
        return asked.id

    def wait_answer(self, id: str, timeout_s: float = _TIMEOUT_S) -> OperationView:
        """What has become of it."""

        def over(view: View) -> bool:
            return id in view.operations and view.operations[id].completed

        return self.wait(f"an answer to {id}", over, timeout_s).operations[id]

    def savepoint(self, **more: Any) -> str:
        """Take one, or stop with one; where it is."""
        answer = self.wait_answer(self.ask(**more))
        assert answer.failure is None and answer.location is not None, answer.failure
        return answer.location

    def cancel(self) -> None:
        """Cancel the job, and wait until all is over."""
        self.ask("cancel")
        assert self.wait_exit() != 0

    def was_host(self, pid: int) -> bool:
        """Whether this one, which was killed, was the newest JobManager; then all that hung on it is gone on return."""
        if pid != self.host.pid:
            return False
        self.host.wait()
        wait_until(lambda: not self.processes(), 10.0, lambda: f"processes outlive it: {self._left()}")
        return True

    def wait_running_or_stopped(self) -> None:
        """Until the job runs, with all asked of it answered, or the journal says that it was stopped."""

        def settled(view: View) -> bool:
            answered = all(operation.completed for operation in view.operations.values())
            return self.journal().stopped is not None or (view.status == "RUNNING" and answered)

        wait_until(lambda: settled(self.view()), _TIMEOUT_S, lambda: f"never settles: {self.view()}")

    def successor(
        self, folder: Path, path: str, options: Mapping[str, str | None] | None = None, *, name: str | None = None
    ) -> "FaultCluster":
        """Another job, under an id of its own, that goes on from a savepoint or checkpoint with this one's output."""
        given = {**self.job.options, "execution.state-recovery.path": path, **(options or {})}
        job = replace(self.job, name=name or self.job.name, options=given)
        other = FaultCluster(folder, job, self.setup, self.minio)
        other.gate, other.output, other.checkpoints = self.gate, self.output, self.checkpoints
        other.savepoints = self.savepoints
        return other

    def files_below(self, address: str) -> list[str]:
        """What lies below a folder."""
        return [entry.path for entry in self.open(address).list("")]

    def open(self, address: str) -> ObjectStore:
        """What is there."""
        return open_store(address, S3Settings() if self.minio is None else self.minio.settings)

    # The end.

    def finish(self, timeout_s: float = 40.0) -> None:
        """Let the job end; it must end well and leave no process, and what it committed must be exact."""
        self.end(timeout_s)
        differences = self.expectation().differences(self.committed())
        assert not differences, "the output is not exact: " + "; ".join(differences)

    def end(self, timeout_s: float = 40.0) -> None:
        """Let the job end, and see that it ends well.

        Without its pace, which was for what was done to it: what is to be seen of it at its pace comes before.
        """
        self.hurry()
        self.let_end()
        code = self.wait_exit(timeout_s)
        assert code == 0, f"the job ended with exit code {code}"

    def let_end(self) -> None:
        """Let the sources come to their ends."""
        (self.gate / FINISH).touch()

    def hurry(self) -> None:
        """End the pace of the sources."""
        (self.gate / HURRY).touch()

    def wait_exit(self, timeout_s: float = 40.0) -> int:
        """The exit code of the newest JobManager, after which no process of the test is left."""
        try:
            code = self.host.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the JobManager has not ended after {timeout_s:g} s: {self.view()}") from None
        wait_until(lambda: not self.processes(), 10.0, lambda: f"processes are left: {self._left()}")
        return code

    def expectation(self) -> Expectation:
        return Expectation.of(self.job.name, self.job.numbers, self.job.parallelism)

    def committed(self) -> list[str]:
        """All lines that were committed so far."""
        return read_output(self.output, self.minio)

    def local_files(self) -> list[Path]:
        """What lies in the folders of the TaskManagers."""
        return sorted(self._tmp.rglob("*"))

    def log(self) -> str:
        """What all JobManagers and their workers have logged."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("log-*.txt")))

    def story(self) -> str:
        """What was seen, for a test that failed."""
        parts = [f"job {self.id} {self.job} on {self.setup}, in {self.folder}"]
        for number, process in enumerate(self._hosts):
            text = self._log_file(number).read_text(errors="replace")
            file = self._view_file(number)
            view = msgspec.json.decode(file.read_bytes(), type=View) if file.exists() else None
            parts.append(f"-- JobManager {number} (pid {process.pid}, exit code {process.poll()}): {view}")
            parts.append(text[-_LOG_SHOWN:])
        return "\n".join(parts)

    def configuration(self) -> dict[str, str]:
        """What every process of the job is configured with."""
        setup = self.setup
        found: dict[str, str | None] = {
            "parallelism.default": str(self.job.parallelism),
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.num-retained": "2",
            "web.checkpoints.history": "1000",
            "execution.checkpointing.data-inline-threshold": "0",
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            "execution.checkpointing.tolerable-failed-checkpoints": "1000",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "20 ms",
            "state.backend.type": "hashmap" if setup.backend == "hashmap" else "rocksdb",
            "execution.checkpointing.incremental": str(setup.backend == "rocksdb-incremental").lower(),
            "penstock.log.level": "INFO",
        }
        if setup.durable:
            found["execution.checkpointing.dir"] = self.checkpoints
        if setup.storage == "s3":
            assert self.minio is not None, "S3 needs its server"
            found |= self.minio.options
        return {key: value for key, value in {**found, **self.job.options}.items() if value is not None}

    def _left(self) -> list[str]:
        return [f"{pid}: {command_of(pid)}" for pid in self.processes()]

    def _view_file(self, number: int) -> Path:
        return self.folder / f"view-{number}.json"

    def _log_file(self, number: int) -> Path:
        return self.folder / f"log-{number}.txt"
