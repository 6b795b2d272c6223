"""Savepoints and checkpoints of a running job that no operation needs: by nonce, and periodic. Pure.

Each is written into the status as pending before the job is asked for it, and stays there until its outcome is seen. A
trigger that the JobManager has never heard of is sent again: under its id it is taken once.
"""

import msgspec

from penstock_operator.decide.acts import Act, TriggerCheckpoint, TriggerSavepoint
from penstock_operator.decide.facts import JobAnswer, StandbyState, TriggerState, Unknown
from penstock_operator.decide.naming import savepoint_folder
from penstock_operator.decide.policies import snapshot_s
from penstock_operator.decide.savepoints import add
from penstock_operator.decide.times import elapsed_s, read, written
from penstock_operator.decide.working import Pass
from penstock_operator.model.cron import read_cron
from penstock_operator.model.spec import FlinkJobSpec, Periodic
from penstock_operator.model.status import LifecycleState, PendingSnapshot, SavepointRecord, Step
from penstock_operator.model.values import duration_s

_NOBODY_TAKES_THEM = (
    LifecycleState.SUSPENDED,
    LifecycleState.FINISHED,
    LifecycleState.FAILED,
    LifecycleState.DELETING,
)
_NOTHING_IS_TO_RUN = (LifecycleState.SUSPENDED, LifecycleState.FINISHED, LifecycleState.DELETING)


def take_snapshots(p: Pass) -> None:
    """What is pending is followed, and what is due begun."""
    for pending in p.status.pending:
        _follow(p, pending)
    if p.policy is not None and runs(p) and not p.status.pending:
        _begin_what_is_due(p, p.policy)


def runs(p: Pass) -> bool:
    """Whether the job runs and may be asked for a snapshot."""
    operation = p.status.operation
    if not p.status.active_revision or p.status.lifecycle_state in _NOBODY_TAKES_THEM:
        return False
    if operation is not None and operation.step is not Step.SETTLING:
        return False
    answer = p.answer(p.status.active_revision)
    return isinstance(answer, JobAnswer) and answer.state is StandbyState.STARTED and answer.job_state == "RUNNING"


def nothing_runs(p: Pass) -> bool:
    """Nor will in a moment: nobody but the operator can remove anything from the store, and nobody minds if it does."""
    never_did = not p.status.active_revision and p.status.operation is None
    return not p.deployed and (never_did or p.status.lifecycle_state in _NOTHING_IS_TO_RUN)


def pend(p: Pass, spec: FlinkJobSpec, pending: PendingSnapshot) -> None:
    """Write it down, and ask for it."""
    p.put(pending=(*p.status.pending, pending))
    p.act(request(p, spec, pending))
    p.look_again(1.0)


def request(p: Pass, spec: FlinkJobSpec, pending: PendingSnapshot) -> Act:
    if pending.kind == "checkpoint":
        return TriggerCheckpoint(p.status.active_revision, pending.trigger_id)
    format = spec.snapshots.format
    if pending.snapshot:
        format = next((s.format for s in p.seen.snapshots if s.name == pending.snapshot), format)
    return TriggerSavepoint(p.status.active_revision, pending.trigger_id, pending.path, stop=False, format=format)


def drop(p: Pass, pending: PendingSnapshot) -> None:
    p.put(pending=tuple(known for known in p.status.pending if known.trigger_id != pending.trigger_id))


def outcome(p: Pass, pending: PendingSnapshot) -> tuple[TriggerState, str]:
    """What became of it so far, and its path or what went wrong. What takes too long, or nobody takes, has failed."""
    if p.status.lifecycle_state in _NOBODY_TAKES_THEM:
        return TriggerState.FAILED, "the job does not run any more"
    answer = p.trigger(p.status.active_revision, pending.trigger_id, pending.kind)
    late = elapsed_s(pending.triggered_at, p.now_ms) > snapshot_s(p.policy)
    if isinstance(answer, Unknown):
        return (TriggerState.FAILED, answer.reason) if late else (TriggerState.IN_PROGRESS, "")
    match answer.state:
        case TriggerState.COMPLETED if pending.kind == "savepoint":
            return _looked_at(p, answer.path)
        case TriggerState.COMPLETED:
            return answer.state, answer.path
        case TriggerState.FAILED:
            return answer.state, answer.failure
        case TriggerState.UNKNOWN | TriggerState.IN_PROGRESS:
            return (TriggerState.FAILED, "it took too long") if late else (answer.state, "")


