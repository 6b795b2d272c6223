"""A keyed count that writes down what happens to it: a user's program, run by benchmarks.

The report has a line of JSON for the first output of each of its workers, and one for each completed checkpoint: how
many records went through while it was taken and before, and each time without a record in either: when that ended, how
long it was, and for how much of it the system had no core for the worker.

python watched_count.py --records 100000000 --keys 1000000 --report FILE
"""

import argparse
import json
import os
import time
from typing import Any, Final

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import (
    CheckpointedFunction,
    CheckpointListener,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from penstock.datastream.connectors import Sink
from penstock.datastream.connectors.base import SinkWriter, WriterInitContext
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import ValueStateDescriptor

GAP_S: Final = 0.004
"""Shorter times without a record are not told."""


class Report:
    """Appends lines to a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def add(self, **facts: Any) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(facts) + "\n")


class Stretch:
    """A time with, or without, a checkpoint under way."""

    def __init__(self, now: float) -> None:
        self.begun = now
        self.records = 0
        self.gaps: list[tuple[float, float, float]] = []

    def facts(self, now: float) -> dict[str, Any]:
        return {"seconds": now - self.begun, "records": self.records, "gaps": self.gaps}


class Waiting:
    """For how long this thread was ready to run and had no core, as far as the system tells."""

    def __init__(self) -> None:
        try:
            self.file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self.file = -1
        self.total_s = 0.0

    def since_last(self) -> float:
        if self.file < 0:
            return 0.0
        before, self.total_s = self.total_s, int(os.pread(self.file, 100, 0).split()[1]) / 1e9
        return self.total_s - before


class Count(MapFunction, CheckpointedFunction, CheckpointListener):
    """Counts per key, and looks at the clock for each record."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.waiting = Waiting()
        self.last = time.perf_counter()
        self.stretch = Stretch(self.last)
        self.quiet: dict[str, Any] | None = None

    def map(self, value: str) -> int:
        now = time.perf_counter()
        stretch = self.stretch
        gap = now - self.last
        self.last = now
        stretch.records += 1
        if gap > GAP_S:
            stretch.gaps.append((now, gap, self.waiting.since_last()))
        elif not stretch.records & 127:
            self.waiting.since_last()
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count

    def initialize_state(self, context: Any) -> None:
        pass

    def snapshot_state(self, context: Any) -> None:
        now = time.perf_counter()
        self.quiet = self.stretch.facts(now)
        self.stretch = Stretch(now)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        if self.quiet is None:
            return
        now = time.perf_counter()
        self.report.add(checkpoint=checkpoint_id, quiet=self.quiet, during=self.stretch.facts(now))
        self.stretch = Stretch(now)


class Arrivals(SinkWriter[int]):
    """Writes down when the first record arrives."""

    def __init__(self, report: Report) -> None:
        self.report = report
        self.begun = False

    def write(self, element: int, context: SinkWriter.Context) -> None:
        self.write_batch([element], None, context)

    def write_batch(self, values: list[int], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        if not self.begun:
            self.begun = True
            self.report.add(worker=os.getpid(), first_output=time.perf_counter())
        return True

    def flush(self, end_of_input: bool) -> None:
        pass


class Arrived(Sink[int]):
    """The sink of `Arrivals`."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def create_writer(self, context: WriterInitContext) -> Arrivals:
        return Arrivals(self.report)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count, and write down what happens.")
    parser.add_argument("--records", type=int, default=10**12)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    keys, report = arguments.keys, Report(arguments.report)

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)

    source = NumberSequenceSource(0, arguments.records - 1)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    words = numbers.map(lambda n: "w%d" % (n if n < keys else hash((n,)) % keys), Types.STRING())  # noqa: UP031
    words.key_by(lambda word: word, Types.STRING()).map(Count(report), Types.LONG()).sink_to(Arrived(report))
    env.execute("watched count")


if __name__ == "__main__":
    main()
