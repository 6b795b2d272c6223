"""What a process takes of its machine. Asked a few times a second by workers, TaskManagers and JobManagers.

Reads `/proc` where there is one; elsewhere only what Python itself knows. Never blocks: none of it is a real file.
"""

import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, final

from penstock.rpc.figures import ProcessMetrics

_SELF: Final = Path("/proc/self")
_WINDOW_S: Final = 0.4
"""Several may ask: the load is not taken over less."""
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@final
class ProcessMeter:
    """Of this process. Begin it once; a fork needs its own."""

    def __init__(self) -> None:
        self._before = (time.perf_counter(), time.process_time())
        self._load = 0.0
        self._collecting_since = 0.0
        self._gc_s = 0.0
        gc.callbacks.append(self._on_gc)

    def measure(self) -> ProcessMetrics:
        """What it takes now; the load is over the time since it was asked before."""
        now_s, cpu_s = time.perf_counter(), time.process_time()
        then_s, cpu_before_s = self._before
        if now_s - then_s >= _WINDOW_S:
            self._load = (cpu_s - cpu_before_s) / (now_s - then_s) / (os.cpu_count() or 1)
            self._before = (now_s, cpu_s)
        return ProcessMetrics(
            cpu_s=cpu_s,
            cpu_load=self._load,
            rss_bytes=_rss_bytes(),
            threads=_entries("task") or threading.active_count(),
            open_files=_entries("fd"),
            gc_collections=sum(generation["collections"] for generation in gc.get_stats()),
            gc_ms=int(self._gc_s * 1000),
        )

    def close(self) -> None:
        """Measure no more."""
        if self._on_gc in gc.callbacks:
            gc.callbacks.remove(self._on_gc)

    def _on_gc(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif self._collecting_since:
            self._gc_s += time.perf_counter() - self._collecting_since


def together(processes: Iterable[ProcessMetrics]) -> ProcessMetrics:
    """Several processes as one. Pages that forks share count in each."""
    every = tuple(processes)
    return ProcessMetrics(
        cpu_s=sum(p.cpu_s for p in every),
        cpu_load=sum(p.cpu_load for p in every),
        rss_bytes=sum(p.rss_bytes for p in every),
        threads=sum(p.threads for p in every),
        open_files=sum(p.open_files for p in every),
        gc_collections=sum(p.gc_collections for p in every),
        gc_ms=sum(p.gc_ms for p in every),
    )


def _rss_bytes() -> int:
    try:
        return int((_SELF / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        # The most it ever had; in bytes on macOS, in KiB elsewhere.
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most << 10


def _entries(folder: str) -> int:
    try:
        return len(os.listdir(_SELF / folder))
    except OSError:
        return 0
