"""`make bench`: measures ratios in one run, prints them as a table, and writes build/bench.json.

python -m tests.benchmarks.run [--only NAME]
"""

import argparse
import importlib
import json
import math
import os
import sys
import time
import traceback
from typing import Final

from tests.benchmarks.measurement import BUILD, Measured

BENCHMARKS: Final = (
    "heap_10k",
    "heap_1m",
    "rocksdb_1m",
    "two_slots",
    "checkpoints",
    "snapshot_1m",
    "incremental",
    "savepoints",
    "recovery",
    "rescale",
    "start",
    "latency",
    "rest",
    "operator_burst",
    "operator_steady",
    "upgrade_local",
    "upgrade_cluster",
)
"""Modules beside this one, each with `measure() -> list[Measured]`."""
_REASON_MAX: Final = 200


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ratios against peers and against ourselves.")
    parser.add_argument("--only", choices=BENCHMARKS, help="one of them")
    arguments = parser.parse_args()
    begun = time.perf_counter()
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        print(f"others use this machine (load {load:.1f}): trust ratios, no single times", file=sys.stderr)
    found: list[Measured] = []
    for name in [arguments.only] if arguments.only else BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows = measured(name)
        found += rows
        for row in rows:
            print(line(row), flush=True)
    write(found)
    print(f"{sum(row.met for row in found)} of {len(found)} met, in {time.perf_counter() - begun:.0f} s")


def measured(name: str) -> list[Measured]:
    """What cannot be measured here, such as pods where no cluster can be had, does not cost the others: it is a row."""
    try:
        return list(importlib.import_module(f"tests.benchmarks.{name}").measure())
    except Exception as error:
        traceback.print_exc()
        reason = (str(error) or type(error).__name__).strip().splitlines()[0][:_REASON_MAX]
        return [Measured(name, math.nan, math.nan, "", "less", f"not measured: {reason}")]


def line(row: Measured) -> str:
    sign = ">=" if row.better == "more" else "<="
    verdict = "met" if row.met else "FAILED" if math.isnan(row.value) else "MISSED"
    return f"{row.name:<28}{row.value:>10.3g} {row.unit:<24}{sign} {row.target:<8g}{verdict:<8}{row.note}"


def write(rows: list[Measured]) -> None:
    BUILD.mkdir(exist_ok=True)
    facts = [
        {
            "name": row.name,
            "value": None if math.isnan(row.value) else row.value,
            "target": None if math.isnan(row.target) else row.target,
            "unit": row.unit,
            "met": row.met,
            "note": row.note,
        }
        for row in rows
    ]
    (BUILD / "bench.json").write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
