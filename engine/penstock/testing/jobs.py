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
from penstock.common.watermark_strategy import TimestampAssigner, WatermarkStrategy
from penstock.connectors.encoders import LineEncoder
from penstock.datastream.connectors.file_system import BucketAssigner, FileSink, RollingPolicy
from penstock.datastream.data_stream import DataStream
from penstock.datastream.functions import (
    CheckpointListener,
    KeyedBroadcastProcessFunction,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
)
from penstock.datastream.operators import (
    FunctionSnapshotContext,
    OneInputStreamOperator,
    StateInitializationContext,
    StreamRecord,
)
from penstock.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
from penstock.testing.paced import PacedNumbers

KEYS: Final = 40
LATER: Final = 500
HELD: Final = 30
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
class CountLater(KeyedProcessFunction):
    """A number waits for its timer, and is counted then."""

    def open(self, runtime_context: RuntimeContext) -> None:
        self._counted = Counted(runtime_context)
        self._waiting = runtime_context.get_map_state(MapStateDescriptor("waiting", Types.LONG(), Types.LONG()))

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> None:
        self._waiting.put(value + LATER, value)
        ctx.timer_service().register_event_time_timer(value + LATER)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[str]:
        number = self._waiting.get(timestamp)
        assert number is not None, f"timer {timestamp} of key {ctx.get_current_key()} has fired twice"
        self._waiting.remove(timestamp)
        yield self._counted.line(ctx.get_current_key(), number)


@final
class HoldBack(OneInputStreamOperator):
    """Passes numbers on a few at a time; the others are operator state, which is dealt out anew when it is rescaled.

    Its name for itself is union state: every subtask must get that of each, to the very end.
    """

    def initialize_state(self, context: StateInitializationContext) -> None:
        store = context.get_operator_state_store()
        self._held_state = store.get_list_state(ListStateDescriptor("held", Types.LONG()))
        self._names_state = store.get_union_list_state(ListStateDescriptor("names", Types.PICKLED_BYTE_ARRAY()))
        self._held = list(self._held_state.get())
        names = [tuple(name) for name in self._names_state.get()]
        whole = {(index, parallelism) for _, parallelism in names for index in range(parallelism)}
        assert len(set(names)) == len(names) and whole == set(names), f"union state is that of one row: {names}"
        assert len({parallelism for _, parallelism in names}) == (1 if context.is_restored() else 0), names

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        runtime = self.runtime_context
        self._held_state.update(self._held)
        self._names_state.update([(runtime.get_index_of_this_subtask(), runtime.get_number_of_parallel_subtasks())])

    def process_element(self, record: StreamRecord) -> None:
        self._held.append(record.value)
        if len(self._held) >= HELD:
            self.finish()

    def finish(self) -> None:
        for number in self._held:
            self.output.collect(StreamRecord(number))
        self._held = []


@final
class CountBoth(KeyedCoProcessFunction):
    def open(self, runtime_context: RuntimeContext) -> None:
        self._counted = Counted(runtime_context)

    def process_element1(self, value: int, ctx: KeyedCoProcessFunction.Context) -> Iterable[str]:
        yield self._counted.line(ctx.get_current_key(), value)

    def process_element2(self, value: int, ctx: KeyedCoProcessFunction.Context) -> Iterable[str]:
        yield self._counted.line(ctx.get_current_key(), value)


@final
class CountWithRules(KeyedBroadcastProcessFunction[int, int, int, str]):
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
class RaiseOnce(MapFunction, CheckpointListener):
    """Passes records on, and raises for the one at which it finds the file, which it takes away first.

    Writes down what it is told of checkpoints: lines `completed <id>` and `aborted <id>` in `<name>-told-<attempt>`.
    """

    def __init__(self, gate: str, name: str) -> None:
        self._gate = Path(gate)
        self._name = name
        self._file = self._gate / name

    def open(self, runtime_context: RuntimeContext) -> None:
        task = f"{runtime_context.get_index_of_this_subtask()}.{runtime_context.get_attempt_number()}"
        self._told = self._gate / f"{self._name}-told-{task}"

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self._tell(f"completed {checkpoint_id}")

    def notify_checkpoint_aborted(self, checkpoint_id: int) -> None:
        self._tell(f"aborted {checkpoint_id}")

    def _tell(self, line: str) -> None:
        with self._told.open("a") as file:
            file.write(f"{line}\n")

    def map(self, value: int) -> int:
        if self._file.exists():
            try:
                os.unlink(self._file)
            except FileNotFoundError:
                return value
            raise ValueError(f"the test wants number {value} to fail")
        return value


@final
class Itself(TimestampAssigner):
    """A number is its own time."""

    def extract_timestamp(self, value: int, record_timestamp: int) -> int:
        return value


