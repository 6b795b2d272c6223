"""State access with time to live, as in PyFlink's documentation, and all other kinds of keyed state beside it."""

from pyflink.common import Time, Types
from pyflink.datastream import (
    AggregateFunction,
    KeyedProcessFunction,
    ReduceFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
)
from pyflink.datastream.state import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateTtlConfig,
    ValueStateDescriptor,
)


class Greatest(ReduceFunction):
    def reduce(self, value1, value2):
        return max(value1, value2)


class Average(AggregateFunction):
    def create_accumulator(self):
        return 0, 0

    def add(self, value, accumulator):
        return accumulator[0] + value, accumulator[1] + 1

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, a, b):
        return a[0] + b[0], a[1] + b[1]


class Sum(KeyedProcessFunction):
    def __init__(self):
        self.state = None

    def open(self, runtime_context: RuntimeContext):
        state_descriptor = ValueStateDescriptor("state", Types.LONG())
        state_ttl_config = (
            StateTtlConfig.new_builder(Time.hours(1))
            .set_update_type(StateTtlConfig.UpdateType.OnReadAndWrite)
            .disable_cleanup_in_background()
            .build()
        )
        state_descriptor.enable_time_to_live(state_ttl_config)
        self.state = runtime_context.get_state(state_descriptor)
        self.last_two = runtime_context.get_list_state(ListStateDescriptor("last two", Types.LONG()))
        self.seen = runtime_context.get_map_state(MapStateDescriptor("seen", Types.LONG(), Types.INT()))
        self.greatest = runtime_context.get_reducing_state(ReducingStateDescriptor("max", Greatest(), Types.LONG()))
        self.average = runtime_context.get_aggregating_state(
            AggregatingStateDescriptor("average", Average(), Types.PICKLED_BYTE_ARRAY())
        )

    def process_element(self, value, ctx: "KeyedProcessFunction.Context"):
        # retrieve the current count
        current = self.state.value()
        if current is None:
            current = 0

        # update the state's count
        current += value[1]
        self.state.update(current)
        self.last_two.add(value[1])
        self.last_two.update(list(self.last_two)[-2:])
        if not self.seen.contains(value[1]):
            self.seen.put(value[1], 0)
        self.seen[value[1]] = self.seen[value[1]] + 1
        self.greatest.add(value[1])
        self.average.add(value[1])

        yield (
            ctx.get_current_key(), current, list(self.last_two.get()), dict(self.seen.items()), self.greatest.get(),
            self.average.get(),
        )  # fmt: skip


if __name__ == "__main__":
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)

    ds = env.from_collection(
        collection=[("Alice", 110), ("Bob", 30), ("Alice", 20), ("Bob", 53), ("Alice", 20), ("Bob", 3)],
        type_info=Types.TUPLE([Types.STRING(), Types.LONG()]),
    )

    # apply the process function onto a keyed stream
    ds.key_by(lambda value: value[0]).process(Sum()).print()

    # submit for execution
    env.execute()
