"""Generated uids and fingerprints: what they depend on, and what they must not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import JobDefinitionError
from penstock.graph.fingerprint import fingerprint
from penstock.graph.job_graph import Exchange
from penstock.graph.stream_graph import NodeId, StreamGraph, StreamNode, Tap
from penstock.graph.uids import check_uid_hash, identities

Wiring = list[list[int]]


@st.composite
def wirings(draw: st.DrawFn) -> Wiring:
    """For each node, the earlier nodes that feed it; none: a source."""
    count = draw(st.integers(1, 12))
    return [draw(st.lists(st.integers(0, index - 1), max_size=3)) if index else [] for index in range(count)]


def built(wiring: Wiring) -> StreamGraph:
    graph = StreamGraph()
    for index, above in enumerate(wiring):
        taps = [tuple(Tap(node=NodeId(node + 1)) for node in above)] if above else []
        graph.add(*taps, name=f"operator {index}", factory=int)
    return graph


def uids(graph: StreamGraph) -> list[str]:
    return [identity.uid for identity in identities(graph, generate=True).values()]


def print_of(graph: StreamGraph) -> str:
    return fingerprint(graph, identities(graph, generate=True))


@given(wirings())
def test_generated_uids_differ_from_each_other_and_are_hashes(wiring: Wiring) -> None:
    found = uids(built(wiring))
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{32}", uid) for uid in found)


@given(wirings())
def test_the_same_graph_has_the_same_uids_and_fingerprint(wiring: Wiring) -> None:
    assert uids(built(wiring)) == uids(built(wiring))
    assert print_of(built(wiring)) == print_of(built(wiring))


@given(wirings(), st.data())
def test_names_and_parallelism_change_no_uid(wiring: Wiring, data: st.DataObject) -> None:
    changed = built(wiring)
    for node in changed.nodes.values():
        node.name = data.draw(st.text(max_size=3))
        node.parallelism = data.draw(st.integers(1, 9))
    assert uids(changed) == uids(built(wiring))


@given(wirings(), wirings())
def test_what_is_added_at_the_end_changes_no_uid_before_it(wiring: Wiring, more: Wiring) -> None:
    longer = wiring + [[node % len(wiring) for node in above] for above in more]
    assert uids(built(longer))[: len(wiring)] == uids(built(wiring))


@given(wirings(), st.data())
def test_a_given_uid_keeps_all_others_that_it_does_not_feed(wiring: Wiring, data: st.DataObject) -> None:
    graph = built(wiring)
    last = graph.nodes[NodeId(len(wiring))]
    last.uid = "mine"
    assert uids(graph)[:-1] == uids(built(wiring))[:-1]


@given(wirings(), st.data())
def test_a_changed_edge_changes_the_fingerprint(wiring: Wiring, data: st.DataObject) -> None:
    graph = built(wiring)
    if not graph.edges:
        return
    before = print_of(graph)
    position = data.draw(st.integers(0, len(graph.edges) - 1))
    edge = graph.edges[position]
    tap = Tap(node=edge.tap.node, exchange=Exchange.BROADCAST)
    graph.edges[position] = type(edge)(tap=tap, target=edge.target, port=edge.port)
    assert print_of(graph) != before


def two_maps() -> tuple[StreamGraph, StreamNode, StreamNode]:
    graph = StreamGraph()
    source = graph.add(name="source", factory=int)
    first = graph.add((Tap(node=source.id),), name="first", factory=int)
    second = graph.add((Tap(node=source.id),), name="second", factory=int)
    return graph, first, second


def test_one_uid_for_two_operators_is_refused_with_both_names() -> None:
    graph, first, second = two_maps()
    first.uid = second.uid = "count"
    with pytest.raises(JobDefinitionError, match="'count' is given twice, to 'first' and to 'second'"):
        identities(graph, generate=True)


def test_a_uid_hash_is_the_uid_of_the_checkpoint_it_was_read_from() -> None:
    graph, first, second = two_maps()
    generated = identities(graph, generate=True)[second.id].uid
    first.uid, second.uid_hash = "new", generated
    assert identities(graph, generate=True)[second.id].uid == generated


@pytest.mark.parametrize("wrong", ["", "abc", "Z" * 32, "A" * 32, "a" * 33])
def test_a_uid_hash_that_is_no_hash_is_refused(wrong: str) -> None:
    with pytest.raises(JobDefinitionError, match="32 hexadecimal digits"):
        check_uid_hash(wrong)


def test_without_automatic_uids_every_operator_needs_one() -> None:
    graph, first, second = two_maps()
    graph.nodes[NodeId(1)].uid = "source"
    first.uid = "first"
    with pytest.raises(JobDefinitionError, match=r"'second' has no uid.*pipeline.auto-generate-uids"):
        identities(graph, generate=False)
    second.glued_to = first.id
    identities(graph, generate=False)


def test_types_belong_to_the_fingerprint() -> None:
    graph, first, _ = two_maps()
    before = print_of(graph)
    first.output_type = "STRING"
    assert print_of(graph) != before


def test_what_a_program_needs_is_what_feeds_it() -> None:
    graph, first, second = two_maps()
    assert list(graph.upstream_of([second.id]).nodes) == [1, second.id]
    assert [edge.target for edge in graph.upstream_of([first.id]).edges] == [first.id]
