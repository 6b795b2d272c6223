"""Canonical savepoints of small keyed entries, one slot, local files: written, restored, memory, and what the stream
keeps of its throughput meanwhile; both backends.

Entries are a str and a LONG. The targets are for 10M of them; here there are fewer, see the notes: costs per entry are
the same, and of memory only what follows from their number is scaled up.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.measurement import PROGRAMS, Measured, environment, reported

ENTRIES = int(os.environ.get("PENSTOCK_BENCH_SAVEPOINT_ENTRIES", 2_000_000))
KEYS_WHILE_RUNNING = 1_000_000
SAVEPOINTS = 2
WRITTEN = {"hashmap": 1.0, "rocksdb": 0.4}
LISTED_BYTES = 9
"""What the heap keeps per key while a savepoint is written: a reference, in lists."""
MIB = 1 << 20


def measure() -> list[Measured]:
    return [row for backend in WRITTEN for row in (*_alone(backend), _beside_the_stream(backend))]


def _alone(backend: str) -> list[Measured]:
    command = [sys.executable, str(PROGRAMS / "savepoint.py"), "--backend", backend, "--entries", str(ENTRIES)]
    ran = subprocess.run(command, check=True, env=environment({}), capture_output=True, text=True)
    found: dict[str, float] = json.loads(ran.stdout)
    grown = found["grown_mib"]
    if backend == "hashmap":
        grown += max(0, 10_000_000 - ENTRIES) * LISTED_BYTES / MIB
    of = f"{ENTRIES / 1e6:g}M entries, {found['bytes'] / ENTRIES:.1f} bytes each"
    memory = f"grew by {found['grown_mib']:.0f} MiB with {ENTRIES / 1e6:g}M entries"
    return [
        Measured(f"savepoint_{backend}", found["written"] / 1e6, WRITTEN[backend], "M entries/s written", "more", of),
        Measured(f"savepoint_{backend}_restored", found["restored"] / 1e6, 0.5, "M entries/s", "more", of),
        Measured(f"savepoint_{backend}_memory", grown, 200, "MiB more, of 10M", "less", memory),
    ]


def _beside_the_stream(backend: str) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report"
        arguments = ["--keys", str(KEYS_WHILE_RUNNING), "--report", str(report), "--savepoints", str(SAVEPOINTS)]
        command = [
            sys.executable,
            str(PROGRAMS / "savepoint_count.py"),
            *arguments,
            "--into",
            f"{directory}/savepoints",
        ]
        settings = {"state.backend.type": backend, "execution.checkpointing.dir": f"{directory}/checkpoints"}
        subprocess.run(command, check=True, env=environment(settings))
        lines = reported(report)
    samples = [line for line in lines if "at" in line]
    shares, took = [], []
    before = 0.0
    for savepoint in (line for line in lines if "asked" in line):
        asked, there = savepoint["asked"], savepoint["there"]
        quiet = _rate(samples, max(before, asked - 1.5), asked)
        shares.append(_rate(samples, asked, there) / quiet)
        took.append(there - asked)
        before = there
    note = f"{KEYS_WHILE_RUNNING / 1e6:g}M keys, for {statistics.median(took):.1f} s each"
    name = f"savepoint_{backend}_throughput"
    return Measured(name, statistics.median(shares), 0.6, "x without", "more", note)


def _rate(samples: list[dict[str, Any]], begin: float, end: float) -> float:
    """Records per second between the samples nearest to two moments."""
    first = min(samples, key=lambda sample: abs(sample["at"] - begin))
    last = min(samples, key=lambda sample: abs(sample["at"] - end))
    return float((last["records"] - first["records"]) / (last["at"] - first["at"]))
