"""FlinkStateSnapshots of the job: Pending, InProgress, then Completed, Failed or Abandoned; what goes with them. Pure.

While one is in progress it also stands in the job's status as pending, and stays there until its own status is seen to
say how it ended; so either of the two can be made good from the other.
"""

from dataclasses import replace
from typing import Final

from penstock_operator.decide.acts import Dispose, SetSnapshotFinalizer, WriteSnapshotStatus
from penstock_operator.decide.facts import JobAnswer, SnapshotObject, TriggerState, Unknown
from penstock_operator.decide.naming import savepoint_folder
from penstock_operator.decide.savepoints import in_use
from penstock_operator.decide.snapshots import drop, nothing_runs, outcome, pend, record_of, request, runs
from penstock_operator.decide.working import Pass
from penstock_operator.model.snapshot_status import SnapshotPhase
from penstock_operator.model.status import LifecycleState, PendingSnapshot
from penstock_operator.model.values import same_place

_ENDED: Final = (SnapshotPhase.COMPLETED, SnapshotPhase.FAILED, SnapshotPhase.ABANDONED)


def attend_to_snapshots(p: Pass) -> None:
    """All of them; and pending ones whose object is gone are forgotten."""
    for snapshot in p.seen.snapshots:
        _attend(p, snapshot)
    names = {snapshot.name for snapshot in p.seen.snapshots}
    for pending in p.status.pending:
        if pending.cause == "snapshot" and pending.snapshot not in names:
            drop(p, pending)


def dispose_of(p: Pass, path: str) -> bool:
    """Whether what lies there is gone; otherwise it is asked for, of the JobManager while one lives."""
    found = p.verified(path)
    if isinstance(found, Unknown):
        p.look_again(10.0)
        return False
    if not found.path:
        return True
    active = p.status.active_revision
    if nothing_runs(p):
        p.act(Dispose((path,), ""))
        p.look_again(1.0)
        return False
    if active in p.deployed and isinstance(p.answer(active), JobAnswer):
        p.act(Dispose((path,), active))
    p.look_again(5.0)
    return False


def let_go(p: Pass, snapshot: SnapshotObject) -> None:
    """It is to be deleted. What it stands for goes first, if that was asked for and nobody needs it."""
    pending = next((known for known in p.status.pending if known.snapshot == snapshot.name), None)
    if pending is not None:
        state, path = outcome(p, pending)
        if state in (TriggerState.UNKNOWN, TriggerState.IN_PROGRESS):
            p.look_again(1.0)
            return
        if state is TriggerState.COMPLETED:
            snapshot = replace(snapshot, path=path)
        drop(p, pending)
    if snapshot.finalizer and snapshot.dispose_on_delete and snapshot.path and not _is_left(p, snapshot):
        if in_use(p, snapshot.path):
            p.look_again(10.0)
            return
        if not dispose_of(p, snapshot.path):
            return
    p.put(savepoints=tuple(known for known in p.status.savepoints if known.path != snapshot.path))
    if snapshot.finalizer:
        p.act(SetSnapshotFinalizer(snapshot.name, False))


def _is_left(p: Pass, snapshot: SnapshotObject) -> bool:
    """Whether it is pinned, or another object stands for it too; or a checkpoint that the job would go on from, or that
    nobody can remove now: it goes as others do."""
    if p.policy is not None and p.policy.checkpoints.retention.pins(snapshot.path):
        return True
    if any(_stands_for(other, snapshot.path) for other in p.seen.snapshots if other.name != snapshot.name):
        return True
    if snapshot.kind == "savepoint":
        return False
    if p.deployed:
        answer = p.answer(p.status.active_revision)
        newest = answer.checkpoint_path if isinstance(answer, JobAnswer) else ""
        left = p.status.lifecycle_state in (LifecycleState.FINISHED, LifecycleState.FAILED)
    else:
        store = p.store()
        newest = "" if isinstance(store, Unknown) else store.newest_path or ""
        left = False
    return left or _name(newest) == _name(snapshot.path)


def _stands_for(snapshot: SnapshotObject, path: str) -> bool:
    """Whether that is to stay for it."""
    its = snapshot.path or (snapshot.directory if snapshot.already_exists else "")
    return bool(its) and not snapshot.deleting and same_place(its, path)


def _name(path: str) -> list[str]:
    """Job and checkpoint: the same however the folder above is written."""
    return path.rstrip("/").rsplit("/", 2)[-2:]


