"""What a checkpoint of 1M keys writes when 1 % of them have changed, as a share of all of it; both backends."""

import itertools
import statistics
import tempfile
from pathlib import Path

from tests.benchmarks.measurement import Measured, running, wait_until

from penstock.checkpoint.metadata import Metadata, decode

CHECKPOINTS = 5


def measure() -> list[Measured]:
    return [_measure("hashmap", 0.03), _measure("rocksdb", 0.10)]


def _measure(backend: str, target: float) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        settings = {
            "state.backend.type": backend,
            "execution.checkpointing.incremental": "true",
            "execution.checkpointing.interval": "5 s",
            "execution.checkpointing.num-retained": "100",
            "execution.checkpointing.dir": directory,
        }
        with running("load_then_change.py", configuration=settings) as process:
            found = wait_until(lambda: _completed(Path(directory)), process, timeout_s=120)
    files = [{file.file.path: file.file.size for file in metadata.files()} for metadata in found]
    full = sum(files[0].values())
    fresh = [
        sum(size for path, size in now.items() if path not in before) / full
        for before, now in itertools.pairwise(files)
    ]
    note = f"full {full / 1e6:.1f} MB, worst {max(fresh):.1%}"
    return Measured(f"incremental_{backend}", statistics.median(fresh), target, "of full", "less", note)


def _completed(directory: Path) -> list[Metadata] | None:
    paths = sorted(directory.glob("*/chk-*/_metadata"), key=lambda path: int(path.parent.name[4:]))
    if len(paths) <= CHECKPOINTS + 1:
        return None
    # The first one may come while keys are still being loaded, which takes less than the interval to the second.
    return [decode(path.read_bytes(), str(path)) for path in paths[1:]]
