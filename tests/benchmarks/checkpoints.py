"""A checkpoint every second, 100,000 keys on the heap, over none."""

import tempfile

from tests.benchmarks.measurement import Measured, penstock, race

RECORDS = 5_000_000
KEYS = ("--keys", "100000", "--uniform")
INTERVAL = "2 s"
"""By the clock, which goes on while the program stands still for the other: 1.1 checkpoints per second of its own."""


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        often = {"execution.checkpointing.interval": INTERVAL, "execution.checkpointing.dir": directory}
        each_second = penstock(*KEYS, name="each second", configuration=often)
        ratio, note = race(each_second, penstock(*KEYS, name="none"), records=RECORDS, rounds=5)
    return [Measured("checkpoints", ratio, 0.85, "x without", "more", note)]
