"""Which operators share a task, and what the job graph says about the edges between tasks."""

import threading
from typing import Any

import cloudpickle
import pytest

from penstock.base.errors import JobDefinitionError
from penstock.graph.chaining import Parcel, job_graph
from penstock.graph.job_graph import Exchange, JobGraph
from penstock.graph.pickling import UserCode
from penstock.graph.resolve import GraphSettings, default_max_parallelism
from penstock.graph.stream_graph import ChainingStrategy, CustomPartitioner, StreamGraph, StreamNode, Tap


def nothing() -> None:
    return None


class Graph:
    """Writes stream graphs in few words."""

    def __init__(self) -> None:
        self.stream = StreamGraph()

    def source(self, name: str = "numbers", **attributes: Any) -> StreamNode:
        return self.stream.add(name=name, factory=nothing, **attributes)

    def one(self, name: str, *above: StreamNode | Tap, **attributes: Any) -> StreamNode:
        taps = tuple(tap if isinstance(tap, Tap) else Tap(node=tap.id) for tap in above)
        return self.stream.add(taps, name=name, factory=nothing, **attributes)

    def two(self, name: str, first: StreamNode, second: StreamNode, **attributes: Any) -> StreamNode:
        return self.stream.add((Tap(node=first.id),), (Tap(node=second.id),), name=name, factory=nothing, **attributes)

    def job(self, **settings: Any) -> JobGraph:
        return job_graph(self.stream, GraphSettings(**settings), UserCode(None), Parcel(name="job", configuration={}))


def names(graph: JobGraph) -> list[str]:
    return [vertex.name for vertex in graph.vertices]


def test_neighbours_of_equal_parallelism_share_a_task() -> None:
    graph = Graph()
    graph.one("sink", graph.one("map", graph.source(parallelism=2), parallelism=2), parallelism=2, is_sink=True)
    job = graph.job()
    assert names(job) == ["Source: numbers -> map -> Sink: sink"]
    assert [operator.parent for operator in job.vertices[0].chain] == [None, 0, 1]
    assert job.edges == ()


def test_a_change_of_parallelism_breaks_the_chain_and_rebalances() -> None:
    graph = Graph()
    graph.one("map", graph.source(parallelism=1), parallelism=2)
    job = graph.job()
    assert names(job) == ["Source: numbers", "map"]
    assert [edge.exchange for edge in job.edges] == [Exchange.REBALANCE]


def test_explicit_forward_between_different_parallelism_is_refused() -> None:
    graph = Graph()
    source = graph.source(parallelism=1)
    graph.one("map", Tap(node=source.id, exchange=Exchange.FORWARD), parallelism=2)
    with pytest.raises(JobDefinitionError, match="does not allow change of parallelism.*'numbers'.*1.*'map'.*2"):
        graph.job()


def test_a_partitioning_breaks_the_chain() -> None:
    graph = Graph()
    source = graph.source()
    graph.one("map", Tap(node=source.id, exchange=Exchange.SHUFFLE))
    assert [edge.exchange for edge in graph.job().edges] == [Exchange.SHUFFLE]


@pytest.mark.parametrize(
    ("above", "below", "fused"),
    [
        (ChainingStrategy.ALWAYS, ChainingStrategy.ALWAYS, True),
        (ChainingStrategy.HEAD, ChainingStrategy.ALWAYS, True),
        (ChainingStrategy.ALWAYS, ChainingStrategy.HEAD, False),
        (ChainingStrategy.NEVER, ChainingStrategy.ALWAYS, False),
        (ChainingStrategy.ALWAYS, ChainingStrategy.NEVER, False),
    ],
)
def test_the_chaining_strategies_of_both_decide(above: ChainingStrategy, below: ChainingStrategy, fused: bool) -> None:
    graph = Graph()
    graph.one("map", graph.source(chaining=above), chaining=below)
    assert (len(graph.job().vertices) == 1) is fused


def test_the_environment_can_forbid_chaining() -> None:
    graph = Graph()
    graph.one("map", graph.source())
    assert names(graph.job(chaining=False)) == ["Source: numbers", "map"]


def test_slot_sharing_groups_are_inherited_and_break_chains() -> None:
    graph = Graph()
    heavy = graph.one("heavy", graph.source(), slot_sharing_group="big")
    graph.one("after", heavy)
    job = graph.job()
    assert names(job) == ["Source: numbers", "heavy -> after"]
    assert [vertex.slot_sharing_group for vertex in job.vertices] == ["default", "big"]


def test_inputs_of_different_groups_give_the_default_group() -> None:
    graph = Graph()
    graph.two("both", graph.source(slot_sharing_group="a"), graph.source(slot_sharing_group="b"))
    assert graph.job().vertices[2].slot_sharing_group == "default"


def test_an_operator_with_several_inputs_begins_a_chain() -> None:
    graph = Graph()
    graph.one("union", graph.source("a"), graph.source("b"))
    graph.two("connect", graph.source("c"), graph.source("d"))
    job = graph.job()
    assert names(job) == ["Source: a", "Source: b", "union", "Source: c", "Source: d", "connect"]
    assert [(edge.port, edge.id) for edge in job.edges] == [(0, 0), (0, 1), (0, 2), (1, 3)]


def test_two_edges_from_one_operator_to_one_port_are_two_inputs() -> None:
    graph = Graph()
    source = graph.source()
    graph.one("itself twice", source, source)
    assert len(graph.job().edges) == 2


