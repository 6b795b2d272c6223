"""What a benchmark answers, and how whole processes are timed. Used by every script here."""

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, final

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = Path(__file__).parent / "programs"
BUILD: Final = ROOT / "build"
STARTED: Final = 1_000
"""Records with which a program does hardly more than start."""
_TURN_S: Final = 0.2
_TURN_MIN_S: Final = 0.02

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
    """How many times as fast as `other` `mine` is, start-up taken off: the median of some rounds; and a note."""
    found = run_rounds((mine, other), records=records, rounds=rounds)
    note = ", ".join(f"{c.name} {_median(lambda s, c=c: s[c.name] * 1e9, found):.0f} ns" for c in (mine, other))  # type: ignore[misc]
    return _median(lambda spent: spent[other.name] / spent[mine.name], found), note


def run_rounds(contenders: Sequence[Contender], *, records: int, rounds: int) -> list[dict[str, float]]:
    """Seconds per record of each, by round, less its start-up: the whole process with a thousand records.

    They run in turn, and stand still while others do: where somebody else uses the same cores, their speed may halve
    for seconds at a time, and each is to have its part of that.
    """
    found = []
    spent = dict.fromkeys((each.name for each in contenders), 1.0)
    for _ in range(rounds):
        turns = {name: _TURN_S * cost / max(spent.values()) for name, cost in spent.items()}
        whole, start = _in_turn(contenders, records, turns), _in_turn(contenders, STARTED, turns)
        spent = {name: (whole[name] - start[name]) / records for name in whole}
        found.append(spent)
    return found


def _in_turn(contenders: Sequence[Contender], records: int, turns_s: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each. Whoever is expected to need less has shorter turns, so that all end at about the same time."""
    programs = [_Turns(each, records, turns_s[each.name]) for each in contenders]
    try:
        under_way = programs
        while under_way:
            under_way = [program for program in under_way if program.goes_on()]
    finally:
        for program in programs:
            program.kill()
    return {program.name: program.seconds for program in programs}


@final
class _Turns:
    """A program that runs for a while, and stands still while others do."""

    def __init__(self, contender: Contender, records: int, turn_s: float) -> None:
        self.name = contender.name
        self.seconds = 0.0
        self._turn_s = max(_TURN_MIN_S, turn_s)
        command = [*contender.command, "--records", str(records)]
        self._process = subprocess.Popen(command, env=environment(contender.configuration))
        self._exit = os.pidfd_open(self._process.pid)
        self._signal(signal.SIGSTOP)

    def goes_on(self) -> bool:
        """A turn; whether there is to be another one."""
        begun = time.perf_counter()
        self._signal(signal.SIGCONT)
        ended, _, _ = select.select([self._exit], [], [], self._turn_s)
        self.seconds += time.perf_counter() - begun
        if not ended:
            self._signal(signal.SIGSTOP)
        elif self._process.wait():
            raise RuntimeError(f"{self.name} failed with exit code {self._process.returncode}")
        return not ended

    def kill(self) -> None:
        """If it has not ended: its children end with it."""
        os.close(self._exit)
        if self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        """To all its processes; parents first, so that none is stopped after it has made another one."""
        tree = [self._process.pid]
        for pid in tree:
            with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                os.kill(pid, number)
                for task in Path(f"/proc/{pid}/task").iterdir():
                    tree += map(int, (task / "children").read_text().split())


def _median(value: Callable[[dict[str, float]], float], spent: list[dict[str, float]]) -> float:
    return statistics.median(map(value, spent))
