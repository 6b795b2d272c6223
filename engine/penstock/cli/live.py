"""The live view: a few lines at the bottom of the terminal; what the job prints scrolls by above them.

Workers print into a pipe instead of the terminal, and a thread here passes it on, so that their lines and ours do not
get mixed up. Only what would go to the terminal takes this way: output that goes to a file goes straight there.
"""

import os
import sys
import threading
from collections import deque
from types import TracebackType
from typing import Final, Self, final

from penstock.cli.progress import Progress, changes

_DRAW_S: Final = 0.25
_RATE_S: Final = 2.0
_DRAIN_S: Final = 2.0
_WIDTH_DEFAULT: Final = 80


@final
class LiveView:
    """Takes over the terminal between `__enter__` and `__exit__`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: deque[Progress] = deque()
        self._sentences: deque[str] = deque()
        self._drawn_lines = 0
        self._column = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._taken: list[tuple[int, int]] = []
        self._terminal = -1

    def show(self, progress: Progress) -> None:
        looks = self._looks
        before = looks[-1] if looks and looks[-1].job == progress.job else None
        self._sentences += changes(before, progress) if before is not None else []
        if before is None or progress.records_in < before.records_in:
            looks.clear()  # Counters begin anew when tasks do.
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
        # Here, in a thread: it takes a while, and the job's first output does not wait for it.
        from penstock.cli.live_lines import said, state_lines

        width = _width(self._terminal)
        lines = state_lines(self._looks[0], self._looks[-1], width)
        self._write("".join(f"{line}\n" for line in said(self._new_sentences(), width) + lines))
        self._drawn_lines = len(lines)

    def _new_sentences(self) -> list[str]:
        return [self._sentences.popleft() for _ in range(len(self._sentences))]

    def _erase(self) -> None:
        if self._drawn_lines:
            self._write(f"\x1b[{self._drawn_lines}A\r\x1b[J")
            self._drawn_lines = 0

    def _summary(self) -> str:
        if not self._looks:
            return ""
        from penstock.cli.live_lines import said, state_lines, total_line

        now, width = self._looks[-1], _width(self._terminal)
        lines = [total_line(now, width), *(said(self._new_sentences(), width) or state_lines(now, now, width)[:1])]
        return "".join(f"{line}\n" for line in lines)

    def _write(self, text: str) -> None:
        self._write_bytes(text.encode())

    def _write_bytes(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._terminal, view) :]


def _width(terminal: int) -> int:
    try:
        return os.get_terminal_size(terminal).columns or _WIDTH_DEFAULT
    except OSError:
        return _WIDTH_DEFAULT
