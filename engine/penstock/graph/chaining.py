"""From stream graph to job graph: operators that can share a task are fused into chains.

Flink's rules: a forward edge into an operator with no other input, between equal parallelism, in one slot sharing
group, where neither operator nor environment forbids it. A chain is a tree: an operator may feed several chained
ones, each by its main output or by a side output. Called when a program executes; pickles, and does no other I/O.
"""

from collections.abc import Mapping, Sequence
from typing import final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.base.ids import OperatorUid, VertexId
from penstock.graph.fingerprint import fingerprint
from penstock.graph.job_graph import ChainedOperator, Exchange, JobEdge, JobGraph, JobVertex
from penstock.graph.pickling import UserCode
from penstock.graph.resolve import (
    GraphSettings,
    ResolvedEdge,
    ResolvedGraph,
    ResolvedNode,
    default_max_parallelism,
    resolve,
)
from penstock.graph.stream_graph import ChainingStrategy, NodeId, StreamGraph, StreamNode
from penstock.graph.uids import Identity, identities

EMPTY_TOPOLOGY = "No operators defined in streaming topology. Cannot execute."


@final
class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What travels with a job besides its operators."""

    name: str
    configuration: Mapping[str, str]
    files: tuple[tuple[str, bytes], ...] = ()
    python_path: tuple[str, ...] = ()


@final
class Chains(msgspec.Struct, frozen=True):
    """Which operators share a task: chain by head, in topological order."""

    by_head: Mapping[NodeId, Sequence[NodeId]]
    head_of: Mapping[NodeId, NodeId]
    fused: Mapping[NodeId, ResolvedEdge]
    """For every operator that is not a head: the edge that feeds it."""


def job_graph(graph: StreamGraph, settings: GraphSettings, code: UserCode, parcel: Parcel) -> JobGraph:
    """The job graph of a program, or JobDefinitionError with a sentence for its author."""
    if not graph.nodes:
        raise JobDefinitionError(EMPTY_TOPOLOGY)
    resolved = resolve(graph, settings)
    known = identities(graph, generate=settings.generate_uids)
    assembly = _Assembly(resolved, chain(resolved, settings), known, code, settings)
    return JobGraph(
        name=parcel.name,
        vertices=assembly.vertices(),
        edges=assembly.edges(),
        configuration=dict(parcel.configuration),
        prelude=code.prelude,
        files=parcel.files,
        python_path=parcel.python_path,
        fingerprint=fingerprint(graph, known),
    )


def chain(graph: ResolvedGraph, settings: GraphSettings) -> Chains:
    """Fuse what can be fused."""
    by_head: dict[NodeId, list[NodeId]] = {}
    head_of: dict[NodeId, NodeId] = {}
    fused: dict[NodeId, ResolvedEdge] = {}
    for id_ in graph.nodes:
        inputs = [edge for edge in graph.edges if edge.target == id_]
        if len(inputs) == 1 and _can_fuse(inputs[0], graph.nodes, settings):
            fused[id_] = inputs[0]
            head_of[id_] = head_of[inputs[0].source]
            by_head[head_of[id_]].append(id_)
        else:
            head_of[id_] = id_
            by_head[id_] = [id_]
    return Chains(by_head, head_of, fused)


def _can_fuse(edge: ResolvedEdge, nodes: Mapping[NodeId, ResolvedNode], settings: GraphSettings) -> bool:
    source, target = nodes[edge.source], nodes[edge.target]
    if target.node.glued_to is not None:
        return True
    return (
        settings.chaining
        and edge.exchange is Exchange.FORWARD
        and target.node.inputs == 1
        and source.parallelism == target.parallelism
        and source.slot_sharing_group == target.slot_sharing_group
        and source.node.chaining is not ChainingStrategy.NEVER
        and target.node.chaining is ChainingStrategy.ALWAYS
        and (settings.chain_different_max_parallelism or source.max_parallelism == target.max_parallelism)
    )


@final
class _Assembly(msgspec.Struct, frozen=True):
    """Puts the job graph together from what has been decided."""

    graph: ResolvedGraph
    chains: Chains
    known: Mapping[NodeId, Identity]
    code: UserCode
    settings: GraphSettings

    def vertices(self) -> tuple[JobVertex, ...]:
        return tuple(self._vertex(head, members) for head, members in self.chains.by_head.items())

    def edges(self) -> tuple[JobEdge, ...]:
        fused = self.chains.fused
        crossing = [edge for edge in self.graph.edges if fused.get(edge.target) is not edge]
        return tuple(self._edge(id_, edge) for id_, edge in enumerate(crossing))

    def _vertex(self, head: NodeId, members: Sequence[NodeId]) -> JobVertex:
        resolved = [self.graph.nodes[id_] for id_ in members]
        parallelism = resolved[0].parallelism
        max_parallelism = _max_parallelism(resolved)
        return JobVertex(
            id=VertexId(self.known[head].hash),
            name=self._chain_name(head),
            chain=(*self._sorting(head), *(self._chained(node.node, members) for node in resolved)),
            parallelism=parallelism,
            max_parallelism=max_parallelism or default_max_parallelism(parallelism),
            slot_sharing_group=resolved[0].slot_sharing_group,
            max_parallelism_given=max_parallelism is not None,
            parallelism_given=any(item.node.parallelism_given for item in resolved),
            parallel=all(item.node.parallel for item in resolved),
        )

    def _chained(self, node: StreamNode, members: Sequence[NodeId]) -> ChainedOperator:
        identity = self.known[node.id]
        edge = self.chains.fused.get(node.id)
        factory = node.batch_factory if self.settings.batch and node.batch_factory is not None else node.factory
        what = f"operator '{node.display_name}'"
        return ChainedOperator(
            uid=identity.uid,
            uid_given=identity.given,
            name=node.display_name,
            factory=self.code.dump(factory, what),
            parent=self._parent(members, edge),
            tag=None if edge is None else edge.tag,
            keyed=node.keyed,
            key_type=node.key_type,
            coordinator=None if node.coordinator is None else self.code.dump(node.coordinator, what),
            bounded=node.bounded,
        )

    def _sorting(self, head: NodeId) -> tuple[ChainedOperator, ...]:
        """In a batch: what stands before the chain's head and sorts its input."""
        node = self.graph.nodes[head].node
        if not self.settings.batch or node.batch_input is None:
            return ()
        sorting = ChainedOperator(
            uid=OperatorUid(f"{self.known[head].uid}/sorted input"),
            uid_given=False,
            name=f"Sort: {node.name}",
            factory=self.code.dump(node.batch_input, f"the sorted input of '{node.name}'"),
            parent=None,
            tag=None,
            keyed=False,
            key_type=None,
            coordinator=None,
            bounded=True,
        )
        return (sorting,)

    def _parent(self, members: Sequence[NodeId], edge: ResolvedEdge | None) -> int | None:
        if edge is not None:
            return self._index(members, edge.source)
        return 0 if self._sorting(members[0]) else None

    def _index(self, members: Sequence[NodeId], node: NodeId) -> int:
        """The place in the chain, behind what sorts."""
        return members.index(node) + len(self._sorting(members[0]))

    def _chain_name(self, node: NodeId) -> str:
        """As Flink writes it: `a -> b -> c`, and `a -> (b, c -> d)` where the chain branches."""
        children = [id_ for id_, edge in self.chains.fused.items() if edge.source == node]
        below = [name for child in children if (name := self._chain_name(child))]
        own = self.graph.nodes[node].node
        here = [] if own.glued_to is not None else [own.display_name]
        if len(below) > 1:
            below = [f"({', '.join(below)})"]
        return " -> ".join(here + below)

    def _edge(self, id_: int, edge: ResolvedEdge) -> JobEdge:
        head = self.chains.head_of[edge.source]
        return JobEdge(
            id=id_,
            source=VertexId(self.known[head].hash),
            source_operator=self._index(self.chains.by_head[head], edge.source),
            tag=edge.tag,
            target=VertexId(self.known[edge.target].hash),
            port=edge.port,
            exchange=edge.exchange,
            partitioner=self._partitioner(edge),
            buffer_timeout_ms=self.graph.nodes[edge.source].buffer_timeout_ms,
            left_open=edge.left_open,
        )

    def _partitioner(self, edge: ResolvedEdge) -> bytes | None:
        if edge.partitioner is None:
            return None
        ends = [self.graph.nodes[id_].node.display_name for id_ in (edge.source, edge.target)]
        what = f"the partitioner between '{ends[0]}' and '{ends[1]}'"
        return self.code.dump((edge.partitioner.partition, edge.partitioner.key_selector), what)


def _max_parallelism(members: Sequence[ResolvedNode]) -> int | None:
    """The first that a member was given itself, else the environment's."""
    given = [member.node.max_parallelism for member in members if member.node.max_parallelism is not None]
    return given[0] if given else members[0].max_parallelism
