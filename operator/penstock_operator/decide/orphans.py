"""What becomes of a FlinkStateSnapshot whose FlinkJob does not exist: nobody else decides about it. Pure.

Its data are left: where they lie and how to get there stood in the FlinkJob. One that is created again under that name
finds the snapshots, and disposes of what they stand for as ever.
"""

from penstock_operator.decide.acts import SetSnapshotFinalizer, WriteSnapshotStatus
from penstock_operator.decide.facts import SnapshotObject
from penstock_operator.model.snapshot_status import SnapshotPhase


def orphaned(snapshot: SnapshotObject, job: str) -> tuple[WriteSnapshotStatus | SetSnapshotFinalizer, ...]:
    """`job`: the name of the one that is not there."""
    if snapshot.deleting:
        return (SetSnapshotFinalizer(snapshot.name, False),) if snapshot.finalizer else ()
    if snapshot.phase == SnapshotPhase.IN_PROGRESS:
        return (_status(snapshot, SnapshotPhase.ABANDONED, f"FlinkJob {job} was deleted before it was taken"),)
    if not snapshot.phase:
        return (_status(snapshot, SnapshotPhase.PENDING, f"waits for FlinkJob {job}, which does not exist"),)
    return ()


def _status(snapshot: SnapshotObject, phase: SnapshotPhase, message: str) -> WriteSnapshotStatus:
    return WriteSnapshotStatus(
        snapshot.name, snapshot.generation, phase, snapshot.trigger_id, snapshot.path, snapshot.attempts, message
    )
