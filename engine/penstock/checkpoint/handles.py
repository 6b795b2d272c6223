"""What tasks and source enumerators hand over when they have taken part in a checkpoint.

Made by workers, carried by RPC in acknowledgements, gathered by the coordinator and written into `_metadata`.
The handles of state itself come from the state layer and are re-exported here. Values only; nothing here does I/O.
"""

from collections.abc import Iterator
from typing import Any, final

import msgspec

from penstock.base.ids import OperatorUid, SubtaskId
from penstock.state.handles import (
    FileHandle,
    KeyedHandle,
    KeyGroups,
    ListMode,
    OperatorListHandle,
    OperatorStateHandle,
    StateFile,
    StateInfo,
    files_of,
)

__all__ = [
    "CoordinatorSnapshot",
    "FileHandle",
    "KeyGroups",
    "KeyedHandle",
    "ListMode",
    "OperatorListHandle",
    "OperatorSnapshot",
    "OperatorStateHandle",
    "SnapshotStats",
    "StateFile",
    "StateInfo",
    "TaskSnapshot",
    "files_of",
]


@final
class OperatorSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One subtask of one operator, at one checkpoint."""

    uid: OperatorUid
    subtask: int
    parallelism: int
    max_parallelism: int
    keyed: tuple[KeyedHandle, ...] = ()
    """One after an ordinary snapshot; several where a backend has not yet merged what rescaling gave it."""

    operator: OperatorStateHandle | None = None
    """Operator list and broadcast state; splits of a source reader and pending commits of a sink included."""

    states: tuple[StateInfo, ...] = ()
    """Every state this subtask has registered, keyed and operator."""

    key_type: dict[str, Any] | None = None
    """Snapshot of the key's serialiser; None while no key was seen and none declared."""

    name: str = ""
    """What people call the operator, for errors and reports."""


@final
class SnapshotStats(msgspec.Struct, frozen=True, omit_defaults=True):
    """What taking part cost one task. Flink's names."""

    state_bytes: int = 0
    """Size of everything the handles refer to."""

    checkpointed_bytes: int = 0
    """What was written for this checkpoint alone: less than the above when it is incremental."""

    alignment_ms: int = 0
    start_delay_ms: int = 0
    sync_ms: int = 0
    async_ms: int = 0
    processed_bytes: int = 0
    """In-flight data taken from inputs while aligning."""

    persisted_bytes: int = 0
    """In-flight data stored with the checkpoint; zero when aligned."""

    unaligned: bool = False


@final
class TaskSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task's part of a checkpoint: all operators of its chain."""

    subtask: SubtaskId
    attempt: int
    operators: tuple[OperatorSnapshot, ...]
    finished: bool = False
    """It was restored as a task that had ended before: it has no state, and its operators were never opened."""

    data_ended: bool = False
    """All its data had come before the barrier: it ends with this checkpoint, or with a later one."""

    stats: SnapshotStats = SnapshotStats()

    def files(self) -> Iterator[StateFile]:
        for operator in self.operators:
            yield from files_of(operator.keyed, operator.operator)


@final
class CoordinatorSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """State of what runs beside the tasks in the JobManager, such as a source's enumerator."""

    uid: OperatorUid
    data: bytes
