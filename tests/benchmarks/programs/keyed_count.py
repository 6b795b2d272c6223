"""Counts words made from numbers, per key in ValueState, and discards the counts: a user's program, run by benchmarks.

python keyed_count.py --records 5000000 [--keys 10000] [--uniform] [--parallelism 2]
"""

import argparse
from collections.abc import Callable

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors import Sink
from penstock.datastream.connectors.base import SinkWriter, WriterInitContext
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import ValueStateDescriptor


class Count(MapFunction):
    """How often the key has been seen so far."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def map(self, value: str) -> int:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count


class Nowhere(SinkWriter[int]):
    """Takes batches, keeps nothing."""

    def write(self, element: int, context: SinkWriter.Context) -> None:
        pass

    def write_batch(self, values: list[int], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        return True

    def flush(self, end_of_input: bool) -> None:
        pass


class Discard(Sink[int]):
    """A sink for whom counting was all that mattered."""

    def create_writer(self, context: WriterInitContext) -> Nowhere:
        return Nowhere()


def word_of(keys: int, *, uniform: bool) -> Callable[[int], str]:
    """The word of a number: in turn, or spread as by chance (a tuple's hash is the same in every process)."""
    if uniform:
        return lambda n: "w%d" % (hash((n,)) % keys)  # noqa: UP031
    return lambda n: "w%d" % (n % keys)  # noqa: UP031


def main() -> None:
    parser = argparse.ArgumentParser(description="Count words made from numbers.")
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--uniform", action="store_true", help="keys as by chance, not in turn")
    parser.add_argument("--parallelism", type=int, default=1)
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(arguments.parallelism)

    source = NumberSequenceSource(0, arguments.records - 1)
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())
    words = numbers.map(word_of(arguments.keys, uniform=arguments.uniform), Types.STRING())
    words.key_by(lambda word: word, Types.STRING()).map(Count(), Types.LONG()).sink_to(Discard())
    env.execute("keyed count")


if __name__ == "__main__":
    main()
