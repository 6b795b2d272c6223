"""Which subtasks fail together: the connected regions of a job. Pure."""

from collections.abc import Mapping

from penstock.base.ids import SubtaskId
from penstock.exchange.wiring import consumers_of
from penstock.graph.job_graph import JobEdge, JobGraph


def channels(edge: JobEdge, producers: int, consumers: int) -> list[tuple[int, int]]:
    """The (producer, consumer) subtask pairs that an edge connects."""
    return [(i, j) for i in range(producers) for j in consumers_of(edge.exchange, i, producers, consumers)]


def regions(graph: JobGraph) -> list[frozenset[SubtaskId]]:
    """The connected components of the job's subtasks, in topological order of their first member."""
    subtasks = [SubtaskId(v.id, i) for v in graph.vertices for i in range(v.parallelism)]
    parent: dict[SubtaskId, SubtaskId] = {s: s for s in subtasks}
    parallelism: Mapping[str, int] = {v.id: v.parallelism for v in graph.vertices}

    def root(subtask: SubtaskId) -> SubtaskId:
        while parent[subtask] != subtask:
            parent[subtask] = parent[parent[subtask]]
            subtask = parent[subtask]
        return subtask

    for edge in graph.edges:
        for i, j in channels(edge, parallelism[edge.source], parallelism[edge.target]):
            parent[root(SubtaskId(edge.source, i))] = root(SubtaskId(edge.target, j))
    found: dict[SubtaskId, list[SubtaskId]] = {}
    for subtask in subtasks:
        found.setdefault(root(subtask), []).append(subtask)
    return [frozenset(members) for members in found.values()]
