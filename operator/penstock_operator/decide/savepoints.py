"""The list of savepoints that the operator had taken. Pure."""

import msgspec

from penstock_operator.decide.facts import Verified
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import OperationKind, SavepointRecord

_CAUSES = {OperationKind.SUSPEND: "suspend", OperationKind.DELETE: "delete"}


def record_of_stop(p: Pass, found: Verified) -> None:
    """What a job was stopped with is pinned: until somebody has gone on from it, it is all there is of the state."""
    cause = _CAUSES.get(p.operation.kind, "upgrade")
    add(p, SavepointRecord(found.path, p.now, cause, p.operation.from_revision, pinned=True, size=found.size))  # type: ignore[arg-type]
    p.put(state_exists=True)


def add(p: Pass, record: SavepointRecord) -> None:
    """Once for each path."""
    if all(known.path != record.path for known in p.status.savepoints):
        p.put(savepoints=(record, *p.status.savepoints))


def unpin(p: Pass) -> None:
    """All: a revision that went on from them is stable."""
    p.put(savepoints=tuple(msgspec.structs.replace(known, pinned=False) for known in p.status.savepoints))
