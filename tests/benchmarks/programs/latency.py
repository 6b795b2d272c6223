"""Measures how long records take from their source to their sink, through a shuffle: a user's program.

python latency.py --records 1000000 --report FILE [--rate 100000] [--parallelism 2]

Each subtask of the sink writes a report in JSON: how many records, and for each whole second after the first two the
latencies of the records that came in it.
"""

import argparse
import json
import time
from array import array

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors import Sink
from penstock.datastream.connectors.base import SinkWriter, WriterInitContext
from penstock.datastream.connectors.data_generator import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.state import ValueStateDescriptor

WARM_UP_S = 2
KEYS = 10_000


class Count(MapFunction):
    """Counts per key, and hands on the time that came with the record."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def map(self, value: tuple[str, float]) -> float:
        self.count.update((self.count.value() or 0) + 1)
        return value[1]


class Latencies(SinkWriter[float]):
    """Compares the records' times with its own clock."""

    def __init__(self, report: str, subtask: int) -> None:
        self.report = report
        self.subtask = subtask
        self.begun = time.perf_counter()
        # Arrays: millions of floats in lists would be walked over by each full garbage collection, for tens of ms.
        self.seconds: list[array[float]] = []
        self.records = 0

    def write(self, element: float, context: SinkWriter.Context) -> None:
        self.write_batch([element], None, context)

    def write_batch(self, values: list[float], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        now = time.perf_counter()
        self.records += len(values)
        at = int(now - self.begun - WARM_UP_S)
        if at >= 0:
            while len(self.seconds) <= at:
                self.seconds.append(array("d"))
            self.seconds[at].extend([now - begun for begun in values])
        return True

    def flush(self, end_of_input: bool) -> None:
        if end_of_input:
            took = time.perf_counter() - self.begun
            whole = [sorted(second) for second in self.seconds[:-1]]
            with open(f"{self.report}.{self.subtask}", "w") as file:
                json.dump({"took_s": took, "records": self.records, "latencies_s": whole}, file)


class Latency(Sink[float]):
    """The sink of `Latencies`."""

    def __init__(self, report: str) -> None:
        self.report = report

    def create_writer(self, context: WriterInitContext) -> Latencies:
        return Latencies(self.report, context.get_index_of_subtask())


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure latency from source to sink.")
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--rate", type=float, help="records per second; default: as many as go")
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(arguments.parallelism)

    rate = RateLimiterStrategy.no_op() if arguments.rate is None else RateLimiterStrategy.per_second(arguments.rate)
    source = DataGeneratorSource(
        lambda n: ("w%d" % (n % KEYS), time.perf_counter()),  # noqa: UP031
        arguments.records,
        rate,
    )
    pair = Types.TUPLE([Types.STRING(), Types.DOUBLE()])
    words = env.from_source(source, WatermarkStrategy.no_watermarks(), "words", pair)
    counts = words.key_by(lambda pair: pair[0], Types.STRING()).map(Count(), Types.DOUBLE())
    counts.sink_to(Latency(arguments.report))
    env.execute("latency")


if __name__ == "__main__":
    main()
