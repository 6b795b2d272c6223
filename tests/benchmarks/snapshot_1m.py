"""What a snapshot of 1M keys on the heap, all of them dirty, does to the stream: the longest pause, the throughput.

Off a pause goes the time for which the system had no core for the worker, or the whole machine stood still.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.measurement import Measured, reported, running, wait_until
from tests.benchmarks.stalls import Stalls, watched

CHECKPOINTS: Final = 6
INTERVAL_S: Final = 5
"""At 1M records/s and more, 99 % of the keys change within it."""


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory, watched() as stalls:
        report = Path(directory) / "report"
        settings = {
            "execution.checkpointing.interval": f"{INTERVAL_S} s",
            "execution.checkpointing.dir": f"{directory}/checkpoints",
        }
        with running("watched_count.py", "--report", str(report), configuration=settings) as process:
            found = wait_until(lambda: _enough(report), process, timeout_s=120)
        pause, quiet = (max(_longest_s(line[stretch], stalls) for line in found) for stretch in ("during", "quiet"))
        stood_still = max(
            stalls.within(ended - seconds, ended) for line in found for ended, seconds, _ in line["during"]["gaps"]
        )
    shares = [_rate(line["during"]) / _rate(line["quiet"]) for line in found]
    took = statistics.median(line["during"]["seconds"] for line in found)
    note = f"{quiet * 1e3:.1f} ms without a snapshot; the machine stood still for up to {stood_still * 1e3:.0f} ms"
    return [
        Measured("pause", pause * 1e3, 20, "ms at worst", "less", note),
        Measured("snapshot_throughput", statistics.median(shares), 0.45, "x without", "more", f"for {took:.1f} s each"),
    ]


def _enough(report: Path) -> list[dict[str, Any]] | None:
    """All checkpoints but the first, during which the keys are still coming."""
    completed = [line for line in reported(report) if "checkpoint" in line]
    return completed[1 : CHECKPOINTS + 1] if len(completed) > CHECKPOINTS else None


def _longest_s(stretch: dict[str, Any], stalls: Stalls) -> float:
    """The longest time without a record that was our own doing."""
    return max(
        (seconds - max(waited, stalls.within(ended - seconds, ended)) for ended, seconds, waited in stretch["gaps"]),
        default=0.0,
    )


def _rate(stretch: dict[str, Any]) -> float:
    return stretch["records"] / stretch["seconds"]
