"""A checkpoint every second, 100,000 keys on the heap, over none."""

import tempfile

from tests.benchmarks.measurement import Measured, penstock, race

RECORDS = 5_000_000
KEYS = ("--keys", "100000", "--uniform")


def measure() -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        often = {"execution.checkpointing.interval": "1 s", "execution.checkpointing.dir": directory}
        each_second = penstock(*KEYS, name="each second", configuration=often)
        ratio, note = race(each_second, penstock(*KEYS, name="none"), records=RECORDS, rounds=3)
    return [Measured("checkpoints", ratio, 0.85, "x without", "more", note)]
