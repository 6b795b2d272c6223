"""Source to sink through a shuffle, two slots, each batch sent at once, at half of what goes through at most."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measurement import PROGRAMS, Measured, environment

SETTINGS = {"execution.buffer-timeout": "0 ms"}
SECONDS = 8


def measure() -> list[Measured]:
    full, _ = _run(2_000_000, None)
    rate = full / 2
    _, latencies = _run(int(rate * SECONDS), rate)
    p50, p99, p999 = (latencies[int(len(latencies) * share)] * 1e3 for share in (0.5, 0.99, 0.999))
    note = f"at {rate / 1e3:.0f}k records/s; p50 {p50:.1f}, p99.9 {p999:.1f} ms"
    return [Measured("latency", p99, 10, "ms, p99", "less", note)]


def _run(records: int, rate: float | None) -> tuple[float, list[float]]:
    """Records per second while it ran, and the latencies, sorted."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(PROGRAMS / "latency.py"), "--records", str(records)]
        command += ["--report", f"{directory}/report"] + ([] if rate is None else ["--rate", str(rate)])
        subprocess.run(command, check=True, env=environment(SETTINGS))
        reports = [json.loads(path.read_text()) for path in Path(directory).iterdir()]
    seconds = max(report["seconds"] for report in reports)
    latencies = sorted(latency for report in reports for latency in report["latencies_s"])
    return sum(report["records"] for report in reports) / seconds, latencies
