"""Operator uids that follow from the graph, as Flink generates them, so that state is found again after a restart.

A generated uid depends on what feeds the operator and on its place among its siblings: not on names, code, parallelism,
chaining, or on operators elsewhere in the graph. Pure.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.base.ids import OperatorUid
from penstock.graph.stream_graph import NodeId, StreamEdge, StreamGraph, StreamNode

_HASH = re.compile(r"[0-9a-f]{32}")


@final
class Identity(msgspec.Struct, frozen=True):
    """How an operator is known."""

    uid: OperatorUid
    given: bool
    """Whether the user chose the uid."""
    hash: str
    """32 hexadecimal digits that follow from the uid; the vertex is called by its head's."""


def identities(graph: StreamGraph, *, generate: bool) -> Mapping[NodeId, Identity]:
    """The identity of every node. `generate` False: an operator without a uid is refused."""
    found: dict[NodeId, Identity] = {}
    owners: dict[str, StreamNode] = {}
    siblings: Counter[str] = Counter()
    for node in graph.nodes.values():
        identity = _given(node)
        if identity is None:
            if not generate and node.glued_to is None:
                raise JobDefinitionError(
                    f"operator '{node.name}' has no uid, and automatic uids are off (pipeline.auto-generate-uids): "
                    "call .uid(...) on it"
                )
            identity = _generated(graph.inputs(node.id), found, siblings)
        owner = owners.setdefault(identity.uid, node)
        if owner is not node:
            raise JobDefinitionError(
                f"the uid '{identity.uid}' is given twice, to '{owner.name}' and to '{node.name}': "
                "each operator needs a uid of its own"
            )
        found[node.id] = identity
    return found


def uid_hash(uid: str) -> str:
    """What follows from a uid that the user gave: the id of the vertex that it heads, and what `set_uid_hash` takes."""
    return _digest("uid", uid)


def check_uid_hash(uid_hash: str) -> None:
    """Refuse what Flink could not use as a vertex id."""
    if not _HASH.fullmatch(uid_hash):
        raise JobDefinitionError(
            f"a uid hash is 32 hexadecimal digits (0-9, a-f), as seen in a job's vertex ids; found {uid_hash!r}"
        )


def _given(node: StreamNode) -> Identity | None:
    if node.uid_hash is not None:
        return Identity(OperatorUid(node.uid_hash), True, node.uid_hash)
    if node.uid is not None:
        return Identity(OperatorUid(node.uid), True, uid_hash(node.uid))
    return None


def _generated(inputs: tuple[StreamEdge, ...], found: Mapping[NodeId, Identity], siblings: Counter[str]) -> Identity:
    fed_by = [f"{edge.port} {edge.tap.tag!r} {found[edge.tap.node].hash}" for edge in inputs]
    place = _digest("inputs", *fed_by)
    digest = _digest("place", place, str(siblings[place]))
    siblings[place] += 1
    return Identity(OperatorUid(digest), False, digest)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
