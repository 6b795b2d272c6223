"""Which subtasks belong together, and which worker runs them."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.base.ids import OperatorUid, SubtaskId, VertexId, WorkerId
from penstock.graph.job_graph import ChainedOperator, Exchange, JobEdge, JobGraph, JobVertex
from penstock.jobmanager.placement import Missing, Placed, SlotKey, place, required_slots
from penstock.jobmanager.regions import regions


def vertex(name: str, parallelism: int, group: str = "default") -> JobVertex:
    operator = ChainedOperator(
        uid=OperatorUid(name),
        uid_given=True,
        name=name,
        factory=b"",
        parent=None,
        tag=None,
        keyed=False,
        key_type=None,
        coordinator=None,
        bounded=True,
    )
    return JobVertex(
        id=VertexId(name),
        name=name,
        chain=(operator,),
        parallelism=parallelism,
        max_parallelism=128,
        slot_sharing_group=group,
    )


def graph(vertices: list[JobVertex], *edges: tuple[str, str, Exchange]) -> JobGraph:
    return JobGraph(
        name="test",
        vertices=tuple(vertices),
        edges=tuple(
            JobEdge(
                id=number,
                source=VertexId(source),
                source_operator=0,
                tag=None,
                target=VertexId(target),
                port=0,
                exchange=exchange,
                partitioner=None,
                buffer_timeout_ms=100,
            )
            for number, (source, target, exchange) in enumerate(edges)
        ),
        configuration={},
        prelude=b"",
        files=(),
        python_path=(),
        fingerprint="f",
    )


def test_forward_edges_leave_each_subtask_its_own_region() -> None:
    found = regions(graph([vertex("a", 3), vertex("b", 3)], ("a", "b", Exchange.FORWARD)))
    assert found == [frozenset({SubtaskId(VertexId("a"), i), SubtaskId(VertexId("b"), i)}) for i in range(3)]


def test_a_hash_edge_joins_all_subtasks_into_one_region() -> None:
    found = regions(graph([vertex("a", 3), vertex("b", 2)], ("a", "b", Exchange.HASH)))
    assert len(found) == 1
    assert len(found[0]) == 5


def test_rescale_joins_only_the_subtasks_that_it_connects() -> None:
    found = regions(graph([vertex("a", 2), vertex("b", 4)], ("a", "b", Exchange.RESCALE)))
    assert sorted(len(region) for region in found) == [3, 3]


def test_pipelines_without_an_edge_between_them_are_regions_of_their_own() -> None:
    found = regions(
        graph(
            [vertex("a", 2), vertex("b", 2), vertex("c", 2), vertex("d", 2)],
            ("a", "b", Exchange.HASH),
            ("c", "d", Exchange.HASH),
        )
    )
    assert sorted(len(region) for region in found) == [4, 4]


def test_a_slot_sharing_group_needs_as_many_slots_as_its_widest_vertex() -> None:
    job = graph([vertex("a", 2), vertex("b", 4), vertex("c", 3, "other")])
    assert required_slots(job) == [SlotKey("default", i) for i in range(4)] + [SlotKey("other", i) for i in range(3)]


@given(st.integers(0, 6), st.integers(0, 8), st.sets(st.integers(0, 7)))
def test_placement_keeps_what_stands_and_gives_no_worker_twice(wanted: int, workers: int, placed: set[int]) -> None:
    alive = [WorkerId(f"w{i}") for i in range(workers)]
    slots = [SlotKey("default", i) for i in range(wanted)]
    current = {SlotKey("default", i): WorkerId(f"w{i}") for i in placed if i < wanted}
    found = place(slots, current, alive)
    if wanted > workers:
        assert isinstance(found, Missing)
        assert found.missing == wanted - workers
    else:
        assert isinstance(found, Placed)
        assert set(found.workers) == set(slots)
        assert len(set(found.workers.values())) == wanted
        assert all(found.workers[key] == worker for key, worker in current.items() if worker in alive)
