"""What a benchmark answers, and how whole processes are timed. Used by every script here."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
BUILD: Final = ROOT / "build"

Settings = Mapping[str, str]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure against its target."""

    name: str
    value: float
    target: float
    unit: str
    better: Literal["more", "less"]
    note: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.better == "more" else self.value <= self.target


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that counts as many records as it is told to."""

    name: str
    command: Sequence[str]
    configuration: Settings = field(default_factory=dict)

    def seconds(self, records: int) -> float:
        """From the command to its end."""
        begun = time.perf_counter()
        subprocess.run([*self.command, "--records", str(records)], check=True, env=environment(self.configuration))
        return time.perf_counter() - begun

    def peak_bytes(self, records: int) -> int:
        """Resident memory of the largest of its processes, at its largest."""
        command = [*self.command, "--records", str(records)]
        process = subprocess.Popen(command, env=environment(self.configuration))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{self.name} failed with exit code {process.returncode}")
        return usage.ru_maxrss * 1024


def environment(configuration: Settings) -> dict[str, str]:
    """This process's own, with the working tree's packages first, and what a Penstock program begins with."""
    path = os.pathsep.join([str(ROOT / "engine"), str(ROOT / "operator"), os.environ.get("PYTHONPATH", "")])
    given = {"PYTHONPATH": path.rstrip(os.pathsep), "PENSTOCK_CONFIGURATION": json.dumps(configuration)}
    return {**os.environ, **given}


def penstock(*arguments: str, name: str = "penstock", configuration: Settings | None = None) -> Contender:
    """Our keyed count."""
    return Contender(name, (sys.executable, str(PROGRAMS / "keyed_count.py"), *arguments), configuration or {})


@contextmanager
def running(program: str, *arguments: str, configuration: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """One of the programs, ended with the block."""
    command = [sys.executable, str(PROGRAMS / program), *arguments]
    process = subprocess.Popen(command, env=environment(configuration))
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def wait_until(reached: Callable[[], Answer | None], process: subprocess.Popen[bytes], timeout_s: float) -> Answer:
    """Ask every 20 ms, as long as the process lives."""
    deadline = time.perf_counter() + timeout_s
    while (answer := reached()) is None:
        if process.poll() is not None:
            raise RuntimeError(f"the program ended early, with exit code {process.returncode}")
        if time.perf_counter() > deadline:
            raise RuntimeError(f"not reached within {timeout_s} s")
        time.sleep(0.02)
    return answer


def reported(path: Path) -> list[dict[str, Any]]:
    """The lines of JSON that a program has written so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def bare_dict(*arguments: str) -> Contender:
    """A loop over a dict."""
    return Contender("dict", (sys.executable, str(PROGRAMS / "keyed_count_dict.py"), *arguments))


def race(mine: Contender, other: Contender, *, records: int, rounds: int) -> tuple[float, str]:
    """How many times as fast as `other` `mine` is, start-up taken off: the median of rounds run in turn; and a note.

    Start-up is the whole process with a thousand records.
    """
    ratios, costs = [], []
    for _ in range(rounds):
        spent = {c.name: (c.seconds(records) - c.seconds(1_000)) / records for c in (mine, other)}
        ratios.append(spent[other.name] / spent[mine.name])
        costs.append(spent)
    note = ", ".join(f"{c.name} {_median(lambda s, c=c: s[c.name] * 1e9, costs):.0f} ns" for c in (mine, other))  # type: ignore[misc]
    return statistics.median(ratios), note


def _median(value: Callable[[dict[str, float]], float], spent: list[dict[str, float]]) -> float:
    return statistics.median(map(value, spent))
