"""Loads keys, then changes as many as it is told between any two checkpoints: a user's program, run by benchmarks.

python load_then_change.py --keys 1000000 --changes 10000
"""

import argparse

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors.data_generator import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.state import ValueStateDescriptor


class Count(MapFunction):
    """How often the key has been seen so far."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def map(self, value: str) -> int:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        return count


class Changes:
    """A rate limiter: everything to be loaded at once, then so many records per checkpoint."""

    def __init__(self, load: int, changes: int) -> None:
        self.load = load
        self.changes = changes
        self.left = load

    def take(self, wanted: int, now_s: float) -> int:
        taken = min(wanted, self.left)
        self.left -= taken
        return taken

    def next_at(self, now_s: float) -> float | None:
        return None

    def checkpoint_complete(self) -> None:
        if not self.left:
            self.left = self.changes


class LoadThenChange(RateLimiterStrategy):
    """Makes `Changes`."""

    def __init__(self, load: int, changes: int) -> None:
        self.load = load
        self.changes = changes

    def create_rate_limiter(self, parallelism: int, subtask: int) -> Changes:
        return Changes(self.load, self.changes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Load keys, then change some between checkpoints.")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=10_000)
    arguments = parser.parse_args()
    keys = arguments.keys

    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)

    source = DataGeneratorSource(
        lambda n: "w%d" % (n if n < keys else hash((n,)) % keys),  # noqa: UP031
        rate_limiter_strategy=LoadThenChange(keys, arguments.changes),
    )
    words = env.from_source(source, WatermarkStrategy.no_watermarks(), "words", Types.STRING())
    counts = words.key_by(lambda word: word, Types.STRING()).map(Count(), Types.LONG())
    counts.filter(lambda count: False).print()
    env.execute("load then change")


if __name__ == "__main__":
    main()
