"""Runs until it is cancelled, for benchmarks that ask REST about it: a user's program.

python seen_by_rest.py --vertices 100 --parallelism 8       a long line of tasks with little to do
python seen_by_rest.py --report FILE                        counts per key as fast as it can, on one slot

The report has a line for each tenth of a second: the time by the clock that all processes share, and the records so
far.
"""

import argparse
import json
import time

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors import Sink
from penstock.datastream.connectors.base import SinkWriter, WriterInitContext
from penstock.datastream.connectors.data_generator import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import ValueStateDescriptor

KEYS = 10_000
RECORDS = 1 << 60
REPORT_S = 0.1


class Count(MapFunction):
    """How often the key has been seen so far."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def map(self, value: str) -> int:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count


class Reported(SinkWriter[int]):
    """Says how many records have come."""

    def __init__(self, report: str) -> None:
        self.file = open(report, "a", buffering=1)  # noqa: SIM115
        self.records = 0
        self.due = 0.0

    def write(self, element: int, context: SinkWriter.Context) -> None:
        self.write_batch([element], None, context)

    def write_batch(self, values: list[int], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        self.records += len(values)
        now = time.perf_counter()
        if now >= self.due:
            self.due = now + REPORT_S
            self.file.write(json.dumps({"at": now, "records": self.records}) + "\n")
        return True

    def flush(self, end_of_input: bool) -> None:
        pass


class Report(Sink[int]):
    """A sink that says how many records have come."""

    def __init__(self, report: str) -> None:
        self.report = report

    def create_writer(self, context: WriterInitContext) -> Reported:
        return Reported(self.report)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run until cancelled.")
    parser.add_argument("--vertices", type=int, default=2)
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--report")
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(arguments.parallelism)
    if arguments.report is None:
        env.disable_operator_chaining()
        source = DataGeneratorSource(lambda n: n, RECORDS, RateLimiterStrategy.per_second(100))
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
        for number in range(arguments.vertices - 2):
            stream = stream.map(lambda n: n, Types.LONG()).name(f"step {number}")
        stream.filter(lambda n: False)
    else:
        numbers = env.from_source(
            NumberSequenceSource(0, RECORDS), WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()
        )
        words = numbers.map(lambda n: "w%d" % (n % KEYS), Types.STRING())  # noqa: UP031
        counts = words.key_by(lambda word: word, Types.STRING()).map(Count(), Types.LONG())
        counts.sink_to(Report(arguments.report))
    env.execute("seen by rest")


if __name__ == "__main__":
    main()
