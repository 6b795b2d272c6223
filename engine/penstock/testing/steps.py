"""Stops a process at a named step: how fault tests reach the moments that matter, instead of sleeping and hoping.

A test writes a plan to a file and starts processes with `Plan.environment`; product code calls
`penstock.base.steps.reached`, whose hook is `hook` here. A stop happens in one process only, whichever comes first: a
marker file beside the plan is created before, so the test can wait for it and see that the step was really reached.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, final

_VARIABLE: Final = "PENSTOCK_STEP_PLAN"
_HOOK: Final = "penstock.testing.steps:hook"
_POLL_S: Final = 0.005

Action = Literal["kill", "stop", "fail", "hold"]
"""SIGKILL; SIGSTOP; raise StepFailure; wait until the test releases it."""


class StepFailure(Exception):
    """What a step raises when the plan says `fail`."""


@final
@dataclass(frozen=True, slots=True)
class Stop:
    """Do `action` when a process comes to `step` for the `nth` time (counted per process)."""

    step: str
    action: Action = "kill"
    nth: int = 1
    times: int = 1
    """In so many processes or visits; each time is claimed by one."""


@final
class Plan:
    """The stops of one test, in a folder of its own."""

    def __init__(self, folder: Path, *stops: Stop) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.json").write_text(json.dumps([asdict(stop) for stop in stops]))

    @property
    def environment(self) -> dict[str, str]:
        """What the processes are to be started with."""
        return {"PENSTOCK_STEP_HOOK": _HOOK, _VARIABLE: str(self._folder)}

    def happened(self, index: int = 0) -> int:
        """How often the stop with this index has been carried out."""
        return len(list(self._folder.glob(f"done-{index}-*")))

    def pid(self, index: int = 0) -> int:
        """The process that the stop hit first."""
        first = min(self._folder.glob(f"done-{index}-*"))
        # The file is there a moment before what is in it.
        wait_until(lambda: first.read_text() != "", 10.0, lambda: f"{first} stays empty")
        return int(first.read_text())

    def wait(self, index: int = 0, *, times: int = 1, timeout_s: float = 60.0) -> None:
        """Until the stop has been carried out; AssertionError naming the step when it never is."""
        wait_until(
            lambda: self.happened(index) >= times, timeout_s, lambda: f"stop {index} of {self._folder} was not reached"
        )

    def release(self, index: int = 0) -> None:
        """Let processes that are held at this stop go on."""
        (self._folder / f"release-{index}").touch()


def wait_until(
    condition: Callable[[], bool], timeout_s: float, found: Callable[[], str], *, poll_s: float = _POLL_S
) -> None:
    """Poll until `condition` holds; AssertionError with what was found when time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout_s:g} s: {found()}")
        time.sleep(poll_s)


_lock: Final = threading.Lock()
_counts: Final[Counter[str]] = Counter()
_plans: Final[dict[str, list[Stop]]] = {}


def hook(step: str) -> None:
    """Called by `penstock.base.steps.reached` in every process of a fault test."""
    folder = os.environ.get(_VARIABLE)
    if folder is None:
        return
    with _lock:
        if folder not in _plans:
            _plans[folder] = [Stop(**stop) for stop in json.loads((Path(folder) / "plan.json").read_text())]
        stops = [(i, stop) for i, stop in enumerate(_plans[folder]) if stop.step == step]
        if not stops:
            return
        _counts[step] += 1
        count = _counts[step]
    for index, stop in stops:
        if count >= stop.nth and _claim(Path(folder), index, stop.times):
            _carry_out(Path(folder), index, stop)


def _claim(folder: Path, index: int, times: int) -> bool:
    for number in range(times):
        try:
            descriptor = os.open(folder / f"done-{index}-{number:06d}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            continue
        os.write(descriptor, str(os.getpid()).encode())
        os.close(descriptor)
        return True
    return False


def _carry_out(folder: Path, index: int, stop: Stop) -> None:
    match stop.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)  # The signal is on its way.
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "fail":
            raise StepFailure(f"the test's plan fails step {stop.step}")
        case "hold":
            while not (folder / f"release-{index}").exists():
                time.sleep(_POLL_S)
