"""Two slots with a shuffle between them over one slot."""

from tests.benchmarks.measurement import Measured, penstock, race

RECORDS = 5_000_000


def measure() -> list[Measured]:
    two = penstock("--parallelism", "2", name="two slots")
    ratio, note = race(two, penstock(name="one slot"), records=RECORDS, rounds=3)
    return [Measured("two_slots", ratio, 1.5, "x one slot", "more", note)]
