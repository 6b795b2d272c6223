"""What each call of a stream adds to the program, and what it refuses."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.common import Types, WatermarkStrategy
from penstock.common.typeinfo import TypeInformation
from penstock.datastream import (
    BroadcastProcessFunction,
    CoMapFunction,
    DataStream,
    KeyedCoProcessFunction,
    KeyedProcessFunction,
    MapFunction,
    OneInputStreamOperator,
    OutputTag,
    ProcessFunction,
    RuntimeExecutionMode,
    SinkFunction,
    SlotSharingGroup,
    StreamExecutionEnvironment,
    StreamRecord,
)
from penstock.datastream.connectors.number_seq import NumberSequenceSource
from penstock.datastream.state import MapStateDescriptor
from penstock.datastream.submission import build
from penstock.graph.job_graph import Exchange, JobGraph, JobVertex
from penstock.operators.aggregations import Reduce
from penstock.operators.operator import Operator
from penstock.operators.stream_operator import UserOperator
from penstock.operators.transforms import KeyBy, Map

PAIR = Types.TUPLE([Types.STRING(), Types.INT()])


class Split(ProcessFunction):
    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterable[Any]:
        yield value


class Count(KeyedProcessFunction):
    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterable[Any]:
        yield value


class Both(CoMapFunction):
    def map1(self, value: Any) -> Any:
        return value

    def map2(self, value: Any) -> Any:
        return value


class Join(KeyedCoProcessFunction):
    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any]:
        yield value

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterable[Any]:
        yield value


class Rules(BroadcastProcessFunction[Any, Any, Any]):
    def process_element(self, value: Any, ctx: BroadcastProcessFunction.ReadOnlyContext) -> Iterable[Any]:
        yield value

    def process_broadcast_element(self, value: Any, ctx: BroadcastProcessFunction.Context) -> Iterable[Any]:
        yield value


class Pass(OneInputStreamOperator):
    def process_element(self, record: StreamRecord) -> None:
        self.output.collect(record)


class Forget(SinkFunction):
    def invoke(self, value: Any, context: SinkFunction.Context) -> None:
        return None


@pytest.fixture
def env() -> StreamExecutionEnvironment:
    return StreamExecutionEnvironment.get_execution_environment().set_parallelism(2)


@pytest.fixture
def pairs(env: StreamExecutionEnvironment) -> DataStream:
    return env.from_collection([("a", 1), ("b", 2)], PAIR)


def job(env: StreamExecutionEnvironment) -> JobGraph:
    return build(env.program, "job")


def operators(graph: JobGraph) -> Iterator[Operator]:
    for vertex in graph.vertices:
        for operator in vertex.chain:
            yield pickle.loads(operator.factory)()


def vertex(graph: JobGraph, name: str) -> JobVertex:
    return next(vertex for vertex in graph.vertices if vertex.name.startswith(name))


def test_a_first_program_becomes_a_job_graph(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.map(lambda pair: pair).key_by(lambda pair: pair[0]).process(Count()).print()
    graph = job(env)
    assert [(vertex.name, vertex.parallelism) for vertex in graph.vertices] == [
        ("Source: Collection Source", 1),
        ("Map", 2),
        ("KeyedProcess -> Sink: Print to Std. Out", 2),
    ]
    assert [edge.exchange for edge in graph.edges] == [Exchange.REBALANCE, Exchange.HASH]
    assert all(isinstance(operator, Operator) for operator in operators(graph))


def test_the_key_selector_runs_beside_what_emits(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    mapped = pairs.map(lambda pair: pair)
    mapped.key_by(lambda pair: pair[0], Types.STRING()).map(lambda pair: pair)
    mapped.set_parallelism(5)
    graph = job(env)
    above, below = graph.vertices[1:]
    assert isinstance(pickle.loads(above.chain[1].factory)(), KeyBy)
    assert (above.parallelism, below.parallelism) == (5, 2)
    assert (below.chain[0].keyed, below.chain[0].key_type) == (True, Types.STRING())


def test_two_operators_on_one_keyed_stream_share_its_key_selector(
    env: StreamExecutionEnvironment, pairs: DataStream
) -> None:
    keyed = pairs.key_by(lambda pair: pair[0])
    keyed.map(lambda pair: pair)
    keyed.sum(1)
    assert [operator.name for operator in job(env).vertices[0].chain] == ["Source: Collection Source", "KeyBy"]


def test_each_part_of_a_union_is_keyed_where_it_emits(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    other = env.from_collection([("c", 3)], PAIR)
    pairs.union(other).key_by(lambda pair: pair[0]).process(Count())
    graph = job(env)
    assert [edge.exchange for edge in graph.edges] == [Exchange.HASH, Exchange.HASH]
    assert [edge.port for edge in graph.edges] == [0, 0]


def test_streams_of_different_types_do_not_unite(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    with pytest.raises(JobDefinitionError, match="Cannot union streams of different types"):
        pairs.union(env.from_collection(["x"], Types.STRING()))


def test_filter_reduce_and_union_keep_the_type_and_an_untyped_map_loses_it(pairs: DataStream) -> None:
    pickled: TypeInformation = Types.PICKLED_BYTE_ARRAY()
    keyed = pairs.key_by(lambda pair: pair[0])
    kept = [pairs.filter(bool), pairs.union(pairs), keyed.reduce(lambda a, b: a), keyed.min_by(1), pairs.rebalance()]
    assert [stream.get_type() for stream in kept] == [PAIR] * len(kept)
    lost = [pairs.map(lambda pair: pair), pairs.flat_map(lambda pair: [pair]), pairs.process(Split())]
    assert [stream.get_type() for stream in lost] == [pickled] * len(lost)
    assert pairs.map(lambda pair: pair[0], Types.STRING()).get_type() == Types.STRING()
    assert pairs.project(1, 0).get_type() == Types.TUPLE([Types.INT(), Types.STRING()])


def test_a_source_that_knows_its_type_gives_it_to_the_stream(env: StreamExecutionEnvironment) -> None:
    source = NumberSequenceSource(1, 2)
    assert env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers").get_type() == Types.LONG()
    declared = env.from_source(source, WatermarkStrategy.no_watermarks(), "numbers", Types.INT())
    assert declared.get_type() == Types.INT()


def test_only_tuples_are_projected(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    with pytest.raises(TypeError, match="Only Tuple types can be projected"):
        env.from_collection([1]).project(0)
    with pytest.raises(ValueError, match="the fields 0 to 1, there is no 2"):
        pairs.project(2)


@pytest.mark.parametrize("name", ["shuffle", "rebalance", "rescale", "broadcast", "global_"])
def test_partitionings(env: StreamExecutionEnvironment, pairs: DataStream, name: str) -> None:
    getattr(pairs, name)().map(lambda pair: pair)
    assert [edge.exchange.name for edge in job(env).edges] == [name.upper().removesuffix("_")]


def test_forward_keeps_the_subtask_and_joins_the_chain(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.forward().map(lambda pair: pair).set_parallelism(1)
    assert len(job(env).vertices) == 1


def test_a_custom_partitioning_takes_functions(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.partition_custom(lambda key, count: key % count, lambda pair: pair[1]).map(lambda pair: pair)
    (edge,) = job(env).edges
    assert edge.exchange is Exchange.CUSTOM
    assert edge.partitioner is not None


def test_side_outputs_are_streams_of_their_own(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    late = OutputTag("late", Types.STRING())
    processed = pairs.process(Split())
    side = processed.get_side_output(late)
    assert side.get_type() == Types.STRING()
    side.map(lambda value: value)
    assert vertex(job(env), "Process").chain[1].tag == "late"


def test_connected_streams_have_two_ports(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.connect(pairs.map(lambda pair: pair)).map(Both())
    assert sorted(edge.port for edge in job(env).edges if edge.target == vertex(job(env), "Co-Map").id) == [0, 1]


def test_connected_streams_are_keyed_together(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.connect(pairs).key_by(lambda pair: pair[0], lambda pair: pair[0]).process(Join())
    graph = job(env)
    joined = vertex(graph, "Keyed-Co-Process")
    assert joined.chain[0].keyed
    assert [edge.exchange for edge in graph.inputs(joined.id)] == [Exchange.HASH, Exchange.HASH]


def test_of_two_connected_streams_both_are_keyed_or_neither(pairs: DataStream) -> None:
    with pytest.raises(JobDefinitionError, match="either both are keyed or neither"):
        pairs.key_by(lambda pair: pair[0]).connect(pairs).map(Both())


def test_a_broadcast_side_reaches_every_subtask(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    rules = pairs.broadcast(MapStateDescriptor("rules", Types.STRING(), Types.INT()))
    pairs.connect(rules).process(Rules())
    graph = job(env)
    target = vertex(graph, "Co-Process-Broadcast")
    assert [(edge.port, edge.exchange) for edge in graph.inputs(target.id)] == [
        (0, Exchange.REBALANCE),
        (1, Exchange.BROADCAST),
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.map(3),
        lambda stream: stream.map(MapFunction),
        lambda stream: stream.map(Split()),
        lambda stream: stream.process(lambda value: value),
        lambda stream: stream.process(Count()),
        lambda stream: stream.add_sink(print),
        lambda stream: stream.sink_to(Forget()),
        lambda stream: stream.connect(stream).process(Join()),
        lambda stream: stream.transform("t", None, 3),
        lambda stream: stream.name(5),
        lambda stream: stream.map(str).uid(5),
        lambda stream: stream.slot_sharing_group(5),
        lambda stream: stream.set_max_parallelism("4"),
        lambda stream: stream.set_buffer_timeout("0"),
        lambda stream: stream.union(None),
        lambda stream: stream.connect("stream"),
        lambda stream: stream.get_side_output("late"),
        lambda stream: stream.broadcast("rules"),
        lambda stream: stream.print(5),
    ],
)
def test_the_wrong_kind_of_function_or_argument_is_refused_at_once(pairs: DataStream, call: Any) -> None:
    with pytest.raises(TypeError, match=", not "):
        call(pairs)


def test_a_source_that_does_not_say_whether_it_ends_is_refused(env: StreamExecutionEnvironment) -> None:
    class Undecided(NumberSequenceSource):  # type: ignore[misc]
        def get_boundedness(self) -> Any:
            return None

    with pytest.raises(TypeError, match=r"get_boundedness\(\) of Undecided gives a Boundedness, not None"):
        env.from_source(Undecided(1, 2), WatermarkStrategy.no_watermarks(), "numbers")


def test_users_operators_are_instances_or_factories(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.transform("mine", PAIR, Pass()).transform("again", PAIR, Pass).set_parallelism(2)
    made = list(operators(job(env)))
    assert [type(operator) for operator in made[1:]] == [UserOperator, UserOperator]
    pairs.transform("none", PAIR, lambda: 5)
    with pytest.raises(JobDefinitionError, match=r"what makes 5, which is no OneInputStreamOperator"):
        list(operators(job(env)))


def test_setters_change_the_operator(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    group = SlotSharingGroup.builder("big").build()
    mapped = pairs.map(lambda pair: pair).name("enrich").uid("enrich-1").set_parallelism(3).set_max_parallelism(9)
    mapped.slot_sharing_group(group).set_buffer_timeout(0).disable_chaining().set_description("adds names")
    mapped.print().name("out").uid("out-1").set_parallelism(3)
    assert mapped.get_name() == "enrich"
    graph = job(env)
    enrich, out = graph.vertices[1:]
    assert (enrich.name, enrich.parallelism, enrich.max_parallelism, enrich.slot_sharing_group) == (
        "enrich",
        3,
        9,
        "big",
    )
    assert (enrich.chain[0].uid, enrich.chain[0].uid_given) == ("enrich-1", True)
    assert (out.name, out.slot_sharing_group) == ("Sink: out", "big")
    assert graph.inputs(out.id)[0].buffer_timeout_ms == 0


def test_a_union_is_no_operator_to_be_named(pairs: DataStream) -> None:
    with pytest.raises(JobDefinitionError, match="a union, a side output or a partitioning, not an operator"):
        pairs.union(pairs).name("both")


def test_a_keyed_stream_is_no_operator_to_be_named(pairs: DataStream) -> None:
    with pytest.raises(JobDefinitionError, match="Set name for KeyedStream is not supported"):
        pairs.key_by(lambda pair: pair[0]).name("keyed")
    with pytest.raises(JobDefinitionError, match="Cannot override partitioning for KeyedStream"):
        pairs.key_by(lambda pair: pair[0]).rebalance()


def test_a_collection_is_read_by_one_subtask(pairs: DataStream) -> None:
    with pytest.raises(JobDefinitionError, match="parallelism of non parallel operator must be 1"):
        pairs.set_parallelism(2)


@pytest.mark.parametrize("parallelism", [0, -2])
def test_a_parallelism_that_is_none_is_refused(pairs: DataStream, parallelism: int) -> None:
    with pytest.raises(JobDefinitionError, match="at least 1, or -1"):
        pairs.map(lambda pair: pair).set_parallelism(parallelism)


def test_parallelism_of_minus_one_is_the_environments(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    pairs.map(lambda pair: pair).set_parallelism(7).set_parallelism(-1)
    assert job(env).vertices[1].parallelism == 2


def test_a_stream_used_inside_a_function_is_refused_with_the_reason(
    env: StreamExecutionEnvironment, pairs: DataStream
) -> None:
    pairs.map(lambda pair: pairs)
    with pytest.raises(JobDefinitionError, match="operator 'Map' cannot be sent.*cannot be used inside a function"):
        job(env)


def test_elements_of_a_typed_collection_are_made_to_fit(env: StreamExecutionEnvironment) -> None:
    with pytest.raises(JobDefinitionError, match="from_collection.*element 1"):
        env.from_collection([("a", 1), ("b", None)], PAIR)


def test_a_bounded_program_in_automatic_mode_runs_as_a_batch(
    env: StreamExecutionEnvironment, pairs: DataStream
) -> None:
    env.enable_checkpointing(1000)
    env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    pairs.key_by(lambda pair: pair[0]).sum(1)
    graph = job(env)
    assert graph.configuration["execution.runtime-mode"] == "BATCH"
    assert "execution.checkpointing.interval" not in graph.configuration
    assert [operator.name for operator in vertex(graph, "Sum").chain] == ["Sort: Sum", "Sum"]
    summing = list(operators(graph))[-1]
    assert isinstance(summing, Reduce)
    assert summing._final_only


def test_a_type_that_keys_cannot_have_is_refused_where_it_is_written(pairs: DataStream) -> None:
    with pytest.raises(
        JobDefinitionError, match=r"key_by\(\): Types.LIST\(Types.INT\(\)\) cannot be the type of a key"
    ):
        pairs.key_by(list, Types.LIST(Types.INT()))


def test_streams_of_two_environments_do_not_meet(pairs: DataStream) -> None:
    other = StreamExecutionEnvironment.get_execution_environment().from_collection([("x", 1)], PAIR)
    with pytest.raises(JobDefinitionError, match="different StreamExecutionEnvironments"):
        pairs.union(other)


def test_lambdas_and_function_classes_are_the_same_operator(env: StreamExecutionEnvironment, pairs: DataStream) -> None:
    class Same(MapFunction):
        def map(self, value: Any) -> Any:
            return value

    pairs.map(Same()).map(lambda pair: pair)
    assert [type(operator) for operator in operators(job(env))][1:] == [Map, Map]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda env: env.from_sequence(1, 2).map(str, Types.STRING), r"output_type of Map .*mean Types.STRING\(\)"),
        (lambda env: env.from_sequence(1, 2).map(str, "STRING"), r"output_type of Map is one of Types.*, not 'STRING'"),
        (lambda env: env.from_sequence(1, 2).key_by(str, Types.STRING), r"the key_type of KeyBy .*did you mean"),
        (lambda env: env.from_collection(["a"], Types.STRING), r"the type_info of from_collection\(\) is one of Types"),
        (lambda env: Types.TUPLE([Types.STRING(), Types.INT]), r"the type of a field .*did you mean Types.INT\(\)"),
        (lambda env: Types.LIST(int), r"the type of the elements is one of Types"),
        (lambda env: Types.MAP(Types.INT(), str), r"the type of a map's values is one of Types"),
        (lambda env: OutputTag("late", Types.STRING), r"the type of OutputTag 'late' .*did you mean"),
        (lambda env: env.from_sequence(1, 2).assign_timestamps_and_watermarks(5), r"takes a WatermarkStrategy, not 5"),
    ],
)  # fmt: skip
def test_what_is_no_type_is_refused_in_the_programs_line(call: Callable[[Any], object], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        call(StreamExecutionEnvironment.get_execution_environment())
