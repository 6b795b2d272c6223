"""When this machine stood still: a host that serves others stops all its cores for tens of milliseconds.

A sleeper on each core wakes before everything else there. While all of them wake late nothing of ours ran, which no
count of ours of the time without a core knows of.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from tests.benchmarks.measurement import ROOT, reported

_PERIOD_S: Final = 0.002
_LATE_S: Final = 0.003
"""Later is a stall."""
_FIRST: Final = os.sched_param(1)
"""Before all that have no such priority."""


@final
@dataclass(frozen=True, slots=True)
class Stalls:
    """Those seen so far, by the monotonic clock, which all processes share."""

    folder: Path

    def within(self, begun: float, ended: float) -> float:
        """For how many of these seconds each core stood still, by the one that did so least."""
        cores = (reported(file) for file in self.folder.iterdir())
        return min((sum(_shared(stall, begun, ended) for stall in stalls) for stalls in cores), default=0.0)


@contextmanager
def watched() -> Iterator[Stalls]:
    """Look for them during the block. Who may not be first on a core sees none, and takes nothing off."""
    with tempfile.TemporaryDirectory() as folder:
        begin = [sys.executable, "-m", "tests.benchmarks.stalls"]
        cores = sorted(os.sched_getaffinity(0))
        sleepers = [subprocess.Popen([*begin, str(core), f"{folder}/{core}"], cwd=ROOT) for core in cores]
        try:
            yield Stalls(Path(folder))
        finally:
            for sleeper in sleepers:
                sleeper.kill()
                sleeper.wait()


def _shared(stall: Mapping[str, float], begun: float, ended: float) -> float:
    """How much of a stall lies between these."""
    return max(0.0, min(stall["until"], ended) - max(stall["since"], begun))


def _sleep(core: int, report: Path) -> None:
    os.sched_setaffinity(0, {core})
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, _FIRST)
    if os.sched_getscheduler(0) != os.SCHED_FIFO:
        return
    parent = os.getppid()
    with report.open("a", buffering=1) as file:
        while os.getppid() == parent:
            expected = time.perf_counter() + _PERIOD_S
            time.sleep(_PERIOD_S)
            now = time.perf_counter()
            if now - expected > _LATE_S:
                file.write(f'{{"since": {expected}, "until": {now}}}\n')


if __name__ == "__main__":
    _sleep(int(sys.argv[1]), Path(sys.argv[2]))
