"""The operator's scenarios on processes of this machine: `penstock-operator local` as a process of its own."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, final

import yaml

from penstock.testing import jobs
from penstock.testing.oracle import read_output
from penstock.testing.paced import FINISH, HURRY
from penstock.testing.processes import command_of, kill_and_wait, started_with
from penstock.testing.services import Minio
from penstock.testing.stages import NAME, TIMEOUT_S, Manifest, Process, Seen, Told
from penstock.testing.steps import wait_until

_MARK: Final = "PENSTOCK_FAULT_TEST"
_OPERATOR: Final = ("-m", "penstock_operator")
_API_VERSION: Final = "penstock.dev/v1alpha1"
_APPLIED: Final = "test/applied"
"""Annotation: which of a stage's manifests it was."""
_DEATH_S: Final = 15.0
_LOG_SHOWN: Final = 8_000


@final
class LocalStage:
    """See `penstock.testing.stages.Stage`. Whatever happens in its block, no process is left after it."""

    def __init__(
        self,
        folder: Path,
        *,
        minio: Minio | None = None,
        numbers: int = 2_000,
        rate: int = 600,
        operator: Sequence[str] = _OPERATOR,
        options: Sequence[str] = (),
    ) -> None:
        """With `minio` state and output lie there. `operator`: what Python is to run instead of the operator itself."""
        bucket = None if minio is None else minio.new_bucket()
        self.folder = folder
        self.minio = minio
        self.numbers = numbers
        self.rate = rate
        self.checkpoints = f"{bucket}/checkpoints" if bucket else (folder / "checkpoints").as_uri()
        self.savepoints = f"{bucket}/savepoints" if bucket else (folder / "savepoints").as_uri()
        self.output = f"{bucket}/output" if bucket else str(folder / "output")
        self.state = folder / "state"
        self.file = folder / "flinkjob.yaml"
        self.gate = folder / "gate"
        self.gate.mkdir(parents=True)
        self.operator_command = tuple(operator)
        self._options = tuple(options)
        self._mark = secrets.token_hex(8)
        self._operators: list[subprocess.Popen[bytes]] = []
        self._said = 0
        self._applied = 0

    def __enter__(self) -> "LocalStage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A failure within this block; of others their fixture tells.
        if error is not None:
            print(self.story())
        for process in self._operators:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            kill_and_wait(pid)

    # The manifest.

    def manifest(self, **job: Any) -> Manifest:
        spec: Manifest = {
            "job": {"script": jobs.__file__, "args": self.arguments(), **job},
            "flinkConfiguration": self._configuration(),
            "checkpoints": {"dir": self.checkpoints, "savepointDir": self.savepoints},
        }
        if self.minio is not None:
            spec["checkpoints"] |= {
                "endpoint": self.minio.endpoint,
                "credentialsSecretRef": {"name": "s3"},
            }
        return {"apiVersion": _API_VERSION, "kind": "FlinkJob", "metadata": {"name": NAME}, "spec": spec}

    def arguments(self, **changes: str | int) -> list[str]:
        given = {"gate": str(self.gate), "output": self.output, "numbers": self.numbers, "rate": self.rate, **changes}
        return ["count", *(part for name, value in given.items() for part in (f"--{name}", str(value)))]

    def apply(self, *manifests: Manifest) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "s3"},
            "stringData": {
                "AWS_ACCESS_KEY_ID": self.minio.access_key,
                "AWS_SECRET_ACCESS_KEY": self.minio.secret_key,
                "AWS_REGION": "us-east-1",
            },
        } if self.minio is not None else None  # fmt: skip
        self._said = len(self.log())
        self._applied += 1
        marked = [_marked(manifest, str(self._applied)) for manifest in manifests]
        self.write(yaml.safe_dump_all([*([secret] if secret else []), *marked]))
        if not self._operators:
            self.start_operator()
        wait_until(self._is_taken_up, TIMEOUT_S, lambda: f"nobody reads the manifest: {self.log()}")

    def write(self, text: str) -> None:
        """Into the manifest's file, whole."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(self.file)

    def refusal(self) -> str:
        wait_until(lambda: "is not applied" in self._new_log(), TIMEOUT_S, lambda: "the manifest was not refused")
        wait_until(lambda: self._new_log().endswith("\n"), TIMEOUT_S, lambda: "a line never ends")
        return self._new_log()

    # The operator.

    def start_operator(self) -> None:
        with (self.folder / "operator.log").open("ab") as log:
            process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._operators.append(process)

    @property
    def command(self) -> list[str]:
        """What runs the operator."""
        command = [sys.executable, *self.operator_command, "local", "-f", str(self.file)]
        return [*command, "--state-dir", str(self.state), *self._options]

    @property
    def environment(self) -> dict[str, str]:
        """In which."""
        path = os.pathsep.join(entry for entry in sys.path if entry)
        return {**os.environ, "PYTHONPATH": path, _MARK: self._mark}

    @property
    def operator(self) -> subprocess.Popen[bytes]:
        """The newest."""
        return self._operators[-1]

    def delete(self) -> None:
        self.operator.send_signal(signal.SIGINT)

    def wait_operator(self, timeout_s: float = TIMEOUT_S) -> int:
        """Its exit code."""
        return self.operator.wait(timeout_s)

    # What is seen.

    def seen(self) -> Seen | None:
        found = self._object("flinkjob", NAME)
        return None if found is None else Seen(found)

    def snapshot(self, name: str) -> Manifest | None:
        found = self._object("flinkstatesnapshot", name)
        return None if found is None else dict(found["status"])

    def events(self) -> list[Told]:
        file = self.state / "events.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [Told(line["type"], line["reason"], line["message"]) for line in lines]

    def committed(self) -> list[str]:
        return read_output(self.output, self.minio)

    def savepoint_folders(self) -> list[Path]:
        """Of the savepoints that were completed, where they lie in files."""
        return sorted(file.parent for file in Path(self.savepoints.removeprefix("file://")).rglob("_metadata"))

    def log(self) -> str:
        """What the operators have shown."""
        file = self.folder / "operator.log"
        return file.read_text(errors="replace") if file.exists() else ""

    def story(self) -> str:
        """For a test that failed."""
        parts = [self.log()[-_LOG_SHOWN:], str(self.seen())]
        logs = sorted(self.state.rglob("*.log"), key=lambda file: file.stat().st_mtime)
        parts += [f"-- {file.relative_to(self.state)}\n{file.read_text(errors='replace')[-4000:]}" for file in logs]
        return "\n".join(parts)

    def wait(self, what: str, holds: Callable[[Seen], bool], timeout_s: float = TIMEOUT_S) -> Seen:
        last: list[Seen] = []

        def found() -> bool:
            seen = self.seen()
            if seen is not None and (not last or last[-1] != seen):
                last.append(seen)
            return seen is not None and holds(seen)

        wait_until(found, timeout_s, lambda: f"never came: {what}; last seen: {last[-1:]}")
        return last[-1]

    def wait_gone(self, timeout_s: float = TIMEOUT_S) -> None:
        wait_until(lambda: self.seen() is None and not self.processes(), timeout_s, lambda: f"left: {self._left()}")
        for operator in self._operators:
            operator.wait()
        self._operators.clear()

    # What is done to it.

    def kill(self, *processes: Process) -> None:
        victims = []
        for process in processes:
            if process == "operator":
                victims.append(self.operator.pid)
            else:
                victims.append(self.pids(process)[0])
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        if "operator" in processes:
            self.operator.wait()

    def pids(self, process: Process) -> list[int]:
        """Of the active revision's processes of that kind, all of which are there; waits for them."""
        found: list[int] = []

        def there() -> bool:
            found[:] = self._pids(process)
            return bool(found)

        wait_until(there, _DEATH_S, lambda: f"there is no {process}")
        return found

    def raise_once(self) -> None:
        (self.gate / f"{jobs.RAISE}-numbers").touch()

    def let_finish(self) -> None:
        for name in (HURRY, FINISH):
            (self.gate / name).touch()

    def processes(self) -> list[int]:
        """All of this test that live."""
        return started_with(_MARK, self._mark)

    def _pids(self, process: Process) -> list[int]:
        seen = self.seen()
        if seen is None or not seen.revision:
            return []
        folder = self.state / "processes" / "default" / NAME / seen.revision
        found = []
        for file in sorted(folder.glob(f"{process}*.json")):
            with contextlib.suppress(OSError, ValueError):
                identity = json.loads(file.read_text()).get("identity")
                if identity and command_of(identity["pid"]):
                    found.append(identity["pid"])
        return found

    def _object(self, kind: str, name: str) -> Manifest | None:
        try:
            found: Manifest = json.loads((self.state / "objects" / kind / "default" / f"{name}.json").read_text())
        except OSError:
            return None
        return found

    def _is_taken_up(self) -> bool:
        """Whether the newest manifest was applied, or refused."""
        found = self._object("flinkjob", NAME)
        annotations = {} if found is None else found["metadata"].get("annotations", {})
        return annotations.get(_APPLIED) == str(self._applied) or "is not applied" in self._new_log()

    def _new_log(self) -> str:
        return self.log()[self._said :]

    def _left(self) -> list[str]:
        return [f"{pid}: {command_of(pid)}" for pid in self.processes()]

    def _configuration(self) -> dict[str, str]:
        found = {
            "execution.checkpointing.interval": "100 ms",
            "execution.checkpointing.tolerable-failed-checkpoints": "1000",
            "execution.checkpointing.data-inline-threshold": "0",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "1000",
            "restart-strategy.fixed-delay.delay": "20 ms",
            "penstock.log.level": "WARNING",
        }
        return found if self.minio is None else {**found, "s3.retry.max-num-retries": "1"}


def _marked(manifest: Manifest, mark: str) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": {_APPLIED: mark}}}
