"""What parallelism a job's vertices may have, and the job graph at another one. Pure.

Asked by the rescaling of a running job, by REST, and by a JobManager that goes on with what an earlier one rescaled.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import final

import msgspec
from msgspec.structs import replace

from penstock.base.ids import VertexId
from penstock.checkpoint.journal_state import Rescaled
from penstock.graph.job_graph import Exchange, JobGraph, JobVertex
from penstock.graph.resolve import open_exchange
from penstock.jobmanager.placement import Missing

Parallelism = Mapping[VertexId, int]
"""Of every vertex of a job."""


@final
class Bounds(msgspec.Struct, frozen=True):
    """How many subtasks a vertex wants, and with how many it makes do."""

    lower: int
    upper: int

    def clamp(self, wanted: int) -> int:
        return max(self.lower, min(self.upper, wanted))


Requirements = Mapping[VertexId, Bounds]


def parallelism_of(graph: JobGraph) -> Parallelism:
    return {vertex.id: vertex.parallelism for vertex in graph.vertices}


def requirements_of(graph: JobGraph) -> Requirements:
    """What a job requires that nobody has asked otherwise: as many subtasks as it has, or fewer."""
    return {vertex.id: Bounds(1, vertex.parallelism) for vertex in graph.vertices}


def with_parallelism(graph: JobGraph, parallelism: Parallelism) -> JobGraph:
    """The same job at another parallelism. What the program left open is decided anew."""
    vertices = tuple(replace(v, parallelism=parallelism.get(v.id, v.parallelism)) for v in graph.vertices)
    now = {vertex.id: vertex.parallelism for vertex in vertices}
    edges = tuple(
        replace(edge, exchange=open_exchange(now[edge.source], now[edge.target])) if edge.left_open else edge
        for edge in graph.edges
    )
    return replace(graph, vertices=vertices, edges=edges)


def ties(graph: JobGraph) -> list[tuple[JobVertex, ...]]:
    """Vertices that must have one parallelism, because the program has records go forward between them."""
    group: dict[VertexId, list[VertexId]] = {vertex.id: [vertex.id] for vertex in graph.vertices}
    for edge in graph.edges:
        one, other = group[edge.source], group[edge.target]
        if edge.exchange is Exchange.FORWARD and not edge.left_open and one is not other:
            one += other
            group |= dict.fromkeys(other, one)
    found = {id(members): members for members in group.values()}
    return [tuple(graph.vertex(vertex) for vertex in members) for members in found.values()]


def complaints(graph: JobGraph, requirements: Requirements) -> Iterator[str]:
    """Why the job cannot be required to have this parallelism; nothing if it can."""
    for vertex in graph.vertices:
        bounds = requirements.get(vertex.id)
        if bounds is None:
            yield f"the request is incomplete: it says nothing of vertex {vertex.id} ({vertex.name})"
        else:
            yield from _vertex_complaints(vertex, bounds)
    known = {vertex.id for vertex in graph.vertices}
    yield from (f"the job has no vertex {vertex}" for vertex in requirements if vertex not in known)
    for members in ties(graph):
        required = [requirements[vertex.id] for vertex in members if vertex.id in requirements]
        if len(members) > 1 and required and max(b.lower for b in required) > min(b.upper for b in required):
            names = " and ".join(vertex.name for vertex in members)
            yield f"records go forward between {names}: they can only have one parallelism, and no bounds allow it"


def _vertex_complaints(vertex: JobVertex, bounds: Bounds) -> Iterator[str]:
    if bounds.lower < 1 or bounds.lower > bounds.upper:
        yield (
            f"the bounds of {vertex.name} are {bounds.lower} and {bounds.upper}: the lower one is at least 1, "
            "the upper one at least the lower"
        )
    elif bounds.upper > vertex.max_parallelism:
        yield (
            f"parallelism {bounds.upper} of {vertex.name} is above its maximum parallelism {vertex.max_parallelism}, "
            "beyond which it cannot be scaled"
        )
    elif not vertex.parallel and bounds.upper != vertex.parallelism:
        yield f"{vertex.name} holds an operator that is not parallel: its parallelism is {vertex.parallelism}"


def everywhere(graph: JobGraph, parallelism: int) -> Requirements:
    """The requirements of a job that is to have this parallelism where its program has not chosen another itself."""
    found: dict[VertexId, Bounds] = {}
    for members in ties(graph):
        fixed = any(vertex.parallelism_given or not vertex.parallel for vertex in members)
        for vertex in members:
            wanted = vertex.parallelism if fixed else parallelism
            found[vertex.id] = Bounds(wanted, wanted)
    return found


def slots_for(graph: JobGraph, parallelism: Parallelism) -> int:
    """How many slots it takes: subtasks of one slot sharing group share them."""
    return sum(_widths(graph, parallelism).values())


def fitting(graph: JobGraph, requirements: Requirements, slots: int) -> Parallelism | Missing:
    """The greatest parallelism within the requirements that so many slots can hold."""
    least = _widths(graph, _within(graph, requirements, {}))
    widths = dict(least)
    missing = sum(widths.values()) - slots
    if missing > 0:
        return Missing(needed=sum(widths.values()), missing=missing)
    wanted = _widths(graph, desired(graph, requirements))
    for _ in range(-missing):
        # The group that is furthest from what it wants gets the next slot.
        group = min(widths, key=lambda name: (widths[name] / wanted[name], name))
        if widths[group] >= wanted[group]:
            break
        widths[group] += 1
    return _within(graph, requirements, widths)


def desired(graph: JobGraph, requirements: Requirements) -> Parallelism:
    """What the requirements ask for, had they all the slots there are."""
    return _within(graph, requirements, dict.fromkeys((v.slot_sharing_group for v in graph.vertices), 1 << 30))


def _within(graph: JobGraph, requirements: Requirements, widths: Mapping[str, int]) -> Parallelism:
    """As much as the requirements allow in groups of these widths, and at least what they demand."""
    found: dict[VertexId, int] = {}
    for members in ties(graph):
        required = [requirements[vertex.id] for vertex in members]
        bounds = Bounds(max(b.lower for b in required), min(b.upper for b in required))
        width = min(widths.get(vertex.slot_sharing_group, 0) for vertex in members)
        found |= {vertex.id: bounds.clamp(width) for vertex in members}
    return found


def _widths(graph: JobGraph, parallelism: Parallelism) -> dict[str, int]:
    widths: dict[str, int] = {}
    for vertex in graph.vertices:
        group = vertex.slot_sharing_group
        widths[group] = max(widths.get(group, 0), parallelism[vertex.id])
    return widths


def rescaled_entry(program: JobGraph, parallelism: Parallelism) -> Rescaled:
    """What stands in the journal when a program's job runs at this parallelism."""
    said = parallelism_of(program)
    differing = {vertex: count for vertex, count in parallelism.items() if count != said[vertex]}
    return Rescaled(differing, {vertex: said[vertex] for vertex in differing})


def as_rescaled(program: JobGraph, entry: Rescaled | None) -> JobGraph:
    """The graph that a job goes on with which was rescaled, unless its program has changed its mind since."""
    if entry is None:
        return program
    said = parallelism_of(program)
    kept = {v: count for v, count in entry.parallelism.items() if v in said and said[v] == entry.program.get(v)}
    graph = with_parallelism(program, kept)
    # With another chaining, vertices may have come to differ that must not, or to be wider than they may be.
    return program if any(_contradicts(graph)) else graph


def _contradicts(graph: JobGraph) -> Iterable[bool]:
    for members in ties(graph):
        yield len({vertex.parallelism for vertex in members}) > 1
    for vertex in graph.vertices:
        yield vertex.parallelism > vertex.max_parallelism or (not vertex.parallel and vertex.parallelism != 1)
