"""SIGKILL of a worker to the first new output, 1M keys on the heap."""

import os
import signal
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measurement import Measured, reported, running, wait_until

from penstock.checkpoint.metadata import decode

RESTORE_BYTES_PER_S = 200e6


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        report, checkpoints = Path(directory) / "report", Path(directory) / "checkpoints"
        settings = {"execution.checkpointing.interval": "3 s", "execution.checkpointing.dir": str(checkpoints)}
        with running("watched_count.py", "--report", str(report), configuration=settings) as process:
            wait_until(lambda: _checkpoints(report) > 1 or None, process, timeout_s=60)
            newest = max(checkpoints.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime)
            state_bytes = decode(newest.read_bytes(), str(newest)).state_bytes()
            (worker,) = (line["worker"] for line in reported(report) if "worker" in line)
            killed = time.perf_counter()
            os.kill(worker, signal.SIGKILL)
            begun = wait_until(lambda: _first_output(report, worker), process, timeout_s=60)
    took = begun - killed
    note = f"{took:.2f} s, {state_bytes / 1e6:.0f} MB of state"
    return [Measured("recovery", took - state_bytes / RESTORE_BYTES_PER_S, 2.0, "s besides state", "less", note)]


def _checkpoints(report: Path) -> int:
    return sum("checkpoint" in line for line in reported(report))


def _first_output(report: Path, killed: int) -> float | None:
    """When another worker than the killed one had its first output, by the clock that all processes share."""
    return next((line["first_output"] for line in reported(report) if line.get("worker", killed) != killed), None)
