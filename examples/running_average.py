"""The average of each sensor's last three readings: list state, and what belongs to one key.

python examples/running_average.py
"""

from collections.abc import Iterator

from penstock.common import Types
from penstock.datastream import KeyedProcessFunction, RuntimeContext, StreamExecutionEnvironment
from penstock.datastream.state import ListStateDescriptor

READINGS = [
    ("kitchen", 20.0), ("garden", 11.0), ("kitchen", 21.0), ("garden", 12.0), ("kitchen", 25.0),
    ("kitchen", 20.0), ("garden", 16.0), ("garden", 11.0), ("kitchen", 18.0),
]  # fmt: skip
READING = Types.TUPLE([Types.STRING(), Types.DOUBLE()])


class AverageOfLast(KeyedProcessFunction):
    """Keeps the last few readings of each sensor in a list."""

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, runtime_context: RuntimeContext) -> None:
        self.last = runtime_context.get_list_state(ListStateDescriptor("last readings", Types.DOUBLE()))

    def process_element(
        self, value: tuple[str, float], ctx: KeyedProcessFunction.Context
    ) -> Iterator[tuple[str, float]]:
        sensor, reading = value
        last = [*self.last.get(), reading][-self.size :]
        self.last.update(last)
        yield sensor, sum(last) / len(last)


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    readings = env.from_collection(READINGS, READING)
    readings.key_by(lambda reading: reading[0], Types.STRING()).process(AverageOfLast(3), READING).print()
    env.execute("running average")


if __name__ == "__main__":
    main()
