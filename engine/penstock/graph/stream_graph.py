"""The stream graph: what the user's program says, operator by operator, before anything is fused.

`penstock.datastream` adds a node for each call and changes it through the stream's setters;
`penstock.graph.chaining` turns the whole into a job graph. Knows nothing of what an operator does: a node carries
a factory, which is pickled and run elsewhere.
"""

import enum
from collections.abc import Callable, Iterable
from typing import Any, NewType, final

import msgspec

from penstock.graph.job_graph import Exchange

NodeId = NewType("NodeId", int)
"""Counts up from 1 in the order of the calls, so that inputs always have smaller ids."""


class ChainingStrategy(enum.Enum):
    """Whether an operator may share a task with its neighbours."""

    ALWAYS = "ALWAYS"
    HEAD = "HEAD"
    """Begins a chain: it is never fused to what feeds it."""
    NEVER = "NEVER"


@final
class CustomPartitioner(msgspec.Struct, frozen=True, kw_only=True):
    """How records are dealt on a CUSTOM edge."""

    partition: Callable[[Any, int], int]
    """`(key, number of consumers)` to the consumer's index."""
    key_selector: Callable[[Any], Any]


@final
class StreamNode(msgspec.Struct, kw_only=True):
    """One operator, as the program describes it so far."""

    id: NodeId
    name: str
    factory: Callable[[], object]
    """Makes the operator, in the worker."""
    batch_factory: Callable[[], object] | None = None
    """Makes it where the program runs as a batch, if that differs."""
    batch_input: Callable[[], object] | None = None
    """Makes an operator that stands before it where the program runs as a batch, and sorts."""
    inputs: int = 1
    """How many input ports it has; 0 for a source."""
    description: str | None = None
    uid: str | None = None
    uid_hash: str | None = None
    parallelism: int = 1
    max_parallelism: int | None = None
    """None: the environment's, or derived from the parallelism."""
    parallelism_given: bool = False
    """Whether the program chose it for this very operator; otherwise it follows the environment's."""
    parallel: bool = True
    """False: its parallelism is 1 and may not be changed."""
    slot_sharing_group: str | None = None
    """None: that of its inputs where they agree."""
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    buffer_timeout_ms: int | None = None
    """None: the environment's."""
    output_type: Any = None
    keyed: bool = False
    key_type: Any = None
    coordinator: Callable[[], object] | None = None
    bounded: bool = True
    """For a source: whether it ends."""
    is_sink: bool = False
    glued_to: NodeId | None = None
    """Belongs to the node that feeds it: has its parallelism, and always shares its task (the key selector)."""

    @property
    def display_name(self) -> str:
        """As Flink shows it: sources and sinks say so."""
        if self.is_source:
            return f"Source: {self.name}"
        return f"Sink: {self.name}" if self.is_sink else self.name

    @property
    def is_source(self) -> bool:
        return self.inputs == 0


@final
class Tap(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream's records come from: a node's output and how they are to be dealt from there."""

    node: NodeId
    tag: str | None = None
    """The side output; None: the main output."""
    exchange: Exchange | None = None
    """None: forward where the parallelism is the same, else rebalance."""
    partitioner: CustomPartitioner | None = None


@final
class StreamEdge(msgspec.Struct, frozen=True, kw_only=True):
    """Records of one tap that feed one port of a node."""

    tap: Tap
    target: NodeId
    port: int


@final
class StreamGraph(msgspec.Struct):
    """All nodes and edges of a program."""

    nodes: dict[NodeId, StreamNode] = msgspec.field(default_factory=dict)
    edges: list[StreamEdge] = msgspec.field(default_factory=list)

    def add(self, *inputs: tuple[Tap, ...], **attributes: Any) -> StreamNode:
        """Add a node fed by one tuple of taps per port (several taps on one port are a union)."""
        node = StreamNode(id=NodeId(max(self.nodes, default=0) + 1), inputs=len(inputs), **attributes)
        self.nodes[node.id] = node
        for port, taps in enumerate(inputs):
            self.edges.extend(StreamEdge(tap=tap, target=node.id, port=port) for tap in taps)
        return node

    def inputs(self, node: NodeId) -> tuple[StreamEdge, ...]:
        return tuple(edge for edge in self.edges if edge.target == node)

    def upstream_of(self, nodes: Iterable[NodeId]) -> "StreamGraph":
        """The part of the graph that these nodes need: themselves and all that feeds them."""
        needed: set[NodeId] = set()
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if node not in needed:
                needed.add(node)
                pending.extend(edge.tap.node for edge in self.inputs(node))
        return StreamGraph(
            {id_: node for id_, node in sorted(self.nodes.items()) if id_ in needed},
            [edge for edge in self.edges if edge.target in needed],
        )