def test_a_chain_branches_by_output() -> None:
    graph = Graph()
    process = graph.one("process", graph.source())
    graph.one("main", process)
    graph.one("sink", graph.one("late", Tap(node=process.id, tag="late")), is_sink=True)
    (vertex,) = graph.job().vertices
    assert vertex.name == "Source: numbers -> process -> (main, late -> Sink: sink)"
    assert [(operator.parent, operator.tag) for operator in vertex.chain] == [
        (None, None), (0, None), (1, None), (1, "late"), (3, None),
    ]  # fmt: skip


def test_an_edge_leaves_from_the_operator_and_output_that_emit() -> None:
    graph = Graph()
    process = graph.one("process", graph.source())
    graph.one("after", process)
    graph.one("elsewhere", Tap(node=process.id, tag="late"), parallelism=3)
    (edge,) = graph.job().edges
    assert (edge.source_operator, edge.tag) == (1, "late")


def test_a_glued_operator_stays_with_its_leader_whatever_is_forbidden() -> None:
    graph = Graph()
    source = graph.source(parallelism=3, chaining=ChainingStrategy.NEVER)
    key = graph.one("KeyBy", source, glued_to=source.id, parallelism=1)
    graph.one("count", Tap(node=key.id, exchange=Exchange.HASH), keyed=True, parallelism=2)
    source.parallelism = 4
    job = graph.job(chaining=False)
    assert [(vertex.name, vertex.parallelism) for vertex in job.vertices] == [("Source: numbers", 4), ("count", 2)]
    assert [operator.name for operator in job.vertices[0].chain] == ["Source: numbers", "KeyBy"]
    assert job.edges[0].source_operator == 1


def test_vertices_are_in_topological_order() -> None:
    graph = Graph()
    a, b = graph.source("a"), graph.source("b", parallelism=2)
    graph.one("deep", graph.two("join", a, graph.one("map", b, parallelism=3)), parallelism=2)
    job = graph.job()
    place = {vertex.id: index for index, vertex in enumerate(job.vertices)}
    assert all(place[edge.source] < place[edge.target] for edge in job.edges)


@pytest.mark.parametrize(("parallelism", "expected"), [(1, 128), (85, 128), (86, 256), (200, 512), (30_000, 32_768)])
def test_default_max_parallelism_leaves_room_to_grow(parallelism: int, expected: int) -> None:
    assert default_max_parallelism(parallelism) == expected


def test_parallelism_above_the_maximum_is_refused_with_both_numbers() -> None:
    graph = Graph()
    graph.one("count", graph.source(), parallelism=5, max_parallelism=4)
    with pytest.raises(JobDefinitionError, match="'count' has parallelism 5, above its maximum parallelism 4"):
        graph.job()


def test_different_max_parallelism_breaks_chains_only_if_configured() -> None:
    graph = Graph()
    graph.one("map", graph.source(), max_parallelism=16)
    assert [vertex.max_parallelism for vertex in graph.job(max_parallelism=64).vertices] == [16]
    split = graph.job(max_parallelism=64, chain_different_max_parallelism=False)
    assert [vertex.max_parallelism for vertex in split.vertices] == [64, 16]


def test_the_buffer_timeout_of_an_edge_is_its_producers() -> None:
    graph = Graph()
    graph.one("map", graph.source(buffer_timeout_ms=5), parallelism=2)
    graph.one("map", graph.source(), parallelism=2)
    assert [edge.buffer_timeout_ms for edge in graph.job(buffer_timeout_ms=70).edges] == [5, 70]


def test_an_empty_program_is_refused_in_flinks_words() -> None:
    with pytest.raises(JobDefinitionError, match="No operators defined in streaming topology. Cannot execute."):
        Graph().job()


def test_a_batch_takes_the_batch_form_of_an_operator() -> None:
    graph = Graph()
    graph.one("reduce", graph.source(), batch_factory=str)
    assert cloudpickle.loads(graph.job(batch=True).vertices[0].chain[1].factory) is str
    assert cloudpickle.loads(graph.job().vertices[0].chain[1].factory) is not str


def test_what_cannot_be_pickled_is_named_with_its_operator() -> None:
    class Enrich:
        def __init__(self) -> None:
            self.guard = threading.Lock()

        def __call__(self) -> None:
            return None

    graph = Graph()
    graph.one("enrich", graph.source()).factory = Enrich()
    with pytest.raises(JobDefinitionError, match=r"operator 'enrich' cannot be sent to the workers.*guard.*lock"):
        graph.job()


def test_a_custom_partitioner_travels_with_its_key_selector() -> None:
    graph = Graph()
    source = graph.source()
    custom = CustomPartitioner(partition=lambda key, n: key % n, key_selector=lambda value: value[0])
    graph.one("map", Tap(node=source.id, exchange=Exchange.CUSTOM, partitioner=custom))
    (edge,) = graph.job().edges
    assert edge.partitioner is not None
    partition, selector = cloudpickle.loads(edge.partitioner)
    assert partition(selector((7, "x")), 4) == 3


def test_a_batch_sorts_before_keyed_operators_in_their_own_task() -> None:
    graph = Graph()
    source = graph.source()
    count = graph.one("count", Tap(node=source.id, exchange=Exchange.HASH), keyed=True, batch_input=list)
    graph.one("after", graph.one("map", count), parallelism=2)
    job = graph.job(batch=True)
    chain = job.vertices[1].chain
    assert [(operator.name, operator.parent) for operator in chain] == [("Sort: count", None), ("count", 0), ("map", 1)]
    assert [edge.source_operator for edge in job.edges] == [0, 2]
    assert [operator.name for operator in graph.job().vertices[1].chain] == ["count", "map"]
