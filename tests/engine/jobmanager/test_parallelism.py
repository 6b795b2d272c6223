"""What parallelism a job's vertices may have, and the job graph at another one."""

from typing import Any

import pytest

from penstock.base.ids import VertexId
from penstock.checkpoint.journal_state import (
    Finished,
    FromEmpty,
    Rescaled,
    Started,
    folded,
)
from penstock.graph.job_graph import Exchange, JobEdge, JobGraph, JobVertex
from penstock.jobmanager.parallelism import (
    Bounds,
    as_rescaled,
    complaints,
    everywhere,
    fitting,
    parallelism_of,
    rescaled_entry,
    slots_for,
    with_parallelism,
)
from penstock.jobmanager.placement import Missing

A, B, C = VertexId("a" * 32), VertexId("b" * 32), VertexId("c" * 32)


def vertex(id: VertexId, parallelism: int = 2, **given: Any) -> JobVertex:
    settings: dict[str, Any] = {"max_parallelism": 128, "slot_sharing_group": "default"} | given
    return JobVertex(id=id, name=id[0], chain=(), parallelism=parallelism, **settings)


def edge(source: VertexId, target: VertexId, exchange: Exchange, *, left_open: bool = False) -> JobEdge:
    return JobEdge(
        id=0,
        source=source,
        source_operator=0,
        tag=None,
        target=target,
        port=0,
        exchange=exchange,
        partitioner=None,
        buffer_timeout_ms=100,
        left_open=left_open,
    )


def graph(*parts: JobVertex | JobEdge) -> JobGraph:
    return JobGraph(
        name="job",
        vertices=tuple(part for part in parts if isinstance(part, JobVertex)),
        edges=tuple(part for part in parts if isinstance(part, JobEdge)),
        configuration={},
        prelude=b"",
        files=(),
        python_path=(),
        fingerprint="f",
    )


def test_every_vertex_follows_the_jobs_parallelism_but_those_whose_program_says_otherwise() -> None:
    job = graph(vertex(A), vertex(B, parallelism_given=True), vertex(C, 1, parallel=False))
    assert everywhere(job, 5) == {A: Bounds(5, 5), B: Bounds(2, 2), C: Bounds(1, 1)}


def test_vertices_between_which_the_program_has_records_go_forward_stay_together() -> None:
    job = graph(vertex(A), vertex(B), vertex(C, parallelism_given=True), edge(B, C, Exchange.FORWARD))
    assert everywhere(job, 5) == {A: Bounds(5, 5), B: Bounds(2, 2), C: Bounds(2, 2)}
    apart = {A: Bounds(1, 1), B: Bounds(1, 1), C: Bounds(2, 2)}
    assert list(complaints(job, apart)) == [
        "records go forward between b and c: they can only have one parallelism, and no bounds allow it"
    ]


def test_an_exchange_that_was_left_open_is_decided_anew() -> None:
    job = graph(vertex(A), vertex(B), edge(A, B, Exchange.FORWARD, left_open=True))
    apart = with_parallelism(job, {A: 2, B: 3})
    assert [e.exchange for e in apart.edges] == [Exchange.REBALANCE]
    assert with_parallelism(apart, {A: 3}).edges == job.edges


@pytest.mark.parametrize(
    ("required", "complaint"),
    [
        ({A: Bounds(1, 200)}, "parallelism 200 of a is above its maximum parallelism 128, beyond which it cannot"),
        ({A: Bounds(3, 2)}, "the bounds of a are 3 and 2: the lower one is at least 1"),
        ({A: Bounds(0, 2)}, "the bounds of a are 0 and 2: the lower one is at least 1"),
        ({}, f"the request is incomplete: it says nothing of vertex {A} (a)"),
        ({A: Bounds(1, 1), B: Bounds(1, 1)}, f"the job has no vertex {B}"),
    ],
)
def test_rs3_what_cannot_be_is_refused_with_a_sentence(required: dict[VertexId, Bounds], complaint: str) -> None:
    (found,) = complaints(graph(vertex(A)), required)
    assert found.startswith(complaint)


def test_an_operator_that_is_not_parallel_is_refused_more_than_one_subtask() -> None:
    (found,) = complaints(graph(vertex(A, 1, parallel=False)), {A: Bounds(1, 2)})
    assert found == "a holds an operator that is not parallel: its parallelism is 1"


def test_a_group_needs_as_many_slots_as_its_widest_vertex() -> None:
    job = graph(vertex(A), vertex(B, 3), vertex(C, 4, slot_sharing_group="other"))
    assert slots_for(job, parallelism_of(job)) == 7


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(9, {A: 6, B: 3}), (8, {A: 5, B: 3}), (6, {A: 4, B: 2}), (3, {A: 2, B: 1}), (2, {A: 1, B: 1})],
)
def test_too_few_slots_are_dealt_to_the_groups_by_what_they_want(slots: int, expected: dict[VertexId, int]) -> None:
    job = graph(vertex(A), vertex(B, slot_sharing_group="other"))
    assert fitting(job, {A: Bounds(1, 6), B: Bounds(1, 3)}, slots) == expected


def test_fewer_slots_than_the_lower_bounds_demand_are_missing_by_number() -> None:
    job = graph(vertex(A), vertex(B, slot_sharing_group="other"))
    assert fitting(job, {A: Bounds(4, 6), B: Bounds(2, 3)}, 3) == Missing(needed=6, missing=3)


def test_a_successor_goes_on_at_the_parallelism_that_the_journal_has() -> None:
    program = graph(vertex(A), vertex(B, 1))
    entry = rescaled_entry(program, {A: 5, B: 1})
    assert entry == Rescaled({A: 5}, {A: 2})
    assert parallelism_of(as_rescaled(program, entry)) == {A: 5, B: 1}
    assert as_rescaled(program, None) is program


def test_a_program_that_says_another_parallelism_since_has_the_newer_word() -> None:
    entry = rescaled_entry(graph(vertex(A), vertex(B)), {A: 5, B: 5})
    changed = graph(vertex(A, 3), vertex(B))
    assert parallelism_of(as_rescaled(changed, entry)) == {A: 3, B: 5}


def test_what_no_longer_fits_the_program_is_left_aside() -> None:
    entry = rescaled_entry(graph(vertex(A), vertex(B)), {A: 5, B: 2})
    tied = graph(vertex(A), vertex(B), edge(A, B, Exchange.FORWARD))
    assert as_rescaled(tied, entry) == tied


def test_a_job_that_begins_anew_after_its_end_is_the_programs_again() -> None:
    rescaled, started = Rescaled({A: 5}, {A: 2}), Started(FromEmpty(), "f")
    assert folded([started, rescaled]).rescaled == rescaled
    assert folded([started, rescaled, started]).rescaled == rescaled
    assert folded([started, rescaled, Finished("CANCELED"), started]).rescaled is None
