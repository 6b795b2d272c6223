"""The job graph: what a program is once its operators are fused into chains.

Made by `penstock.graph.chaining` from the stream graph, in the process that runs the user's script; travels as one
blob; read by the JobManager (structure only: no user code is loaded for it) and by workers. Never does I/O.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, final

import msgspec

from penstock.base.ids import OperatorUid, VertexId

PYTHON_FOLDER: Final = "python"
"""Below the job's folder: what workers put on their import path, together with each zip file in it."""


class Exchange(enum.Enum):
    """How records of an edge are dealt to the consumer's subtasks."""

    FORWARD = "FORWARD"
    HASH = "HASH"
    REBALANCE = "REBALANCE"
    RESCALE = "RESCALE"
    SHUFFLE = "SHUFFLE"
    BROADCAST = "BROADCAST"
    GLOBAL = "GLOBAL"
    CUSTOM = "CUSTOM"

    @property
    def is_pointwise(self) -> bool:
        """Whether a consumer subtask reads from some producers only, so that a failure may stay local."""
        return self in (Exchange.FORWARD, Exchange.RESCALE)


@final
class ChainedOperator(msgspec.Struct, frozen=True, kw_only=True):
    """One operator inside a chain."""

    uid: OperatorUid
    """What its state is found by: the user's uid, or one that follows from the graph."""
    uid_given: bool
    """Whether the user chose the uid."""
    name: str
    factory: bytes
    """A cloudpickled `Callable[[], Operator]`."""
    parent: int | None
    """Index in the chain of the operator that feeds it; None for the head, which is fed by the vertex's edges."""
    tag: str | None
    """The side output of the parent that it reads; None: the main output."""
    keyed: bool
    """Whether its input is keyed, so that it may use keyed state and timers."""
    key_type: Any
    """The declared TypeInformation of its keys, or None: fixed by the first key."""
    coordinator: bytes | None
    """A cloudpickled `Callable[[], OperatorCoordinator]` that the JobManager runs (split enumerator, collect sink)."""
    bounded: bool
    """For a source: whether it ends."""


@final
class JobEdge(msgspec.Struct, frozen=True, kw_only=True):
    """Records that cross from one vertex to another."""

    id: int
    source: VertexId
    source_operator: int
    """Index in the source's chain of the operator that emits them."""
    tag: str | None
    target: VertexId
    port: int
    """The input of the target's head operator: 0, or 1 on the second input of a connect."""
    exchange: Exchange
    partitioner: bytes | None
    """For CUSTOM: a cloudpickled `(partition(key, n), key selector)`."""
    buffer_timeout_ms: int
    left_open: bool = False
    """The program did not choose the exchange: it is FORWARD between equal parallelism, else REBALANCE."""


@final
class JobVertex(msgspec.Struct, frozen=True, kw_only=True):
    """A fused chain of operators with one parallelism; one subtask of it is one task."""

    id: VertexId
    name: str
    chain: tuple[ChainedOperator, ...]
    """In topological order; the head is first."""
    parallelism: int
    max_parallelism: int
    slot_sharing_group: str
    max_parallelism_given: bool = False
    """Whether the user chose it. One that nobody chose gives way to that of restored state."""
    parallelism_given: bool = False
    """Whether the program chose it for an operator of the chain, rather than for all."""
    parallel: bool = True
    """False: an operator of the chain runs in one subtask only, whatever anybody asks."""


@final
class JobGraph(msgspec.Struct, frozen=True, kw_only=True):
    """A whole job."""

    name: str
    vertices: tuple[JobVertex, ...]
    """In topological order."""
    edges: tuple[JobEdge, ...]
    configuration: Mapping[str, str]
    """The job's own settings: what the program and its command line set, over the cluster's."""
    prelude: bytes
    """Cloudpickled mapping of the script's own classes, installed under `__main__` in every worker."""
    files: tuple[tuple[str, bytes], ...]
    """Python files and archives that travel with the job: (name below the job's folder, content)."""
    python_path: tuple[str, ...]
    """Entries that the script's process had in front of sys.path; used where they exist."""
    fingerprint: str
    """Equal for equal structure: uids, names, types and edges, not pickled bytes."""

    def vertex(self, vertex: VertexId) -> JobVertex:
        return next(v for v in self.vertices if v.id == vertex)

    def inputs(self, vertex: VertexId) -> tuple[JobEdge, ...]:
        return tuple(e for e in self.edges if e.target == vertex)

    def outputs(self, vertex: VertexId) -> tuple[JobEdge, ...]:
        return tuple(e for e in self.edges if e.source == vertex)
