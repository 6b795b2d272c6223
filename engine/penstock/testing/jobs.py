"""The jobs that fault tests run, scripts as users write them, whose output proves that nothing was lost or doubled.

Every record carries its number; what is committed is a line `key count number` for each. `penstock.testing.oracle`
says what the lines have to be. Run as `jobs.py NAME --gate FOLDER --output URI [--numbers N] [--rate N]`.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, final

from penstock.common.typeinfo import Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.connectors.encoders import LineEncoder
from penstock.datastream.connectors.file_system import BucketAssigner, FileSink, RollingPolicy
from penstock.datastream.data_stream import DataStream
from penstock.datastream.functions import (
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
)
from penstock.datastream.state import MapStateDescriptor, ValueStateDescriptor
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
from penstock.testing.paced import PacedNumbers

KEYS: Final = 40
RULES: Final = 60
RAISE: Final = "raise"
_RULES: Final = MapStateDescriptor("rules", Types.INT(), Types.INT())


@final
class Counted:
    """Counts the records of a key, and remembers each."""

    def __init__(self, context: RuntimeContext) -> None:
        self._count = context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self._seen = context.get_map_state(MapStateDescriptor("seen", Types.LONG(), Types.LONG()))

    def line(self, key: int, number: int) -> str:
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        self._seen.put(number, count)
        return f"{key} {count} {number}"


@final
class Count(KeyedProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self._counted = Counted(runtime_context)

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[str]:
        yield self._counted.line(ctx.get_current_key(), value)


@final
class CountBoth(KeyedCoProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self._counted = Counted(runtime_context)

    def process_element1(self, value: int, ctx: KeyedCoProcessFunction.Context) -> Iterable[str]:
        yield self._counted.line(ctx.get_current_key(), value)

    def process_element2(self, value: int, ctx: KeyedCoProcessFunction.Context) -> Iterable[str]:
        yield self._counted.line(ctx.get_current_key(), value)


@final
class CountWithRules(KeyedBroadcastProcessFunction):
    """Every subtask keeps every rule, and says how many it has kept."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._counted = Counted(runtime_context)
        self._index = runtime_context.get_index_of_this_subtask()

    def process_element(self, value: int, ctx: Any) -> Iterator[str]:
        yield self._counted.line(ctx.get_current_key(), value)

    def process_broadcast_element(self, value: int, ctx: Any) -> Iterator[str]:
        rules = ctx.get_broadcast_state(_RULES)
        rules.put(value, value)
        yield f"rule{self._index} {sum(1 for _ in rules)} {value}"


@final
class RaiseOnce(MapFunction):
    """Passes records on, and raises for the one at which it finds the file, which it takes away first."""

    def __init__(self, gate: str, name: str = RAISE) -> None:
        self._file = Path(gate) / name

    def map(self, value: int) -> int:
        if self._file.exists():
            try:
                os.unlink(self._file)
            except FileNotFoundError:
                return value
            raise ValueError(f"the test wants number {value} to fail")
        return value


def key_of(number: int) -> int:
    return number % KEYS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["count", "union", "connect", "broadcast", "pipelines"])
    parser.add_argument("--gate", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--numbers", type=int, required=True)
    parser.add_argument("--rate", type=int, default=1000)
    arguments = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()

    def numbers(start: int, stop: int, name: str) -> DataStream:
        source = PacedNumbers(start, stop, arguments.gate, arguments.rate)
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), name, Types.LONG()).uid(name)
        return stream.map(RaiseOnce(arguments.gate, f"{RAISE}-{name}"), Types.LONG()).uid(f"{name}-raise")

    def write(stream: DataStream, output: str, name: str = "sink") -> None:
        policy = RollingPolicy.default_rolling_policy(part_size=2048)
        builder = FileSink.for_row_format(output, LineEncoder(str))
        assigner = BucketAssigner.base_path_bucket_assigner()
        stream.sink_to(builder.with_rolling_policy(policy).with_bucket_assigner(assigner).build()).uid(name)

    total, output = arguments.numbers, arguments.output
    text = Types.STRING()
    match arguments.name:
        case "count":
            stream = numbers(0, total, "numbers").key_by(key_of, Types.LONG())
            write(stream.process(Count(), text).uid("count"), output)
        case "union":
            stream = numbers(0, total // 3, "first").union(
                numbers(total // 3, total // 2, "second"), numbers(total // 2, total, "third")
            )
            write(stream.key_by(key_of, Types.LONG()).process(Count(), text).uid("count"), output)
        case "connect":
            left, right = numbers(0, total // 2, "left"), numbers(total // 2, total, "right")
            both = left.connect(right).key_by(key_of, key_of, Types.LONG())
            write(both.process(CountBoth(), text).uid("count"), output)
        case "broadcast":
            rules = numbers(total, total + RULES, "rules").broadcast(_RULES)
            stream = numbers(0, total, "numbers").key_by(key_of, Types.LONG())
            write(stream.connect(rules).process(CountWithRules(), text).uid("count"), output)
        case "pipelines":
            for name, start, stop in (("one", 0, total // 2), ("two", total // 2, total)):
                stream = numbers(start, stop, name).slot_sharing_group(name).key_by(key_of, Types.LONG())
                counted = stream.process(Count(), text).uid(f"count-{name}")
                write(counted, f"{output}/{name}", f"sink-{name}")
    env.execute(f"fault test {arguments.name}")


if __name__ == "__main__":
    main()
