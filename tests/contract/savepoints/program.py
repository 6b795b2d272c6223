"""The job whose savepoints stand here: state of every kind, of which it writes all when its input ends.

What it writes does not depend on when it was stopped, nor on what it went on: see `expected`. It must not change; a
later release that wants more in its savepoints writes them with a program of its own.

python program.py --report FILE [--stop-into FOLDER --format canonical|native] [--rate N]
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from penstock.common import Row, Types, WatermarkStrategy
from penstock.common.time import Duration
from penstock.datastream import (
    CheckpointedFunction,
    KeyedProcessFunction,
    MapFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from penstock.datastream.connectors.data_generator import DataGeneratorSource, RateLimiterStrategy
from penstock.datastream.functions import AggregateFunction
from penstock.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)

NUMBERS = 4_000
ENOUGH = 500
KEYS = 7
LAST_MS = 10**15
"""When each key's timer is due: with the end of the input."""
VISIT = Types.ROW_NAMED(["n", "word"], [Types.LONG(), Types.STRING()])


class Mean(AggregateFunction):
    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add(self, value: int, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator: tuple[int, int]) -> float:
        return accumulator[0] / accumulator[1]

    def merge(self, acc_a: tuple[int, int], acc_b: tuple[int, int]) -> tuple[int, int]:
        return acc_a[0] + acc_b[0], acc_a[1] + acc_b[1]


class Keep(KeyedProcessFunction):
    """Keeps numbers in state of every kind. Makes a file of its own once it has had enough of them to be stopped."""

    def __init__(self, report: str) -> None:
        self.begun = Path(f"{report}.begun")

    def open(self, runtime_context: RuntimeContext) -> None:
        self.visit = runtime_context.get_state(ValueStateDescriptor("visit", VISIT))
        self.anything = runtime_context.get_state(ValueStateDescriptor("anything"))
        fresh = ValueStateDescriptor("fresh", Types.LONG())
        fresh.enable_time_to_live(StateTtlConfig.new_builder(Duration.of_days(100 * 365)).build())
        self.fresh = runtime_context.get_state(fresh)
        self.hundreds = runtime_context.get_list_state(ListStateDescriptor("hundreds", Types.LONG()))
        self.digits = runtime_context.get_map_state(MapStateDescriptor("digits", Types.STRING(), Types.LONG()))
        self.total = runtime_context.get_reducing_state(
            ReducingStateDescriptor("total", lambda one, other: one + other, Types.LONG())
        )
        mean = AggregatingStateDescriptor("mean", Mean(), Types.TUPLE([Types.LONG(), Types.LONG()]))
        self.mean = runtime_context.get_aggregating_state(mean)

    def process_element(self, value: int, ctx: KeyedProcessFunction.Context) -> Iterable[str]:
        n = (self.visit.value() or Row(n=0, word=""))["n"] + 1
        if value == ENOUGH:
            self.begun.touch()
        self.visit.update(Row(n=n, word=f"w{n}"))
        self.anything.update({"numbers": n, "of": (ctx.get_current_key(),)})
        self.fresh.update(n)
        if value % 100 == 0:
            self.hundreds.add(value // 100)
        digit = str(value % 3)
        self.digits.put(digit, (self.digits.get(digit) or 0) + 1)
        self.total.add(value)
        self.mean.add(value)
        ctx.timer_service().register_event_time_timer(LAST_MS)
        return ()

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterable[str]:
        visit = self.visit.value()
        facts: dict[str, Any] = {
            "key": ctx.get_current_key(),
            "visit": [visit["n"], visit["word"]],
            "anything": self.anything.value(),
            "fresh": self.fresh.value(),
            # Subtasks of the source take turns as they like.
            "hundreds": sorted(self.hundreds.get()),
            "digits": dict(sorted(self.digits.items())),
            "total": self.total.get(),
            "mean": self.mean.get(),
        }
        yield json.dumps(facts)


class Notes(MapFunction, CheckpointedFunction):
    """Writes down what arrives, and how many lines there have been over all lives of the job; in operator state."""

    def __init__(self, report: str) -> None:
        self.report = report
        self.lives = 0

    def initialize_state(self, context: Any) -> None:
        store = context.get_operator_state_store()
        self.state = store.get_union_list_state(ListStateDescriptor("lives", Types.LONG()))
        self.lives = 1 + max(self.state.get(), default=0)

    def snapshot_state(self, context: Any) -> None:
        self.state.update([self.lives])

    def map(self, value: str) -> str:
        with open(self.report, "a") as file:
            file.write(json.dumps({**json.loads(value), "lives": self.lives}) + "\n")
        return value


def expected(lives: int) -> list[dict[str, Any]]:
    """What is in the report in the end."""
    found = []
    for key in range(KEYS):
        numbers = [number for number in range(NUMBERS) if number % KEYS == key]
        digits = {str(digit): sum(number % 3 == digit for number in numbers) for digit in range(3)}
        found.append(
            {
                "key": f"key {key}",
                "visit": [len(numbers), f"w{len(numbers)}"],
                "anything": {"numbers": len(numbers), "of": [f"key {key}"]},
                "fresh": len(numbers),
                "hundreds": [number // 100 for number in numbers if number % 100 == 0],
                "digits": digits,
                "total": sum(numbers),
                "mean": sum(numbers) / len(numbers),
                "lives": lives,
            }
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep numbers in state of every kind.")
    parser.add_argument("--report", required=True)
    parser.add_argument("--rate", type=int, default=1_000_000)
    parser.add_argument("--stop-into", help="stop with a savepoint into this folder, in the middle")
    parser.add_argument("--format", default="canonical")
    arguments = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(200)
    source = DataGeneratorSource(lambda index: index, NUMBERS, RateLimiterStrategy.per_second(arguments.rate))
    numbers = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG()).uid("numbers")
    keyed = numbers.key_by(lambda number: f"key {number % KEYS}", Types.STRING())
    kept = keyed.process(Keep(arguments.report), Types.STRING()).name("Keep").uid("keep")
    kept.map(Notes(arguments.report), Types.STRING()).name("Notes").uid("notes").print().uid("out")
    client = env.execute_async("savepoints of every format")
    if arguments.stop_into is None:
        client.get_job_execution_result().result()
        return
    while not Path(f"{arguments.report}.begun").exists():
        time.sleep(0.02)
    print(client.stop_with_savepoint(False, arguments.stop_into, arguments.format).result())


if __name__ == "__main__":
    main()