def key_of(number: int) -> int:
    return number % KEYS


@final
class Program:
    """Describes one of the jobs."""

    def __init__(self, gate: str, output: str, numbers: int, rate: int, waiting: int | None) -> None:
        self.env = StreamExecutionEnvironment.get_execution_environment()
        self._gate = gate
        self._output = output
        self._total = numbers
        self._rate = rate
        self._waiting = waiting

    def count(self) -> None:
        self._write(self._counted(self._numbers(0, self._total, "numbers")))

    def splits(self) -> None:
        """Readers ask for one small split after the other, while checkpoints are taken."""
        source = PacedNumbers(0, self._total, self._gate, self._rate, splits=self._total // 20)
        stream = self.env.from_source(source, WatermarkStrategy.no_watermarks(), "splits", Types.LONG()).uid("splits")
        self._write(self._counted(stream))

    def timers(self) -> None:
        """Watermarks follow the slowest split, so that most numbers wait for their timers most of the time."""
        strategy = WatermarkStrategy.for_monotonous_timestamps()
        timed = strategy.with_timestamp_assigner(Itself())
        stream = self._numbers(0, self._total, "numbers").assign_timestamps_and_watermarks(timed).uid("timed")
        self._write(stream.key_by(key_of, Types.LONG()).process(CountLater(), Types.STRING()).uid("count"))

    def lists(self) -> None:
        held = self._numbers(0, self._total, "numbers").transform("hold", Types.LONG(), HoldBack).uid("hold")
        self._write(self._counted(held))

    def uneven(self) -> None:
        """As `lists`, but for a subtask that has had all its data long before the others."""
        source = PacedNumbers(0, self._total, self._gate, self._rate, splits=self.env.get_parallelism())
        stream = self.env.from_source(source, WatermarkStrategy.no_watermarks(), "splits", Types.LONG()).uid("splits")
        self._write(self._counted(stream.transform("hold", Types.LONG(), HoldBack).uid("hold")))

    def union(self) -> None:
        """The first source ends by itself, well before the others."""
        some, half = self._total // 8, self._total // 2
        first = self._numbers(0, some, "first", held=0)
        second, third = self._numbers(some, half, "second"), self._numbers(half, self._total, "third")
        self._write(self._counted(first.union(second, third)))

    def connect(self) -> None:
        half = self._total // 2
        left, right = self._numbers(0, half, "left"), self._numbers(half, self._total, "right")
        both = left.connect(right).key_by(key_of, key_of, Types.LONG())
        self._write(both.process(CountBoth(), Types.STRING()).uid("count"))

    def broadcast(self) -> None:
        rules = self._numbers(self._total, self._total + RULES, "rules").broadcast(_RULES)
        stream = self._numbers(0, self._total, "numbers").key_by(key_of, Types.LONG())
        self._write(stream.connect(rules).process(CountWithRules(), Types.STRING()).uid("count"))

    def pipelines(self) -> None:
        half = self._total // 2
        for name, start, stop in (("one", 0, half), ("two", half, self._total)):
            self._write(self._counted(self._numbers(start, stop, name, group=name), f"count-{name}"), f"sink-{name}")

    def _numbers(self, start: int, stop: int, name: str, *, group: str = "default", held: int = 100) -> DataStream:
        source = PacedNumbers(start, stop, self._gate, self._rate, held, waiting=self._waiting)
        stream = self.env.from_source(source, WatermarkStrategy.no_watermarks(), name, Types.LONG())
        stream = stream.uid(name).slot_sharing_group(group)
        return stream.map(RaiseOnce(self._gate, f"{RAISE}-{name}"), Types.LONG()).uid(f"{name}-raise")

    def _counted(self, stream: DataStream, name: str = "count") -> DataStream:
        return stream.key_by(key_of, Types.LONG()).process(Count(), Types.STRING()).uid(name)

    def _write(self, stream: DataStream, name: str = "sink") -> None:
        builder = FileSink.for_row_format(self._output, LineEncoder(str))
        policy = RollingPolicy.default_rolling_policy(part_size=2048)
        assigner = BucketAssigner.base_path_bucket_assigner()
        stream.sink_to(builder.with_rolling_policy(policy).with_bucket_assigner(assigner).build()).uid(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    names = ["count", "splits", "timers", "lists", "uneven", "union", "connect", "broadcast", "pipelines"]
    parser.add_argument("name", choices=names)
    parser.add_argument("--gate", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--numbers", type=int, required=True)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--waiting", type=int, help="subtasks of a source that have data until the end")
    arguments = parser.parse_args()
    program = Program(arguments.gate, arguments.output, arguments.numbers, arguments.rate, arguments.waiting)
    getattr(program, arguments.name)()
    program.env.execute(f"fault test {arguments.name}")


if __name__ == "__main__":
    main()
