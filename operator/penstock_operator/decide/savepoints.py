"""The list of savepoints that the operator had taken. Pure."""

from typing import Final, Literal

import msgspec

from penstock_operator.decide.facts import Verified
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import LifecycleState, OperationKind, SavepointRecord

_Cause = Literal["upgrade", "suspend", "delete"]
_CAUSES: Final[dict[OperationKind, _Cause]] = {OperationKind.SUSPEND: "suspend", OperationKind.DELETE: "delete"}
_STOPS: Final = ("upgrade", "suspend", "delete")


def record_of_stop(p: Pass, found: Verified) -> None:
    """What a job was stopped with is pinned: until somebody has gone on from it, it is all there is of the state."""
    cause = _CAUSES.get(p.operation.kind, "upgrade")
    add(p, SavepointRecord(found.path, p.now, cause, p.operation.from_revision, pinned=True, size=found.size))
    p.put(state_exists=True)


def add(p: Pass, record: SavepointRecord) -> None:
    """Once for each path, the newest first.

    What a revision was stopped with is the newest of its savepoints, whenever the others are heard of."""
    known = p.status.savepoints
    if any(one.path == record.path for one in known):
        return
    ahead = tuple(one for one in known[:1] if one.revision == record.revision and one.cause in _STOPS)
    p.put(savepoints=(*ahead, record, *known[len(ahead) :]))


def unpin(p: Pass) -> None:
    """All: a revision that went on from them is stable."""
    p.put(savepoints=tuple(msgspec.structs.replace(known, pinned=False) for known in p.status.savepoints))


def in_use(p: Pass, path: str) -> bool:
    """Whether somebody may still go on from it."""
    if any(record.path == path and record.pinned for record in p.status.savepoints):
        return True
    operation, status = p.status.operation, p.status
    if operation is not None:
        origin = operation.origin.path if operation.origin is not None else None
        below = operation.savepoint_dir and path.startswith(operation.savepoint_dir)
        if below or path in (origin, operation.previous_path):
            return True
    newest = status.savepoints[0].path if status.savepoints else ""
    if status.lifecycle_state in (LifecycleState.SUSPENDED, LifecycleState.FAILED) and path == newest:
        return True
    active = next((known for known in status.revisions if known.name == status.active_revision), None)
    began_here = active is not None and active.origin is not None and active.origin.path == path
    return began_here and status.checkpoints.count == 0
