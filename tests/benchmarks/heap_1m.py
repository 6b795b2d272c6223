"""Keyed count of 1M uniform keys on the heap, one slot, against a bare loop over a dict."""

from tests.benchmarks.measurement import Measured, bare_dict, penstock, race

RECORDS = 5_000_000
KEYS = ("--keys", "1000000", "--uniform")


def measure() -> list[Measured]:
    ratio, note = race(penstock(*KEYS), bare_dict(*KEYS), records=RECORDS, rounds=3)
    return [Measured("heap_1m", ratio, 0.7, "x bare dict", "more", note)]
