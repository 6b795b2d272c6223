"""`penstock run` to the first output of a small job."""

import statistics
import subprocess
import sys
import time

from tests.benchmarks.measurement import PROGRAMS, Measured, environment

ROUNDS = 5
COMMAND = (sys.executable, "-c", "from penstock.cli.start import main; main()", "run", "-q")


def measure() -> list[Measured]:
    took = sorted(_first_output() for _ in range(ROUNDS))
    note = f"{ROUNDS} runs, {took[0]:.2f} to {took[-1]:.2f} s"
    return [Measured("start", statistics.median(took), 1.5, "s", "less", note)]


def _first_output() -> float:
    begun = time.perf_counter()
    command = [*COMMAND, str(PROGRAMS / "small_job.py")]
    with subprocess.Popen(command, env=environment({}), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - begun
        process.stdout.read()
    if not line or process.returncode:
        raise RuntimeError(f"the job failed with exit code {process.returncode}")
    return took
