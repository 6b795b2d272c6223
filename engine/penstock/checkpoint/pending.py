"""The life of one checkpoint that is under way, without clocks, sockets or storage.

    PREPARING  enumerators give their state
    GATHERING  barriers are on their way, tasks acknowledge
    WRITING    everything is there; `_metadata` is being written
    JOURNALING the entry that makes it exist is being appended: from here on it cannot be called back

The coordinator owns it and decides when a phase begins; this keeps what was gathered and refuses what does not fit.
"""

import enum
from collections.abc import Mapping
from typing import final

import msgspec

from penstock.base.ids import CheckpointId, OperatorUid, SubtaskId
from penstock.checkpoint.handles import TaskSnapshot
from penstock.checkpoint.layout import provenance_of
from penstock.checkpoint.plan import Plan
from penstock.checkpoint.protocol import SavepointOrder


class Phase(enum.Enum):
    PREPARING = "PREPARING"
    GATHERING = "GATHERING"
    WRITING = "WRITING"
    JOURNALING = "JOURNALING"


@final
class Pending(msgspec.Struct):
    """One checkpoint under way."""

    checkpoint: CheckpointId
    plan: Plan
    base: CheckpointId | None
    """The completed checkpoint that incremental snapshots of this one may build on: its files stay meanwhile."""

    expires_at: float
    order: SavepointOrder | None = None
    """Not None: it is a savepoint, whose files are nobody else's."""
    anew: bool = False
    """It refers to no file of earlier ones."""
    phase: Phase = Phase.PREPARING
    snapshots: dict[SubtaskId, TaskSnapshot] = msgspec.field(default_factory=dict)
    coordinators: Mapping[OperatorUid, bytes] = msgspec.field(default_factory=dict)

    @property
    def awaiting(self) -> frozenset[SubtaskId]:
        """Tasks that have not acknowledged yet."""
        return self.plan.running - self.snapshots.keys()

    @property
    def can_be_aborted(self) -> bool:
        return self.phase is not Phase.JOURNALING

    def prepared(self, coordinators: Mapping[OperatorUid, bytes]) -> bool:
        """Whether this was awaited: barriers may start now."""
        if self.phase is not Phase.PREPARING:
            return False
        self.coordinators = coordinators
        self.phase = Phase.GATHERING
        return True

    def acknowledged(self, snapshot: TaskSnapshot) -> bool:
        """Whether it was the last one. A repeated message changes nothing; the first one counted."""
        if self.phase is not Phase.GATHERING or snapshot.subtask not in self.awaiting:
            return False
        self.snapshots[snapshot.subtask] = snapshot
        if len(self.snapshots) < len(self.plan.running):
            return False
        self.phase = Phase.WRITING
        return True

    def written(self) -> bool:
        """Whether `_metadata` was awaited."""
        if self.phase is not Phase.WRITING:
            return False
        self.phase = Phase.JOURNALING
        return True

    def referred(self) -> frozenset[str]:
        """Paths of all files in the job's folder that acknowledgements refer to."""
        if self.order is not None:
            return frozenset()
        return frozenset(path for s in self.snapshots.values() for path in paths_of(s))

    def uploads(self) -> frozenset[str]:
        """Paths of files that were made for this checkpoint, as far as acknowledged."""
        return frozenset(path for s in self.snapshots.values() for path in uploads_for(self.checkpoint, s))

    def shared(self) -> frozenset[str]:
        """Paths of shared files that it would refer to when completed."""
        own = (f for s in self.snapshots.values() for f in s.files() if f.shared)
        return frozenset(f.file.path for f in own if f.file.inline is None and f.file.root is None)


def paths_of(snapshot: TaskSnapshot) -> frozenset[str]:
    """Files in the job's own folder that a task's part refers to."""
    own = (f.file for f in snapshot.files() if f.file.inline is None and f.file.root is None)
    return frozenset(file.path for file in own)


def uploads_for(checkpoint: CheckpointId, snapshot: TaskSnapshot) -> frozenset[str]:
    """Those of them that were uploaded for this checkpoint: no other one refers to them while it is not complete."""

    def is_new(path: str) -> bool:
        provenance = provenance_of(path)
        return provenance is not None and provenance.checkpoint == checkpoint

    return frozenset(filter(is_new, paths_of(snapshot)))