def _looked_at(p: Pass, path: str) -> tuple[TriggerState, str]:
    """The JobManager's word is a reason to look: a savepoint that nobody could start from is none."""
    found = p.verified(path)
    if isinstance(found, Unknown):
        return TriggerState.IN_PROGRESS, ""
    return (TriggerState.COMPLETED, path) if found.sound else (TriggerState.FAILED, found.finding or "it is damaged")


def record_of(p: Pass, pending: PendingSnapshot, path: str) -> None:
    if pending.kind == "savepoint":
        found = p.verified(path)
        size = 0 if isinstance(found, Unknown) else found.size
        add(p, SavepointRecord(path, p.now, pending.cause, p.status.active_revision, size=size))
    p.say("Normal", f"{pending.kind.capitalize()}Completed", f"{pending.cause}: {path}")


def _follow(p: Pass, pending: PendingSnapshot) -> None:
    if pending.cause == "snapshot":
        return  # Its object says what is to be done about it.
    state, text = outcome(p, pending)
    match state:
        case TriggerState.COMPLETED:
            record_of(p, pending, text)
            drop(p, pending)
        case TriggerState.FAILED:
            p.say("Warning", f"{pending.kind.capitalize()}Failed", f"{pending.cause}: {text}")
            drop(p, pending)
        case TriggerState.UNKNOWN if p.policy is not None and runs(p):
            p.act(request(p, p.policy, pending))
            p.look_again(1.0)
        case TriggerState.UNKNOWN | TriggerState.IN_PROGRESS:
            p.look_again(1.0)


def _begin_what_is_due(p: Pass, spec: FlinkJobSpec) -> None:
    nonces = p.status.nonces
    if spec.savepoint_nonce is not None and spec.savepoint_nonce != nonces.savepoint:
        p.put(nonces=msgspec.structs.replace(nonces, savepoint=spec.savepoint_nonce))
        _begin(p, spec, "manual-savepoint")
    elif spec.checkpoint_nonce is not None and spec.checkpoint_nonce != nonces.checkpoint:
        p.put(nonces=msgspec.structs.replace(nonces, checkpoint=spec.checkpoint_nonce))
        _begin(p, spec, "manual-checkpoint")
    elif spec.snapshots.periodic is not None:
        _periodic(p, spec, spec.snapshots.periodic)


def _periodic(p: Pass, spec: FlinkJobSpec, periodic: Periodic) -> None:
    last_ms = read(p.status.last_periodic_at)
    if last_ms is None or last_ms > p.now_ms + 1_000:
        p.put(last_periodic_at=p.now)
        last_ms = p.now_ms
    if periodic.cron is not None:
        due_s = read_cron(periodic.cron).next_after(last_ms / 1_000)
    else:
        due_s = last_ms / 1_000 + duration_s(periodic.interval or "10 years")
    if due_s is None:
        return
    if due_s * 1_000 > p.now_ms:
        p.look_again(max(1.0, due_s - p.now_ms / 1_000))
        return
    p.put(last_periodic_at=written(p.now_ms))
    _begin(p, spec, f"periodic-{periodic.type.lower()}")


def _begin(p: Pass, spec: FlinkJobSpec, what: str) -> None:
    cause, _, kind = what.partition("-")
    trigger_id = p.fresh_id(what)
    root = spec.checkpoints.savepoint_root
    if kind == "savepoint" and root is None:
        p.say("Warning", "SavepointFailed", "spec.checkpoints.savepointDir is not set: there is no place for it")
        return
    pend(
        p,
        spec,
        PendingSnapshot(
            trigger_id,
            "savepoint" if kind == "savepoint" else "checkpoint",
            "periodic" if cause == "periodic" else "manual",
            p.now,
            savepoint_folder(root, p.job, trigger_id) if root is not None and kind == "savepoint" else "",
            nonce=spec.savepoint_nonce if cause == "manual" and kind == "savepoint" else None,
        ),
    )
