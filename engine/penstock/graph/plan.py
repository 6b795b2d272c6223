"""A program's plan as JSON, in the shape that Flink's `get_execution_plan` gives and its visualizer reads. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from penstock.graph.resolve import GraphSettings, ResolvedEdge, ResolvedNode, resolve
from penstock.graph.stream_graph import StreamGraph


def execution_plan(graph: StreamGraph, settings: GraphSettings) -> str:
    """The nodes of a program, each with what feeds it and how."""
    resolved = resolve(graph, settings)
    nodes = [
        _node(node, [edge for edge in resolved.edges if edge.target == id_]) for id_, node in resolved.nodes.items()
    ]
    return json.dumps({"nodes": nodes}, indent=2)


def _node(resolved: ResolvedNode, inputs: Sequence[ResolvedEdge]) -> dict[str, Any]:
    node = resolved.node
    plan: dict[str, Any] = {
        "id": node.id,
        "type": node.display_name,
        "pact": "Data Source" if node.is_source else "Data Sink" if node.is_sink else "Operator",
        "contents": node.description or node.display_name,
        "parallelism": resolved.parallelism,
    }
    if inputs:
        plan["predecessors"] = [
            {"id": edge.source, "ship_strategy": edge.exchange.value, "side": "second" if edge.port else "first"}
            for edge in inputs
        ]
    return plan
