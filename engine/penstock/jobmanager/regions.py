"""How a job's subtasks are connected: which fail together, and what checkpoints need to know of them. Pure."""

from collections.abc import Mapping

from penstock.base.ids import SubtaskId
from penstock.checkpoint.plan import TaskShape
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


def task_shapes(graph: JobGraph) -> tuple[TaskShape, ...]:
    """What the checkpoint coordinator needs to know of every task."""
    parallelism = {vertex.id: vertex.parallelism for vertex in graph.vertices}
    upstream: dict[SubtaskId, set[SubtaskId]] = {}
    for edge in graph.edges:
        for i, j in channels(edge, parallelism[edge.source], parallelism[edge.target]):
            upstream.setdefault(SubtaskId(edge.target, j), set()).add(SubtaskId(edge.source, i))
    shared: dict[frozenset[SubtaskId], frozenset[SubtaskId]] = {}

    def senders(subtask: SubtaskId) -> frozenset[SubtaskId]:
        found = frozenset(upstream.get(subtask, ()))
        return shared.setdefault(found, found)

    return tuple(
        TaskShape(
            SubtaskId(vertex.id, index),
            tuple(operator.uid for operator in vertex.chain),
            vertex.parallelism,
            vertex.max_parallelism,
            senders(SubtaskId(vertex.id, index)),
            vertex.name,
        )
        for vertex in graph.vertices
        for index in range(vertex.parallelism)
    )
