"""What a benchmark answers, and how whole processes are timed. Used by every script here."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
BUILD: Final = ROOT / "build"


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

    def seconds(self, records: int) -> float:
        """From the command to its end."""
        begun = time.perf_counter()
        subprocess.run([*self.command, "--records", str(records)], check=True, env=environment())
        return time.perf_counter() - begun


def environment() -> dict[str, str]:
    """This process's own, with the working tree's packages first."""
    path = os.pathsep.join([str(ROOT / "engine"), str(ROOT / "operator"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}


def penstock(*arguments: str, name: str = "penstock") -> Contender:
    """Our keyed count."""
    return Contender(name, (sys.executable, str(PROGRAMS / "keyed_count.py"), *arguments))


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
