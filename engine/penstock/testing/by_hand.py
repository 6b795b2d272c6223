"""A cluster as an operator starts it: `penstock jobmanager` and `penstock taskmanager`, each a process of its own.

For tests of what happens when one of them is killed, stopped, started twice or too early. Whatever happens in the
`with` block, no process is left after it.
"""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

from penstock.base.errors import PenstockError
from penstock.base.ids import JobId, new_job_id
from penstock.rest.client import RestClient
from penstock.testing import jobs
from penstock.testing.oracle import Expectation, read_output
from penstock.testing.paced import FINISH
from penstock.testing.processes import children_of, command_of, kill_and_wait, started_with, workers_of
from penstock.testing.steps import Plan, wait_until

_MARK: Final = "PENSTOCK_COMMANDS_TEST"
_TIMEOUT_S: Final = 30.0


@final
@dataclass(frozen=True, slots=True)
class Command:
    """One process that was started, and where its log goes."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def log(self) -> str:
        """All it has said, its workers included."""
        return self.log_file.read_text(errors="replace")

    def wait_log(self, text: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Until it has said this."""
        wait_until(lambda: text in self.log(), timeout_s, lambda: f"{self.name} never said {text!r}:\n{self.log()}")

    def wait_exit(self, timeout_s: float = _TIMEOUT_S) -> int:
        """Its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} has not ended after {timeout_s:g} s:\n{self.log()}") from None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def zygote(self) -> int:
        """The process that a TaskManager's workers are forked from."""
        return next(child for child in children_of(self.pid) if "zygote" in command_of(child))

    def workers(self) -> list[int]:
        """A TaskManager's workers."""
        return workers_of(self.pid)


@final
@dataclass(slots=True)
class CommandCluster:
    """The commands of one test, which share a folder, a home, a secret and a job."""

    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    """Configuration over the usual one, given with -D."""
    name: str = "count"
    numbers: int = 1200
    rate: int = 400
    parallelism: int = 2
    id: JobId = field(default_factory=new_job_id)
    rpc_port: int = field(default_factory=lambda: free_port())
    rest_port: int = field(default_factory=lambda: free_port())
    _mark: str = field(default_factory=lambda: secrets.token_hex(8))
    _commands: list[Command] = field(default_factory=list)

    def __enter__(self) -> "CommandCluster":
        for folder in (self.gate, self.temporary, self.home):
            folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            kill_and_wait(pid)
        for command in self._commands:
            command.process.wait()
        if error is not None:
            for command in self._commands:
                print(f"-- {command.name} (exit code {command.process.returncode}):\n{command.log()[-8000:]}")

    # Where things lie.

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    @property
    def temporary(self) -> Path:
        """TMPDIR of all processes."""
        return self.folder / "tmp"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def output(self) -> Path:
        return self.folder / "output"

    # Processes.

    def jobmanager(self, *more: str, plan: Plan | None = None, **changed: str) -> Command:
        """Start a JobManager for the job; `more` are further options of the command, `changed` its environment."""
        arguments = ["jobmanager", "--job", str(jobs.__file__), "--job-id", self.id]
        arguments += ["--port", str(self.rpc_port), "--rest-port", str(self.rest_port), *self._definitions(), *more]
        arguments += ["--", self.name, "--gate", str(self.gate), "--output", str(self.output)]
        arguments += ["--numbers", str(self.numbers), "--rate", str(self.rate)]
        return self.command(*arguments, plan=plan, **changed)

    def taskmanager(self, *more: str, slots: int = 1, plan: Plan | None = None, **changed: str) -> Command:
        """Start a TaskManager that looks for the JobManager."""
        arguments = ["taskmanager", "--jobmanager", f"127.0.0.1:{self.rpc_port}", "--slots", str(slots)]
        return self.command(*arguments, *self._definitions(), *more, plan=plan, **changed)

    def command(self, *arguments: str, plan: Plan | None = None, **changed: str) -> Command:
        """Start `penstock ARGUMENTS`."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        environment |= {_MARK: self._mark, "TMPDIR": str(self.temporary), "HOME": str(self.home)}
        environment |= ({} if plan is None else plan.environment) | changed
        name = f"{arguments[0]}-{len(self._commands)}"
        log_file = self.folder / f"{name}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "penstock.cli.main", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._commands.append(Command(name, process, log_file))
        return self._commands[-1]

    def processes(self) -> list[int]:
        """All living processes of this test."""
        return started_with(_MARK, self._mark)

    def wait_no_process(self, timeout_s: float = 10.0) -> None:
        """Until none is left."""
        wait_until(lambda: not self.processes(), timeout_s, lambda: f"processes are left: {self._left()}")

    # What is seen.

    @property
    def rest(self) -> RestClient:
        return RestClient(f"127.0.0.1:{self.rest_port}")

    def job(self) -> dict[str, Any]:
        """What REST says of the job; empty while nobody answers."""
        try:
            return self.rest.job(self.id)
        except PenstockError:
            return {}

    def completed(self) -> int:
        """How many checkpoints this JobManager has completed."""
        try:
            return int(self.rest.checkpoints(self.id)["counts"]["completed"])
        except PenstockError:
            return 0

    def wait_running(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Until every task runs."""
        self.wait("all tasks run", lambda: self._all_run(), timeout_s)

    def wait_completed(self, more: int = 1) -> None:
        """Until so many more checkpoints have completed."""
        wanted = self.completed() + more
        self.wait(f"{wanted} checkpoints", lambda: self.completed() >= wanted)

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float = _TIMEOUT_S) -> None:
        wait_until(condition, timeout_s, lambda: f"never came: {what}; the job: {self.job().get('state')}")

    def finish(self, *commands: Command, timeout_s: float = 40.0) -> None:
        """Let the job end: these commands must end well and leave nothing, and what was committed must be exact."""
        (self.gate / FINISH).touch()
        for command in commands:
            assert command.wait_exit(timeout_s) == 0, f"{command.name} ended badly"
        self.wait_no_process()
        differences = self.differences()
        assert not differences, "the output is not exact: " + "; ".join(differences)
        self.check_nothing_left()

    def differences(self) -> list[str]:
        """In what the committed output is not exact."""
        return Expectation.of(self.name, self.numbers, self.parallelism).differences(read_output(str(self.output)))

    def check_nothing_left(self) -> None:
        """No temporary file is left, and the ports are free."""
        left = sorted(str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*"))
        assert not left, f"files are left: {left}"
        for port in (self.rpc_port, self.rest_port):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))

    def configuration(self) -> dict[str, str]:
        """What is given to each command with -D."""
        return {
            "parallelism.default": str(self.parallelism),
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.dir": str(self.checkpoints),
            "execution.checkpointing.data-inline-threshold": "0",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "20 ms",
            "cluster.registration.max-timeout": "200 ms",
            "penstock.log.level": "INFO",
        } | dict(self.options)

    def _definitions(self) -> list[str]:
        return [part for key, value in self.configuration().items() for part in ("-D", f"{key}={value}")]

    def _all_run(self) -> bool:
        job = self.job()
        return job.get("state") == "RUNNING" and all(v["status"] in ("RUNNING", "FINISHED") for v in job["vertices"])

    def _left(self) -> list[str]:
        return [f"{pid}: {command_of(pid)}" for pid in self.processes()]


def free_port() -> int:
    """A port that nobody uses, for a server that must come back on the same one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
