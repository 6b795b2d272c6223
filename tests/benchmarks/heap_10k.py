"""Keyed count of 10,000 keys on the heap, one slot, against Bytewax."""

from tests.benchmarks.bytewax import bytewax
from tests.benchmarks.measurement import Measured, penstock, race

RECORDS = 5_000_000


def measure() -> list[Measured]:
    ratio, note = race(penstock(), bytewax(), records=RECORDS, rounds=3)
    return [Measured("heap_10k", ratio, 3.0, "x Bytewax", "more", note)]
