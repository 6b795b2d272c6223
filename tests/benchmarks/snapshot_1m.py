"""What a snapshot of 1M keys on the heap, all of them dirty, does to the stream: the longest pause, the throughput."""

import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.measurement import Measured, reported, running, wait_until

CHECKPOINTS = 6
INTERVAL_S = 5
"""At 1M records/s and more, 99 % of the keys change within it."""


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        settings = {
            "execution.checkpointing.interval": f"{INTERVAL_S} s",
            "execution.checkpointing.dir": f"{directory}/checkpoints",
        }
        with running("watched_count.py", "--report", str(report), configuration=settings) as process:
            found = wait_until(lambda: _enough(report), process, timeout_s=120)
    pauses = [line["during"]["longest_gap_s"] for line in found]
    quiet = [line["quiet"]["longest_gap_s"] for line in found]
    shares = [_rate(line["during"]) / _rate(line["quiet"]) for line in found]
    took = statistics.median(line["during"]["seconds"] for line in found)
    return [
        Measured(
            "pause", max(pauses) * 1e3, 20, "ms at worst", "less", f"{max(quiet) * 1e3:.1f} ms without a snapshot"
        ),
        Measured("snapshot_throughput", statistics.median(shares), 0.45, "x without", "more", f"for {took:.1f} s each"),
    ]


def _enough(report: Path) -> list[dict[str, dict[str, float]]] | None:
    """All checkpoints but the first, during which the keys are still coming."""
    completed = [line for line in reported(report) if "checkpoint" in line]
    return completed[1 : CHECKPOINTS + 1] if len(completed) > CHECKPOINTS else None


def _rate(stretch: dict[str, float]) -> float:
    return stretch["records"] / stretch["seconds"]
