"""Side outputs, connected streams and unions, as PyFlink's documentation shows them."""

from pyflink.common import Row, Types
from pyflink.datastream import OutputTag, ProcessFunction, RuntimeContext, StreamExecutionEnvironment
from pyflink.datastream.functions import CoFlatMapFunction, CoMapFunction, KeyedCoProcessFunction, MapFunction
from pyflink.datastream.state import ValueStateDescriptor

output_tag = OutputTag("side-output", Types.STRING())


class MyProcessFunction(ProcessFunction):
    def process_element(self, value: int, ctx: "ProcessFunction.Context"):
        # emit data to regular output
        yield value

        # emit data to side output
        yield output_tag, "sideout-" + str(value)


class MyCoMap(CoMapFunction):
    def map1(self, value):
        return f"left {value}"

    def map2(self, value):
        return f"right {value}"


class MyCoFlatMap(CoFlatMapFunction):
    def flat_map1(self, value):
        for i in range(value):
            yield i

    def flat_map2(self, value):
        yield value


class Join(KeyedCoProcessFunction):
    """Waits for one of each side, whichever is first."""

    def open(self, runtime_context: RuntimeContext):
        self.name = runtime_context.get_state(ValueStateDescriptor("name", Types.STRING()))
        self.amount = runtime_context.get_state(ValueStateDescriptor("amount", Types.INT()))

    def process_element1(self, value, ctx: "KeyedCoProcessFunction.Context"):
        self.name.update(value[1])
        if self.amount.value() is not None:
            yield Row(ctx.get_current_key(), value[1], self.amount.value())

    def process_element2(self, value, ctx: "KeyedCoProcessFunction.Context"):
        self.amount.update(value[1])
        if self.name.value() is not None:
            yield Row(ctx.get_current_key(), self.name.value(), value[1])


class MyMapper(MapFunction):
    """With a metric, and its place among the subtasks."""

    def open(self, runtime_context: RuntimeContext):
        self.counter = runtime_context.get_metrics_group().counter("my_counter")
        self.place = runtime_context.get_index_of_this_subtask(), runtime_context.get_number_of_parallel_subtasks()

    def map(self, value: str):
        self.counter.inc()
        return f"{value} {self.place}"


env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(1)

input = env.from_collection([1, 2], Types.INT())
main_data_stream = input.process(MyProcessFunction(), Types.INT())
main_data_stream.map(lambda i: i * 10, Types.INT()).print()
side_output_stream = main_data_stream.get_side_output(output_tag)
side_output_stream.map(MyMapper(), Types.STRING()).print()
env.execute("side outputs")

names = env.from_collection([(1, "a"), (2, "b")], Types.ROW([Types.INT(), Types.STRING()]))
amounts = env.from_collection([(2, 20), (1, 10)], Types.ROW([Types.INT(), Types.INT()]))
names.connect(amounts).map(MyCoMap(), Types.STRING()).print()
joined = (
    names.connect(amounts)
    .key_by(lambda row: row[0], lambda row: row[0])
    .process(Join(), Types.ROW_NAMED(["id", "name", "amount"], [Types.INT(), Types.STRING(), Types.INT()]))
)
joined.print()
joined.map(lambda row: row.name + "=" + str(row["amount"]), Types.STRING()).print("named")
env.execute("connected streams")

input.connect(env.from_collection(["x"], Types.STRING())).flat_map(MyCoFlatMap()).print()
input.union(env.from_collection([7], Types.INT()), input).print()
env.execute("union")
