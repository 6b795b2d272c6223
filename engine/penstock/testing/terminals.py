"""A command on a terminal of its own, with somebody before it who reads, types, and presses Ctrl-C.

A real pseudo terminal, so that programs show what they show to people, and Ctrl-C is what the kernel makes of it.
"""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from penstock.testing.steps import wait_until

CTRL_C: Final = "\x03"
_PIECE: Final = re.compile(
    r"\x1b\[(?P<count>[0-9;?]*)[ -/]*(?P<what>[@-~])|\x1b[()].|\x1b[@-Z\\-_]|(?P<text>[^\x1b\r\n]+)|[\r\n]"
)
_UNFINISHED: Final = re.compile(r"\x1b\[?[0-9;?]*$")
_TIMEOUT_S: Final = 40.0


@final
class Terminal:
    """One command, and all that its terminal has shown. What still runs at the block's end is killed with its group."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        lines: int = 40,
        columns: int = 150,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._paper = Paper()
        self._process = subprocess.Popen(
            # A session of its own, whose terminal this is: otherwise nobody would hear of Ctrl-C.
            ["setsid", "--ctty", *command],
            cwd=folder,
            env=_on_this_terminal(environment),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._reading = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def text(self) -> str:
        """What somebody would see who scrolls back to the beginning."""
        return self._paper.text

    @property
    def over(self) -> bool:
        """Whether the command has ended."""
        return self._process.poll() is not None

    def shows(self, pattern: str, timeout_s: float = _TIMEOUT_S) -> re.Match[str]:
        """Wait until its text has a match."""
        found: list[re.Match[str]] = []

        def shown() -> bool:
            over = self.over and not self._reading.is_alive()
            found[:] = [match] if (match := re.search(pattern, self.text)) else []
            assert found or not over, f"it ended without {pattern!r}:\n{self.text[-4000:]}"
            return bool(found)

        wait_until(shown, timeout_s, lambda: f"never showed {pattern!r}:\n{self.text[-4000:]}")
        return found[0]

    def type(self, keys: str) -> None:
        """What is typed, or CTRL_C."""
        os.write(self._ours, keys.encode())

    def wait(self, timeout_s: float = _TIMEOUT_S) -> int:
        """The command's exit code."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.text[-4000:]}") from None

    def close(self) -> None:
        """Nothing of it is left but processes that have sessions of their own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        if self._ours >= 0:
            self._reading.join(1.0)
            os.close(self._ours)
            self._ours = -1

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with contextlib.suppress(OSError):  # The other side is closed.
            while piece := os.read(self._ours, 1 << 16):
                self._paper.write(decoder.decode(piece))


@final
class Paper:
    """What stands on a terminal of any length: lines that a live view has drawn anew stand there once."""

    def __init__(self) -> None:
        self._lines = [""]
        self._line = 0
        self._column = 0
        self._rest = ""

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in list(self._lines))

    def write(self, text: str) -> None:
        """What a program has sent."""
        text = self._rest + text
        unfinished = _UNFINISHED.search(text)
        self._rest = "" if unfinished is None else unfinished[0]
        for piece in _PIECE.finditer(text.removesuffix(self._rest)):
            if piece["text"]:
                self._put(piece["text"])
            elif piece["what"]:
                self._control(piece["what"], int(piece["count"]) if piece["count"].isdecimal() else None)
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._line += 1
                self._lines += [""] * (self._line + 1 - len(self._lines))

    def _put(self, text: str) -> None:
        line = self._lines[self._line].ljust(self._column)
        self._lines[self._line] = line[: self._column] + text + line[self._column + len(text) :]
        self._column += len(text)

    def _control(self, what: str, count: int | None) -> None:
        match what:
            case "A":
                self._line = max(0, self._line - (count or 1))
            case "K":
                self._lines[self._line] = "" if count == 2 else self._lines[self._line][: self._column]
            case "J":
                self._lines[self._line] = self._lines[self._line][: self._column]
                del self._lines[self._line + 1 :]
            case _:
                pass  # Colours, and whether the cursor is to be seen.


def _on_this_terminal(environment: Mapping[str, str]) -> dict[str, str]:
    """What an outer terminal, or one that pytest-xdist imagines, has said of its size must not be believed."""
    kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    return {**kept, "TERM": "xterm-256color"}