def _attend(p: Pass, snapshot: SnapshotObject) -> None:
    pending = next((known for known in p.status.pending if known.snapshot == snapshot.name), None)
    if snapshot.deleting:
        let_go(p, snapshot)
    elif snapshot.phase in _ENDED:
        if pending is not None:
            if snapshot.phase == SnapshotPhase.COMPLETED:
                record_of(p, pending, snapshot.path)
            drop(p, pending)
        if snapshot.phase == SnapshotPhase.COMPLETED:
            _hold(p, snapshot)
    elif snapshot.already_exists:
        _look_for(p, snapshot)
    elif pending is not None:
        _follow(p, snapshot, pending)
    elif runs(p):
        _begin(p, snapshot)
    elif snapshot.phase == SnapshotPhase.IN_PROGRESS:
        _write(p, snapshot, SnapshotPhase.ABANDONED, "", "the job does not run any more")
    elif not snapshot.phase:
        _write(p, snapshot, SnapshotPhase.PENDING, "", "waits for the job to run")


def _begin(p: Pass, snapshot: SnapshotObject) -> None:
    spec = p.policy
    if spec is None:
        return
    root = spec.checkpoints.savepoint_root
    savepoint = snapshot.kind == "savepoint"
    if savepoint and root is None and not snapshot.directory:
        sentence = "spec.checkpoints.savepointDir of the job is not set: there is no place for it"
        _write(p, snapshot, SnapshotPhase.FAILED, "", sentence)
        return
    _hold(p, snapshot)
    trigger_id = snapshot.trigger_id or p.fresh_id(f"snapshot/{snapshot.uid}")
    folder = savepoint_folder(snapshot.directory or root or "", p.job, trigger_id) if savepoint else ""
    pend(
        p,
        spec,
        PendingSnapshot(
            trigger_id, "savepoint" if savepoint else "checkpoint", "snapshot", p.now, folder, snapshot=snapshot.name
        ),
    )
    _write(p, replace(snapshot, trigger_id=trigger_id), SnapshotPhase.IN_PROGRESS, "", "")


def _hold(p: Pass, snapshot: SnapshotObject) -> None:
    """It does not go before its data."""
    if snapshot.dispose_on_delete and not snapshot.finalizer:
        p.act(SetSnapshotFinalizer(snapshot.name, True))


def _follow(p: Pass, snapshot: SnapshotObject, pending: PendingSnapshot) -> None:
    snapshot = replace(snapshot, trigger_id=pending.trigger_id)
    state, text = outcome(p, pending)
    match state:
        case TriggerState.COMPLETED:
            _write(p, snapshot, SnapshotPhase.COMPLETED, text, "")
        case TriggerState.FAILED if snapshot.attempts < snapshot.backoff_limit and runs(p):
            drop(p, pending)
            _begin(p, replace(snapshot, trigger_id="", attempts=snapshot.attempts + 1))
        case TriggerState.FAILED:
            phase = SnapshotPhase.FAILED if runs(p) else SnapshotPhase.ABANDONED
            _write(p, snapshot, phase, "", text)
        case TriggerState.UNKNOWN if p.policy is not None and runs(p):
            p.act(request(p, p.policy, pending))
        case TriggerState.UNKNOWN | TriggerState.IN_PROGRESS:
            if snapshot.phase != SnapshotPhase.IN_PROGRESS:
                _write(p, snapshot, SnapshotPhase.IN_PROGRESS, "", "")
    p.look_again(1.0)


def _look_for(p: Pass, snapshot: SnapshotObject) -> None:
    """One that was there before its object."""
    found = p.verified(snapshot.directory)
    if isinstance(found, Unknown):
        p.look_again(5.0)
    elif found.sound:
        _hold(p, snapshot)
        _write(p, snapshot, SnapshotPhase.COMPLETED, found.path, "")
    else:
        _write(p, snapshot, SnapshotPhase.FAILED, "", found.finding or f"there is no savepoint in {snapshot.directory}")


def _write(p: Pass, snapshot: SnapshotObject, phase: str, path: str, message: str) -> None:
    p.act(
        WriteSnapshotStatus(
            snapshot.name, snapshot.generation, phase, snapshot.trigger_id, path, snapshot.attempts, message
        )
    )
    p.look_again(1.0)
