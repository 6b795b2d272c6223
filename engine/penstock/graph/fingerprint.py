"""A program's fingerprint: equal for equal structure, whatever the code inside the functions.

A JobManager that runs the script again after a restart compares it before it touches the job's state. Parallelism is no
part of it, for it may change between two runs over the same state. Pure.
"""

import hashlib
from collections.abc import Mapping

from penstock.graph.stream_graph import NodeId, StreamGraph
from penstock.graph.uids import Identity


def fingerprint(graph: StreamGraph, known: Mapping[NodeId, Identity]) -> str:
    """32 hexadecimal digits over uids, names, types and edges."""
    lines = sorted(
        f"node {known[node.id].uid!r} {node.name!r} {node.inputs} {node.keyed} {node.key_type} {node.output_type}"
        for node in graph.nodes.values()
    ) + sorted(
        f"edge {known[edge.tap.node].uid!r} {edge.tap.tag!r} {edge.tap.exchange} {known[edge.target].uid!r} {edge.port}"
        for edge in graph.edges
    )
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
