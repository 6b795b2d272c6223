"""Upgrades a running job with 100 MB of state by its savepoint, and tells how long it gave no record, and why.

Used by the benchmarks of both worlds. Downtime is from the last record of the old version to the first of the new one,
by what the job's sink notes; the steps in between are told by the job's journal, the operator's events and the
savepoint's files.
"""

import statistics
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measurement import PROGRAMS
from tests.benchmarks.programs.upgraded_count import TIMES

from penstock.checkpoint.journal import Record, decode
from penstock.checkpoint.journal_state import EpochTaken, SavepointStopped, Started
from penstock.storage import ObjectStore
from penstock.testing.stages import Stage, stable
from penstock.testing.steps import wait_until

KEYS: Final = 1_150_000
"""With their texts, 100 MB in the savepoint."""
ROUNDS: Final = 3
_TIMEOUT_S: Final = 60.0
CONFIGURATION: Final = {
    "execution.checkpointing.interval": "2 s",
    "execution.checkpointing.incremental": "true",
}


@dataclass(frozen=True)
class Upgraded:
    """One upgrade; times in seconds since 1970."""

    last: float
    written: float
    """The savepoint is whole in the store."""
    stopped: float
    """The journal says that the job was stopped with it."""
    seen: float
    """The operator has looked at it there."""
    told: float
    """The new version has taken the job over: the next epoch."""
    begun: float
    """It has chosen what to start from."""
    first: float
    bytes: int

    @property
    def downtime_s(self) -> float:
        return self.first - self.last


PARTS: Final[dict[str, Callable[[Upgraded], float]]] = {
    "to write the savepoint": lambda one: one.written - one.last,
    "to stop the job with it": lambda one: one.stopped - one.written,
    "to see and check it": lambda one: one.seen - one.stopped,
    "to tell the next version": lambda one: one.told - one.seen,
    "to read the plan": lambda one: one.begun - one.told,
    "to restore": lambda one: one.first - one.begun,
}


def told(upgrades: list[Upgraded]) -> tuple[float, str]:
    """The median, and where the time goes."""
    each = ", ".join(f"{statistics.median(map(part, upgrades)):.2f} s {name}" for name, part in PARTS.items())
    all_of = "/".join(f"{one.downtime_s:.2f}" for one in upgrades)
    return statistics.median(one.downtime_s for one in upgrades), f"{upgrades[0].bytes / 1e6:.0f} MB; {each}; {all_of}"


def spec_of(manifest: dict[str, Any], version: int, report: str, **process: Any) -> dict[str, Any]:
    """A stage's manifest, with this job in it."""
    spec = {key: value for key, value in manifest["spec"].items() if key != "job"}
    spec["flinkConfiguration"] = {**spec["flinkConfiguration"], **CONFIGURATION}
    arguments = ["--version", str(version), "--keys", str(KEYS), "--report", report]
    source = {"inline": (PROGRAMS / "upgraded_count.py").read_text()}
    spec["job"] = {"source": source, "args": arguments, "parallelism": 2}
    spec["taskManager"] = {**spec.get("taskManager", {}), **process}
    return {**manifest, "spec": spec}


def upgrade(
    stage: Stage,
    manifest: Callable[[int], dict[str, Any]],
    reports: Path,
    open_root: Callable[[str], ObjectStore],
    said: Callable[[str], list[float]],
) -> list[Upgraded]:
    """`ROUNDS` times. `open_root` opens the folders of the job's state; `said`: when events of a reason were told."""
    stage.apply(manifest(1))
    stable(stage)
    found = []
    for version in range(2, 2 + ROUNDS):
        wait_until(lambda old=version - 1: bool(_times(reports, old)), _TIMEOUT_S, lambda: "no record came")  # type: ignore[misc]
        stage.apply(manifest(version))
        wait_until(
            lambda new=version: len(_times(reports, new)) == 2, _TIMEOUT_S, lambda: f"no version: {stage.story()}"
        )  # type: ignore[misc]
        stable(stage)
        last = max(times[1] for times in _times(reports, version - 1))
        first = min(times[0] for times in _times(reports, version))
        stopped, epoch, started, path = _taken_over(open_root(stage.checkpoints))
        savepoint = open_root(path).list("")
        written = max(file.modified_ms for file in savepoint) / 1000
        seen, size = max(said("SavepointCompleted")), sum(file.size for file in savepoint)
        found.append(Upgraded(last, written, stopped, seen, epoch, started, first, size))
    return found


def _taken_over(store: ObjectStore) -> tuple[float, float, float, str]:
    """When the job was last stopped, taken over and begun again, and the savepoint between; as its journal has it."""
    slots = [decode(store.read(file.path), file.path) for file in store.list("") if "/journal/" in file.path]
    at = max(place for place, slot in enumerate(slots) if isinstance(slot.entry, SavepointStopped))
    stop = slots[at].entry
    assert isinstance(stop, SavepointStopped)
    return _s(slots[at]), _first(slots[at:], EpochTaken), _first(slots[at:], Started), stop.path


def _first(slots: list[Record], kind: type) -> float:
    return next(_s(slot) for slot in slots if isinstance(slot.entry, kind))


def _s(slot: Record) -> float:
    return slot.at_ms / 1000


def _times(reports: Path, version: int) -> list[tuple[float, float]]:
    """Of each task of the sink: its first and its newest record."""
    read = [file.read_bytes() for file in reports.glob(f"{version}-*")]
    return [struct.unpack(TIMES, data) for data in read if data]
