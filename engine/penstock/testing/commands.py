"""The command line in processes of its own, for tests of what it says, how it ends, and what it leaves behind."""

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, final

from penstock.testing.processes import kill_and_wait, started_with
from penstock.testing.steps import wait_until

_MARK: Final = "PENSTOCK_COMMAND_TEST"
_TIMEOUT_S: Final = 40.0
_PORTS: Final = range(10_000, 20_000)
"""Below those that connections take for their own ends."""


@final
@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a command."""

    code: int
    output: str
    errors: str


@final
class Running:
    """A command that was started."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, errors: Path) -> None:
        self.process = process
        self._output = output
        self._errors = errors

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def says(self, pattern: str, timeout_s: float = _TIMEOUT_S) -> re.Match[str]:
        """Wait until either of its outputs has a match."""

        def found() -> re.Match[str] | None:
            return re.search(pattern, self.output + self.errors)

        def spoken() -> bool:
            assert found() or self.process.poll() is None, f"it ended without {pattern!r}: {self.output}{self.errors}"
            return found() is not None

        wait_until(spoken, timeout_s, lambda: f"never said {pattern!r}: {self.output}{self.errors}")
        match = found()
        assert match is not None
        return match

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = _TIMEOUT_S) -> Ended:
        code = self.process.wait(timeout_s)
        return Ended(code, self.output, self.errors)


@final
class Commands:
    """Starts `penstock` commands and scripts in a folder; on exit, every process that they have left is an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mark = secrets.token_hex(8)
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
        try:
            if kind is None:
                self.nothing_left()
        finally:
            for pid in self.left():
                kill_and_wait(pid)

    def start(self, *arguments: str, **environment: str) -> Running:
        """`penstock ARGUMENTS`."""
        return self._start([sys.executable, "-m", "penstock.cli.start", *arguments], environment)

    def run(self, *arguments: str, **environment: str) -> Ended:
        """The same, to its end."""
        return self.start(*arguments, **environment).wait()

    def python(self, *arguments: str, timeout_s: float = _TIMEOUT_S, **environment: str) -> Ended:
        """`python ARGUMENTS`, to its end."""
        return self.start_python(*arguments, **environment).wait(timeout_s)

    def start_python(self, *arguments: str, **environment: str) -> Running:
        """The same, begun."""
        return self._start([sys.executable, *arguments], environment)

    def script(self, name: str, text: str) -> str:
        """Write a script into the folder."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def left(self) -> list[int]:
        """Processes that the commands have started and that live."""
        return started_with(_MARK, self._mark)

    def nothing_left(self, timeout_s: float = 10.0) -> None:
        """Wait until there are none."""
        wait_until(lambda: not self.left(), timeout_s, lambda: f"processes are left: {self.left()}")

    def _start(self, command: list[str], environment: dict[str, str]) -> Running:
        number = len(self._started)
        output, errors = self.folder / f"{number}.out", self.folder / f"{number}.err"
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        surroundings = dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
        surroundings |= {_MARK: self._mark, "HOME": str(self.folder), "TMPDIR": str(temporary)}
        with output.open("wb") as out, errors.open("wb") as err:
            process = _popen(command, surroundings | environment, out, err, self.folder)
        self._started.append(process)
        return Running(process, output, errors)


def free_port() -> int:
    """A port that nobody listens on now, of those that no client gets: it is still free when its process listens."""
    while True:
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def _popen(
    command: list[str], environment: dict[str, str], output: IO[Any], errors: IO[Any], folder: Path
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=folder
    )
