"""Source to sink through a shuffle, two slots, each batch sent at once, at half of what goes through at most.

The 99th percentile of each second, and the median of the seconds, so that no single stall of the machine decides.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measurement import PROGRAMS, Measured, environment

SETTINGS = {"execution.buffer-timeout": "0 ms"}
FULL_RECORDS = 4_000_000
SECONDS = 12


def measure() -> list[Measured]:
    full = _run(FULL_RECORDS, None)
    rate = sum(report["records"] / report["took_s"] for report in full) / 2
    seconds = [second for report in _run(int(rate * SECONDS), rate) for second in report["latencies_s"] if second]
    p50, p99, p999 = (statistics.median(_share(second, share) for second in seconds) for share in (0.5, 0.99, 0.999))
    note = f"at {rate / 1e3:.0f}k records/s; p50 {p50:.1f}, p99.9 {p999:.1f} ms"
    return [Measured("latency", p99, 10, "ms, p99", "less", note)]


def _share(ordered: list[float], share: float) -> float:
    return ordered[int(len(ordered) * share)] * 1e3


def _run(records: int, rate: float | None) -> list[dict[str, Any]]:
    """The reports of the sink's subtasks."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(PROGRAMS / "latency.py"), "--records", str(records)]
        command += ["--report", f"{directory}/report"] + ([] if rate is None else ["--rate", str(rate)])
        subprocess.run(command, check=True, env=environment(SETTINGS))
        return [json.loads(path.read_text()) for path in Path(directory).iterdir()]
