"""Keyed count of 1M uniform keys in RocksDB, one slot, against Bytewax, which has them on the heap."""

from tests.benchmarks.bytewax import bytewax
from tests.benchmarks.measurement import Measured, penstock, race

RECORDS = 5_000_000
KEYS = ("--keys", "1000000", "--uniform")
SETTINGS = {"state.backend.type": "rocksdb"}


def measure() -> list[Measured]:
    ratio, note = race(penstock(*KEYS, configuration=SETTINGS), bytewax(*KEYS), records=RECORDS, rounds=2)
    return [Measured("rocksdb_1m", ratio, 1.0, "x Bytewax", "more", note)]
