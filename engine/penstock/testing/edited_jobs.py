"""One job in many forms, as users change theirs between a savepoint and the next start; run as `penstock.testing.jobs`.

    edited_jobs.py edited --gate ... --steps first,second,third --apart second --fresh third

Every step counts the records of each key for itself, in state of its own. What is committed is `key count number`, as
`penstock.testing.oracle` expects it, and a count is only a number where all steps agree on it: a step that lost its
state, or got another's, makes it something else.
"""

import argparse
from collections.abc import Iterable
from typing import Final, final

from penstock.common.typeinfo import Types
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.connectors.encoders import LineEncoder
from penstock.datastream.connectors.file_system import BucketAssigner, FileSink, RollingPolicy
from penstock.datastream.data_stream import DataStream
from penstock.datastream.functions import KeyedProcessFunction, RuntimeContext
from penstock.datastream.state import ListStateDescriptor, ValueStateDescriptor
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment
from penstock.datastream.streams.operator_settings import OperatorSettings
from penstock.testing.jobs import HoldBack, key_of
from penstock.testing.paced import PacedNumbers

Tallied = tuple[int, tuple[int, ...]]
"""A number, and what each step so far has counted."""
HOLD: Final = "hold"
"""A step that keeps numbers back in operator state instead of counting."""


@final
class Tally(KeyedProcessFunction):
    """Counts the records of a key, and says so with each."""

    def __init__(self, *, fresh: bool) -> None:
        self._fresh = fresh

    def open(self, runtime_context: RuntimeContext) -> None:
        self._count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self._latest = runtime_context.get_list_state(ListStateDescriptor("latest", Types.LONG()))

    def process_element(self, value: Tallied, ctx: KeyedProcessFunction.Context) -> Iterable[Tallied]:
        number, counts = value
        count = (self._count.value() or 0) + 1
        self._count.update(count)
        self._latest.update([*list(self._latest.get() or ())[-2:], count])
        wrong = list(self._latest.get()) != list(range(max(1, count - 2), count + 1))
        yield number, counts if self._fresh else (*counts, -1 if wrong else count)


def line(tallied: Tallied) -> str:
    number, counts = tallied
    count = str(counts[0]) if len(set(counts)) == 1 else str(counts).replace(" ", "")
    return f"{key_of(number)} {count} {number}"


def key_of_tallied(tallied: Tallied) -> int:
    return key_of(tallied[0])


@final
class EditedProgram:
    """Builds the form that the arguments ask for."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self.env = StreamExecutionEnvironment.get_execution_environment()

    def build(self) -> None:
        stream = self._numbers()
        self._identify(stream, "numbers")
        steps = [step for step in self._arguments.steps.split(",") if step]
        if HOLD in steps:
            stream = stream.transform(HOLD, Types.LONG(), HoldBack)
            self._identify(stream, HOLD)
        tallied = stream.map(lambda number: (number, ()))
        for step in steps:
            if step != HOLD:
                tallied = self._tally(tallied, step)
        lines = tallied.map(line, Types.STRING())
        builder = FileSink.for_row_format(self._arguments.output, LineEncoder(str))
        policy = RollingPolicy.default_rolling_policy(part_size=2048)
        assigner = BucketAssigner.base_path_bucket_assigner()
        sink = lines.sink_to(builder.with_rolling_policy(policy).with_bucket_assigner(assigner).build())
        self._identify(sink.name("sink"), "sink")

    def _numbers(self) -> DataStream:
        given = self._arguments
        source = PacedNumbers(0, given.numbers, given.gate, given.rate)
        return self.env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.LONG())

    def _tally(self, stream: DataStream, step: str) -> DataStream:
        given = self._arguments
        keyed = stream.key_by(key_of_tallied, Types.LONG())
        tallied = keyed.process(Tally(fresh=step in given.fresh.split(","))).name(step)
        self._identify(tallied, step)
        if step in given.apart.split(","):
            tallied = tallied.disable_chaining().slot_sharing_group("apart").set_parallelism(1)
        return tallied

    def _identify(self, operator: OperatorSettings, step: str) -> None:
        """By the uid that the step is named after, by a hash that the arguments give it, or by nothing."""
        hashes = dict(pair.split("=") for pair in self._arguments.hashes.split(",") if pair)
        if step in hashes:
            operator.set_uid_hash(hashes[step])
        elif not self._arguments.nameless:
            operator.uid(step)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["edited"])
    parser.add_argument("--gate", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--numbers", type=int, required=True)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--steps", required=True, help="in their order; one that is not named is not there")
    parser.add_argument("--fresh", default="", help="steps that have not counted from the beginning")
    parser.add_argument("--apart", default="", help="steps that are a task of their own, with one subtask")
    parser.add_argument("--hashes", default="", help="STEP=UID HASH, where it has no uid")
    parser.add_argument("--nameless", action="store_true", help="no operator has a uid")
    program = EditedProgram(parser.parse_args())
    program.build()
    program.env.execute("edited")


if __name__ == "__main__":
    main()
