"""Writes and restores a canonical savepoint of one slot's keyed state, with nothing else going on: run by benchmarks.

Prints a line of JSON: entries per second written and restored, and by how much memory grew while they were written.

python savepoint.py --backend hashmap --entries 1000000
"""

import argparse
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import Types
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.snapshots import FilesBelow
from penstock.testing.states import OneSubtask

COUNT = ValueStateDescriptor("count", Types.LONG())
BATCH = 1_000
MIB = 1 << 20


def resident_mib() -> float:
    """Of this process, now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the system does not tell a process its size")


class Peak:
    """The largest size while the block runs, looked at every 10 ms."""

    def __enter__(self) -> "Peak":
        self.before = self.largest = resident_mib()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.largest = max(self.largest, resident_mib())


def fill(backend: KeyedBackend, entries: int) -> None:
    state, current = backend.state(COUNT), backend.current
    for first in range(0, entries, BATCH):
        keys = ["w%d" % number for number in range(first, min(first + BATCH, entries))]  # noqa: UP031
        backend.prepare(keys)
        for number, key in enumerate(keys, first):
            current.key = key
            state.update(number)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a savepoint and restore from it.")
    parser.add_argument("--backend", choices=["hashmap", "rocksdb"], required=True)
    parser.add_argument("--entries", type=int, required=True)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp())
    try:
        world = OneSubtask(arguments.backend, directory / "local", memory_bytes=256 * MIB)
        files = FilesBelow(directory / "savepoint")
        world.files = files
        fill(world.backend, arguments.entries)
        with Peak() as peak:
            begun = time.perf_counter()
            snapshot = world.backend.snapshot(CheckpointId(1), form="canonical")
            while not snapshot.advance(0.004):
                pass
            handle = snapshot.write(files)
            written_s = time.perf_counter() - begun
        world.backend.close()
        begun = time.perf_counter()
        restored = world.open([handle])
        restored_s = time.perf_counter() - begun
        restored.close()
    finally:
        shutil.rmtree(directory)
    facts = {
        "written": arguments.entries / written_s,
        "restored": arguments.entries / restored_s,
        "grown_mib": peak.largest - peak.before,
        "bytes": sum(file.file.size for file in handle.files),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
