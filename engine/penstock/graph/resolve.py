"""What the program left open, decided: parallelism, slot sharing groups, and how each edge deals its records.

First half of the way from stream graph to job graph; `penstock.graph.chaining` is the second. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final, final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.graph.job_graph import Exchange
from penstock.graph.stream_graph import CustomPartitioner, NodeId, StreamEdge, StreamGraph, StreamNode

DEFAULT_SLOT_SHARING_GROUP: Final = "default"
MAX_PARALLELISM_LOWEST: Final = 128
MAX_PARALLELISM_HIGHEST: Final = 1 << 15


@final
class GraphSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about graphs."""

    max_parallelism: int | None = None
    """For operators that have none of their own (`pipeline.max-parallelism`)."""
    buffer_timeout_ms: int = 100
    chaining: bool = True
    chain_different_max_parallelism: bool = True
    generate_uids: bool = True
    batch: bool = False
    """Run as a batch: operators with a batch form take it."""


@final
class ResolvedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node with everything decided that its neighbours have a say in."""

    node: StreamNode
    parallelism: int
    max_parallelism: int | None
    """None: derived from the parallelism."""
    slot_sharing_group: str
    buffer_timeout_ms: int


@final
class ResolvedEdge(msgspec.Struct, frozen=True, kw_only=True):
    """An edge with its exchange decided."""

    source: NodeId
    tag: str | None
    target: NodeId
    port: int
    exchange: Exchange
    partitioner: CustomPartitioner | None
    left_open: bool
    """Whether the program left the exchange to us."""


@final
class ResolvedGraph(msgspec.Struct, frozen=True):
    """Nodes in topological order, and edges in the order of the program."""

    nodes: Mapping[NodeId, ResolvedNode]
    edges: Sequence[ResolvedEdge]


def resolve(graph: StreamGraph, settings: GraphSettings) -> ResolvedGraph:
    """Decide what is open, or refuse with a sentence."""
    nodes: dict[NodeId, ResolvedNode] = {}
    for node in graph.nodes.values():
        nodes[node.id] = _resolved_node(node, graph.inputs(node.id), nodes, settings)
    return ResolvedGraph(nodes, [_resolved_edge(edge, nodes) for edge in graph.edges])


def open_exchange(producers: int, consumers: int) -> Exchange:
    """How records go where the program does not say."""
    return Exchange.FORWARD if producers == consumers else Exchange.REBALANCE


def default_max_parallelism(parallelism: int) -> int:
    """Room to grow half as much again, as a power of two between 128 and 32768."""
    wanted = 1 << (parallelism + parallelism // 2 - 1).bit_length()
    return min(max(wanted, MAX_PARALLELISM_LOWEST), MAX_PARALLELISM_HIGHEST)


def _resolved_node(
    node: StreamNode,
    inputs: tuple[StreamEdge, ...],
    above: Mapping[NodeId, ResolvedNode],
    settings: GraphSettings,
) -> ResolvedNode:
    if node.glued_to is not None:
        leader = above[node.glued_to]
        return ResolvedNode(
            node=node,
            parallelism=leader.parallelism,
            max_parallelism=leader.max_parallelism,
            slot_sharing_group=leader.slot_sharing_group,
            buffer_timeout_ms=leader.buffer_timeout_ms,
        )
    resolved = ResolvedNode(
        node=node,
        parallelism=node.parallelism,
        max_parallelism=node.max_parallelism or settings.max_parallelism,
        slot_sharing_group=node.slot_sharing_group or _group_of_inputs([above[edge.tap.node] for edge in inputs]),
        buffer_timeout_ms=settings.buffer_timeout_ms if node.buffer_timeout_ms is None else node.buffer_timeout_ms,
    )
    _check_parallelism(resolved)
    return resolved


def _group_of_inputs(inputs: Sequence[ResolvedNode]) -> str:
    groups = {node.slot_sharing_group for node in inputs}
    return groups.pop() if len(groups) == 1 else DEFAULT_SLOT_SHARING_GROUP


def _check_parallelism(resolved: ResolvedNode) -> None:
    highest = resolved.max_parallelism or MAX_PARALLELISM_HIGHEST
    if resolved.parallelism > highest:
        raise JobDefinitionError(
            f"operator '{resolved.node.name}' has parallelism {resolved.parallelism}, above its maximum parallelism "
            f"{highest}: lower the one (set_parallelism, parallelism.default) "
            "or raise the other (set_max_parallelism, pipeline.max-parallelism)"
        )


def _resolved_edge(edge: StreamEdge, nodes: Mapping[NodeId, ResolvedNode]) -> ResolvedEdge:
    source, target = nodes[edge.tap.node], nodes[edge.target]
    same = source.parallelism == target.parallelism
    exchange = edge.tap.exchange or open_exchange(source.parallelism, target.parallelism)
    if exchange is Exchange.FORWARD and not same:
        raise JobDefinitionError(
            f"Forward partitioning does not allow change of parallelism. Upstream operation: '{source.node.name}' "
            f"parallelism: {source.parallelism}, downstream operation: '{target.node.name}' parallelism: "
            f"{target.parallelism}. You must use another partitioning strategy, such as broadcast, rebalance, shuffle "
            "or global."
        )
    return ResolvedEdge(
        source=edge.tap.node,
        tag=edge.tap.tag,
        target=edge.target,
        port=edge.port,
        exchange=exchange,
        partitioner=edge.tap.partitioner,
        left_open=edge.tap.exchange is None,
    )
