"""Revisions of one job side by side, as an operator runs them: each a JobManager in standby with its TaskManagers.

For tests of upgrades between processes. The revisions share job id, checkpoint folder and output, and nothing else.
"""

import secrets
import signal
from typing import Any, Final, final

from penstock.base.errors import PenstockError
from penstock.rest.client import RestClient
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.commands import Running, free_port
from penstock.testing.paced import FINISH, HURRY
from penstock.testing.steps import Plan, wait_until

_TIMEOUT_S: Final = 60.0
_HOST: Final = "127.0.0.1"


@final
class Revision:
    """One of them; its processes are started one by one, and may be started again."""

    def __init__(self, cluster: ClusterByHand, name: str) -> None:
        self.name = name
        self.rest = RestClient(f"{_HOST}:{(port := free_port())}")
        self._rest_port = port
        self._rpc_port = free_port()
        self._cluster = cluster

    def up(self, *more: str, plan: Plan | None = None) -> "list[Running]":
        """A JobManager and TaskManagers for all its slots."""
        return [self.jobmanager(*more, plan=plan), self.taskmanager(slots=2)]

    def jobmanager(self, *more: str, plan: Plan | None = None, script: list[str] | None = None) -> Running:
        """A JobManager in standby."""
        cluster = self._cluster
        program, *arguments = script or cluster.script()
        ports = ["--port", str(self._rpc_port), "--rest-port", str(self._rest_port)]
        ours = ["--standby", "--revision", self.name, "--job-id", cluster.id]
        options = [*ours, *ports, *cluster.definitions(), *more]
        return cluster.start("jobmanager", "--job", program, *options, "--", *arguments, plan=plan)

    def taskmanager(self, *more: str, slots: int = 1, plan: Plan | None = None) -> Running:
        """A TaskManager that looks for it."""
        address = f"{_HOST}:{self._rpc_port}"
        options = ["--jobmanager", address, "--slots", str(slots), *self._cluster.definitions(), *more]
        return self._cluster.start("taskmanager", *options, plan=plan)

    # What it says.

    def seen(self) -> dict[str, Any]:
        """What it says of itself; empty while nobody answers."""
        try:
            return self.rest.standby()
        except PenstockError:
            return {}

    def wait_state(self, *states: str) -> dict[str, Any]:
        """Until it is in one of these states."""
        self._wait(f"{self.name} in {states}", lambda: self.seen().get("state") in states)
        return self.seen()

    def wait_prepared(self) -> dict[str, Any]:
        """Until it waits with all its slots, and knows whether the job would start."""

        def prepared() -> bool:
            seen = self.seen()
            slots = seen.get("slots", {"required": 1, "registered": 0})
            known = seen.get("preflight", {}).get("status", "UNKNOWN") != "UNKNOWN"
            return seen.get("state") == "WAITING" and slots["registered"] >= slots["required"] and known

        self._wait(f"{self.name} prepared", prepared)
        return self.seen()

    def wait_completed(self, more: int = 1) -> None:
        """Until so many more checkpoints have completed."""
        wanted = self._completed() + more
        self._wait(f"{wanted} checkpoints of {self.name}", lambda: self._completed() >= wanted)

    def job_state(self) -> str:
        """What REST says of the job."""
        return str(self.rest.job(self._cluster.id)["state"])

    # What it is told.

    def start(self, kind: str, path: str | None = None, *, start_id: str | None = None) -> str:
        """Tell it from what to start; the start's id."""
        start_id = start_id or secrets.token_hex(8)
        origin = {"kind": kind} | ({} if path is None else {"path": path})
        self.rest.start({"startId": start_id, "from": origin})
        return start_id

    def stop_with_savepoint(self) -> str:
        """Stop the job; the savepoint's address."""
        job, trigger = self._cluster.id, secrets.token_hex(16)
        folder = str(self._cluster.folder / "savepoints")
        self.rest.stop(job, trigger=trigger, directory=folder, format_type="CANONICAL", drain=False)
        self._wait("the stop", lambda: self.rest.savepoint_status(job, trigger)["operation"] is not None)
        return str(self.rest.savepoint_status(job, trigger)["operation"]["location"])

    def finish(self, *commands: Running) -> None:
        """Let the job end; it stays up, ENDED, until these commands are told to stop; the output must be exact."""
        for name in (HURRY, FINISH):
            (self._cluster.gate / name).touch()
        assert self.wait_state("ENDED")["ended"] == "FINISHED"
        for command in commands:
            command.signal(signal.SIGTERM)
        for command in commands:
            assert command.wait().code == 128 + signal.SIGTERM, command.errors
        self._cluster.commands.nothing_left()
        self._cluster.check_output()
        self._cluster.check_nothing_left()

    def _completed(self) -> int:
        try:
            return int(self.rest.checkpoints(self._cluster.id)["counts"]["completed"])
        except PenstockError:
            return 0

    def _wait(self, what: str, condition: Any) -> None:
        wait_until(condition, _TIMEOUT_S, lambda: f"never came: {what}; it says {self.seen()}")
