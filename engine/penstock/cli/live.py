"""The live view: a few lines at the bottom of the terminal; what the job prints scrolls by above them.

Workers print into a pipe instead of the terminal, and a thread here passes it on, so that their lines and ours do not
get mixed up. Only what would go to the terminal takes this way: output that goes to a file goes straight there.
"""

import os
import sys
import threading
from collections import deque
from io import StringIO
from types import TracebackType
from typing import Final, Self, final

from rich.console import Console
from rich.text import Text

from penstock.cli.progress import Progress, changes, count, rate, size

_DRAW_S: Final = 0.25
_RATE_S: Final = 2.0
_DRAIN_S: Final = 2.0
_COLOURS: Final = {
    "RUNNING": "bold green",
    "FINISHED": "bold green",
    "RESTARTING": "bold yellow",
    "CREATED": "bold yellow",
}


@final
class LiveView:
    """Takes over the terminal between `__enter__` and `__exit__`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[Progress] = deque()
        self._sentences: list[str] = []
        self._drawn_lines = 0
        self._column = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._taken: list[tuple[int, int]] = []
        self._terminal = -1

    def show(self, progress: Progress) -> None:
        looks = self._looks
        before = looks[-1] if looks and looks[-1].job == progress.job else None
        self._sentences += [s for s in changes(before, progress) if before is not None]
        if before is None:
            looks.clear()
        looks.append(progress)
        while len(looks) > 2 and progress.at_s - looks[1].at_s >= _RATE_S:
            looks.popleft()

    def __enter__(self) -> Self:
        sys.stdout.flush()
        sys.stderr.flush()
        self._terminal = os.dup(2)
        for target in (1, 2):
            if os.isatty(target):
                self._take_over(target)
        drawer = threading.Thread(target=self._draw_on, name="live-view", daemon=True)
        drawer.start()
        self._threads.append(drawer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for target, original in self._taken:
            os.dup2(original, target)
            os.close(original)
        self._over.set()
        for thread in self._threads:
            thread.join(_DRAIN_S)
        with self._lock:
            self._erase()
            self._write(self._summary())
        os.close(self._terminal)

    def _take_over(self, target: int) -> None:
        original = os.dup(target)
        read, write = os.pipe()
        os.dup2(write, target)
        os.close(write)
        self._taken.append((target, original))
        pump = threading.Thread(target=self._pass_on, args=(read,), name=f"pass-on-{target}", daemon=True)
        pump.start()
        self._threads.append(pump)

    def _pass_on(self, read: int) -> None:
        while data := os.read(read, 1 << 16):
            with self._lock:
                self._erase()
                self._write_bytes(data)
                self._column = 0 if data.endswith(b"\n") else 1
                if self._column == 0:
                    self._draw()
        os.close(read)

    def _draw_on(self) -> None:
        while not self._over.wait(_DRAW_S):
            with self._lock:
                if self._column == 0:
                    self._erase()
                    self._draw()

    def _draw(self) -> None:
        if not self._looks:
            return
        sentences, self._sentences = self._sentences, []
        width = _width(self._terminal)
        above = _rendered([Text(sentence, style="dim") for sentence in sentences], width)
        lines = _rendered(_lines(self._looks[0], self._looks[-1]), width)
        self._write("".join(f"{line}\n" for line in above + lines))
        self._drawn_lines = len(lines)

    def _erase(self) -> None:
        if self._drawn_lines:
            self._write(f"\x1b[{self._drawn_lines}A\r\x1b[J")
            self._drawn_lines = 0

    def _summary(self) -> str:
        if not self._looks:
            return ""
        now = self._looks[-1]
        lines = [Text(sentence, style="dim") for sentence in self._sentences]
        return "".join(f"{line}\n" for line in _rendered(lines or _lines(now, now)[:1], _width(self._terminal)))

    def _write(self, text: str) -> None:
        self._write_bytes(text.encode())

    def _write_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._terminal, view) :]


def _lines(earlier: Progress, now: Progress) -> list[Text]:
    read, taken = rate(earlier, now)
    head = Text.assemble(
        (now.name, "bold"),
        "  ",
        (now.state, _COLOURS.get(now.state, "bold red")),
        f"  {now.elapsed_s:.0f} s",
        f"  restarts {now.restarts}" if now.restarts else "",
    )
    totals = f"({count(now.records_in)} in, {count(now.records_out)} out)"
    records = f"records      {count(read)}/s in, {count(taken)}/s out  {totals}"
    lines = [head, Text(records)]
    if now.completed or now.failed:
        newest = f"; last {now.last_checkpoint} in {now.last_duration_ms} ms, {size(now.last_bytes)}"
        lines.append(
            Text(
                f"checkpoints  {now.completed} completed, {now.failed} failed"
                + (newest if now.last_checkpoint is not None else "")
                + f"; state {size(now.state_bytes)}"
            )
        )
    if now.failure:
        lines.append(Text(f"last failure {now.failure}", style="yellow"))
    return lines


def _rendered(lines: list[Text], width: int) -> list[str]:
    """One terminal line each, cut at its width."""
    console = Console(file=StringIO(), force_terminal=True, width=width, legacy_windows=False, highlight=False)
    found = []
    for line in lines:
        line.truncate(width - 1, overflow="ellipsis")
        with console.capture() as capture:
            console.print(line, end="", no_wrap=True)
        found.append(capture.get())
    return found


def _width(terminal: int) -> int:
    try:
        return max(20, os.get_terminal_size(terminal).columns)
    except OSError:
        return 80
