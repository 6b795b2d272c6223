"""A cluster as an operator starts it, by `penstock jobmanager` and `penstock taskmanager`, amid a job with an oracle.

For tests of what happens when one of them is killed, stopped, started twice or too early.
"""

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from penstock.base.errors import PenstockError
from penstock.base.ids import JobId, new_job_id
from penstock.rest.client import RestClient
from penstock.testing import jobs
from penstock.testing.commands import Commands, Running, free_port
from penstock.testing.oracle import Expectation, read_output
from penstock.testing.paced import FINISH, HURRY
from penstock.testing.steps import Plan, wait_until

_TIMEOUT_S: Final = 30.0
_HOST: Final = "127.0.0.1"


@final
class ClusterByHand:
    """The commands of one test, which share a folder, a secret and a job."""

    def __init__(
        self, folder: Path, options: Mapping[str, str] | None = None, *, name: str = "count", numbers: int = 1200
    ) -> None:
        """`options`: configuration over the usual one; `name`: of the job in `penstock.testing.jobs`."""
        self.commands = Commands(folder)
        self.folder = folder
        self.gate = folder / "gate"
        self.temporary = folder / "tmp"
        self.checkpoints = folder / "checkpoints"
        self.output = folder / "output"
        self.id: JobId = new_job_id()
        self.rpc_port = free_port()
        self.rest_port = free_port()
        self._name = name
        self._numbers = numbers
        self._parallelism = 2
        self._options = dict(options or {})
        self._started: list[Running] = []

    def __enter__(self) -> Self:
        self.gate.mkdir()
        self.commands.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, running in enumerate(self._started) if error is not None else ():
            print(f"-- command {number} (exit code {running.process.poll()}):\n{running.errors[-8000:]}")
        self.commands.__exit__(kind, error, trace)

    # Processes.

    def jobmanager(self, *more: str, plan: Plan | None = None) -> Running:
        """Start a JobManager for the job; `more` are further options of the command."""
        script, *arguments = self.script()
        options = ["--port", str(self.rpc_port), "--rest-port", str(self.rest_port), *self.definitions(), *more]
        return self.start("jobmanager", "--job", script, "--job-id", self.id, *options, "--", *arguments, plan=plan)

    def taskmanager(self, *more: str, slots: int = 1, plan: Plan | None = None) -> Running:
        """Start a TaskManager that looks for the JobManager."""
        address = f"{_HOST}:{self.rpc_port}"
        options = ["--jobmanager", address, "--slots", str(slots), *self.definitions(), *more]
        return self.start("taskmanager", *options, plan=plan)

    def script(self) -> list[str]:
        """The job's script and its arguments."""
        arguments = [self._name, "--gate", str(self.gate), "--output", str(self.output)]
        return [str(jobs.__file__), *arguments, "--numbers", str(self._numbers), "--rate", "400"]

    def definitions(self) -> list[str]:
        """The configuration, as every command is given it."""
        configuration = {
            "parallelism.default": str(self._parallelism),
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.dir": str(self.checkpoints),
            "execution.checkpointing.data-inline-threshold": "0",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "20 ms",
            "cluster.registration.max-timeout": "200 ms",
            "penstock.log.level": "INFO",
        } | self._options
        return [part for key, value in configuration.items() for part in ("-D", f"{key}={value}")]

    # What is seen.

    @property
    def rest(self) -> RestClient:
        return RestClient(f"{_HOST}:{self.rest_port}")

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

    def wait_running(self) -> None:
        """Until every task runs."""
        self.wait("all tasks run", self._all_run)

    def wait_completed(self, more: int = 1) -> None:
        """Until so many more checkpoints have completed."""
        wanted = self.completed() + more
        self.wait(f"{wanted} checkpoints", lambda: self.completed() >= wanted)

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        wait_until(condition, _TIMEOUT_S, lambda: f"never came: {what}; the job: {self.job().get('state')}")

    # The end.

    def finish(self, *commands: Running) -> None:
        """Let the job end: these commands must end well and leave nothing, and what was committed must be exact."""
        for name in (HURRY, FINISH):
            (self.gate / name).touch()
        for command in commands:
            assert command.wait().code == 0, f"a command ended badly: {command.errors}"
        self.commands.nothing_left()
        self.check_output()
        self.check_nothing_left()

    def check_output(self) -> None:
        """What was committed must be exact."""
        expected = Expectation.of(self._name, self._numbers, self._parallelism)
        differences = expected.differences(read_output(str(self.output)))
        assert not differences, "the output is not exact: " + "; ".join(differences)

    def check_nothing_left(self) -> None:
        """No temporary file is left, and the ports are free."""
        left = sorted(str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*"))
        assert not left, f"files are left: {left}"
        for port in (self.rpc_port, self.rest_port):
            socket.create_server((_HOST, port)).close()

    def start(self, *arguments: str, plan: Plan | None = None) -> Running:
        """Start any command; what it said is shown if the test fails."""
        self._started.append(self.commands.start(*arguments, **({} if plan is None else plan.environment)))
        return self._started[-1]

    def _all_run(self) -> bool:
        job = self.job()
        return job.get("state") == "RUNNING" and all(v["status"] in ("RUNNING", "FINISHED") for v in job["vertices"])
