"""Keyed count of 1M uniform keys in RocksDB, one slot, against Bytewax, which has them on the heap."""

from tests.benchmarks.bytewax import bytewax
from tests.benchmarks.measurement import Measured, penstock, race

from penstock.common.configuration import Configuration
from penstock.common.settings import managed_bytes

RECORDS = 3_000_000
KEYS = ("--keys", "1000000", "--uniform")
SETTINGS = {"state.backend.type": "rocksdb"}


def measure() -> list[Measured]:
    mine = penstock(*KEYS, configuration=SETTINGS)
    ratio, note = race(mine, bytewax(*KEYS), records=RECORDS, rounds=1)
    bound = managed_bytes(Configuration())
    used = mine.peak_bytes(RECORDS) - mine.peak_bytes(1_000)
    return [
        Measured("rocksdb_1m", ratio, 1.0, "x Bytewax", "more", note),
        Measured("rocksdb_1m_memory", used / bound, 1.0, "of the bound", "less", f"{used >> 20} of {bound >> 20} MiB"),
    ]
