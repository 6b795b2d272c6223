"""Remembers a hundred bytes per key, and notes when records arrive: a job that is upgraded while it is measured.

First every key comes once, as fast as can be; from then on they come again, at a steady pace. Each task of the sink
keeps a file in the folder `--report` that holds the times of its first and its newest record since the pace began.

python upgraded_count.py --version 1 --keys 1000000 --report FOLDER
"""

import argparse
import os
import struct
import time
import uuid
from typing import Any

from penstock.common import Types, WatermarkStrategy
from penstock.datastream import MapFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.connectors import Sink
from penstock.datastream.connectors.base import SinkWriter, WriterInitContext
from penstock.datastream.connectors.data_generator import DataGeneratorSource, RateLimiter, RateLimiterStrategy
from penstock.datastream.state import ValueStateDescriptor

TIMES = "dd"
PER_SECOND = 1_000
"""Of each subtask."""


class LoadThenPace(RateLimiter):
    """A rate limiter: so many at once, then one after the other."""

    def __init__(self, load: int) -> None:
        self.load = load
        self.begun_s: float | None = None
        self.taken = 0

    def take(self, wanted: int, now_s: float) -> int:
        at_once = min(wanted, self.load)
        if at_once:
            self.load -= at_once
            return at_once
        if self.begun_s is None:
            self.begun_s = now_s
        allowed = min(wanted, int((now_s - self.begun_s) * PER_SECOND) - self.taken)
        self.taken += allowed
        return allowed

    def next_at(self, now_s: float) -> float | None:
        return None if self.begun_s is None else self.begun_s + (self.taken + 1) / PER_SECOND

    def checkpoint_complete(self) -> None:
        pass


class Pace(RateLimiterStrategy):
    """Makes `LoadThenPace`; a version that goes on from another's state has nothing to load."""

    def __init__(self, load: int) -> None:
        self.load = load

    def create_rate_limiter(self, parallelism: int, subtask: int) -> LoadThenPace:
        return LoadThenPace(self.load // parallelism)


class Remember(MapFunction):
    """A text of eighty characters for each key, besides the key itself; says whether it was there."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self.text = runtime_context.get_state(ValueStateDescriptor("text", Types.STRING()))

    def map(self, value: str) -> bool:
        known = self.text.value()
        self.text.update((value + ".") * (80 // (len(value) + 1)))
        return known is not None


class Times(SinkWriter[bool]):
    """The first and the newest record that found its key."""

    def __init__(self, folder: str, version: int) -> None:
        self.file = os.open(f"{folder}/{version}-{uuid.uuid4().hex}", os.O_CREAT | os.O_WRONLY, 0o666)
        self.first = 0.0

    def write(self, element: bool, context: SinkWriter.Context) -> None:
        self.write_batch([element], None, context)

    def write_batch(self, values: list[bool], timestamps: list[int] | None, context: SinkWriter.Context) -> bool:
        if True in values:
            now = time.time()
            self.first = self.first or now
            os.pwrite(self.file, struct.pack(TIMES, self.first, now), 0)
        return True

    def flush(self, end_of_input: bool) -> None:
        pass


class Arrivals(Sink[bool]):
    """The sink of `Times`."""

    def __init__(self, folder: str, version: int) -> None:
        self.folder = folder
        self.version = version

    def create_writer(self, context: WriterInitContext) -> Times:
        return Times(self.folder, self.version)


def main() -> None:
    parser = argparse.ArgumentParser(description="Remember, and note when records arrive.")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    keys: int = arguments.keys

    env = StreamExecutionEnvironment.get_execution_environment()
    source: Any = DataGeneratorSource(
        lambda n: "key-%d" % (n % keys),  # noqa: UP031
        rate_limiter_strategy=Pace(keys if arguments.version == 1 else 0),
    )
    words = env.from_source(source, WatermarkStrategy.no_watermarks(), "words", Types.STRING())
    remembered = words.key_by(lambda word: word, Types.STRING()).map(Remember(), Types.BOOLEAN()).uid("remember")
    remembered.sink_to(Arrivals(arguments.report, arguments.version))
    env.execute("upgraded count")


if __name__ == "__main__":
    main()
