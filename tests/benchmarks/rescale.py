"""How long a job of 10M small entries in RocksDB stands still while it is rescaled from two to four, over how long
it does when it is restored at two: from the stop of the first task until all run again, of the same running job.

In each round a task fails and the job is restored at two; then it is rescaled to four, and back. Each time a checkpoint
has just completed. What the job holds is counted before the measurement, and what it answers afterwards is looked at.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from tests.benchmarks.measurement import Measured

from penstock.common.configuration import Configuration
from penstock.common.job_status import JobStatus
from penstock.common.typeinfo import Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.datastream import StreamExecutionEnvironment
from penstock.datastream.functions import KeyedProcessFunction, RuntimeContext
from penstock.datastream.state import ValueStateDescriptor
from penstock.jobmanager.job_master import JobMaster
from penstock.testing.jobs import RaiseOnce
from penstock.testing.paced import PacedNumbers
from penstock.testing.rest_jobs import SeenJob, running_with_rest

ENTRIES: Final = 10_000_000
ROUNDS: Final = 5
TARGET: Final = 1.3
_LOAD_TIMEOUT_S: Final = 600.0
_TIMEOUT_S: Final = 60.0


class Remember(KeyedProcessFunction):
    """Keeps each number under itself; a number that comes again must find itself."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._own = runtime_context.get_state(ValueStateDescriptor("own", Types.LONG()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[int]:
        number, comes_again = divmod(value, 2)
        if comes_again:
            assert self._own.value() == number, f"{number} has become {self._own.value()}"
        else:
            self._own.update(number)
        return ()


def measure(entries: int = ENTRIES) -> list[Measured]:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with running_with_rest(_job(folder, entries)) as seen:
            return _measured(seen, folder, entries)


def _measured(seen: SeenJob, folder: Path, entries: int) -> list[Measured]:
    master = seen.job.cluster.master
    assert master is not None
    _wait(lambda: _loaded(master) >= entries, _LOAD_TIMEOUT_S)
    _checkpoint(seen, master)
    (folder / "loaded").touch()
    restored, out, back = [], [], []
    for _ in range(ROUNDS):
        _checkpoint(seen, master)
        restored.append(_stands_still(master, lambda: (folder / "raise").touch()))
        out.append(_stands_still(master, lambda: _rescale(seen, master, 4)))
        back.append(_stands_still(master, lambda: _rescale(seen, master, 2)))
    size = max(record.full_bytes for record in master.history.records.values()) / 1e6
    about = f"{entries / 1e6:g} M entries, {size:.0f} MB"
    again = statistics.median(restored)
    assert master.lifecycle is not None
    assert master.lifecycle.restarts == ROUNDS, "nothing else has failed"
    return [
        Measured(
            "rescale_2_to_4",
            statistics.median(b / a for a, b in zip(restored, out, strict=True)),
            TARGET,
            "of a restore at 2",
            "less",
            f"{about}: {statistics.median(out):.2f} s over {again:.2f} s; 4 to 2 {statistics.median(back):.2f} s",
        )
    ]


def _job(folder: Path, entries: int) -> StreamExecutionEnvironment:
    settings = {
        "parallelism.default": "2",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.interval": "1 h",
        "execution.checkpointing.dir": str(folder / "checkpoints"),
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "1 ms",
    }
    env = StreamExecutionEnvironment.get_execution_environment(Configuration.from_dict(settings))
    loaded = env.from_sequence(0, entries - 1).map(lambda number: number * 2, Types.LONG())
    # Numbers that never end, each of which has been loaded; one of them fails when it is told to.
    again = env.from_source(
        PacedNumbers(0, 1 << 40, str(folder), 200), WatermarkStrategy.no_watermarks(), "again", Types.LONG()
    ).map(RaiseOnce(str(folder), "raise"), Types.LONG())
    asked = again.map(lambda number: ask(number, entries, folder), Types.LONG())
    numbers = loaded.union(asked).key_by(lambda value: value >> 1, Types.LONG())
    numbers.process(Remember(), Types.LONG()).name("Remember").print()
    return env


def ask(number: int, entries: int, folder: Path) -> int:
    """One of the numbers that were loaded; it is held to what it is once all of them are."""
    return number * 7919 % entries * 2 + (folder / "loaded").exists()


def _loaded(master: JobMaster) -> int:
    vertex = next(v for v in master.graph.vertices if "Remember" in v.name)
    return sum(m.records_in for s, m in list(master.metrics.items()) if s.vertex == vertex.id)


def _checkpoint(seen: SeenJob, master: JobMaster) -> None:
    before = master.history.counts["completed"]
    seen.job.cluster.call(master.checkpoint)
    _wait(lambda: master.history.counts["completed"] > before, _TIMEOUT_S)


def _rescale(seen: SeenJob, master: JobMaster, parallelism: int) -> None:
    rescaler = master.rescaler
    assert rescaler is not None
    seen.job.cluster.call(lambda: rescaler.scale_to(parallelism))
    _wait(lambda: all(v.parallelism == parallelism for v in master.graph.vertices), _TIMEOUT_S)


def _stands_still(master: JobMaster, begin: Callable[[], None]) -> float:
    """Seconds from RESTARTING to RUNNING."""
    before = master.status_ms.get(JobStatus.RESTARTING, 0)
    begin()
    _wait(lambda: master.status_ms.get(JobStatus.RESTARTING, 0) > before, _TIMEOUT_S)
    _wait(lambda: master.status_ms[JobStatus.RUNNING] >= master.status_ms[JobStatus.RESTARTING], _TIMEOUT_S)
    return (master.status_ms[JobStatus.RUNNING] - master.status_ms[JobStatus.RESTARTING]) / 1000


def _wait(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came to what was waited for")
        time.sleep(0.01)


if __name__ == "__main__":
    for row in measure(int(sys.argv[1]) if len(sys.argv) > 1 else ENTRIES):
        print(row)
