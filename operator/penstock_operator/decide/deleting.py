"""The end of a FlinkJob, as its deletionPolicy says, within a deadline; the finalizer goes whatever happens. Pure."""

from typing import Final

import msgspec

from penstock_operator.decide.acts import Purge, Remove, SetFinalizer
from penstock_operator.decide.facts import StoreFacts
from penstock_operator.decide.policies import deletion_s
from penstock_operator.decide.preparing import ask_for_savepoint
from penstock_operator.decide.snapshot_objects import let_go
from penstock_operator.decide.stopping import savepoint, stop, verify
from penstock_operator.decide.times import elapsed_s
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import LifecycleState, Operation, OperationKind, SavepointRecord, Step

_STEPS_MAX = 6


def delete(p: Pass) -> None:
    """As far as it can be brought in this pass."""
    if not p.job.finalizer:
        return  # Not ours to hold back any more.
    operation = p.status.operation
    if operation is None or operation.kind is not OperationKind.DELETE:
        _begin(p, operation)
    if elapsed_s(p.operation.started_at, p.now_ms) > deletion_s(p.policy):
        _let_go(p)
        return
    for _ in range(_STEPS_MAX):
        if p.operation.kind is not OperationKind.DELETE or not _carry_on(p):
            return


_POLICIES: Final = {
    "Savepoint": "the job stops with a savepoint, and all that it has in its store is left",
    "Retain": "the job stops, and all that it has in its store is left",
    "Delete": "the job stops, and all that it has in its store is removed",
}


def _begin(p: Pass, under_way: Operation | None) -> None:
    policy = "Savepoint" if p.policy is None else p.policy.deletion_policy
    idle = p.status.lifecycle_state in (LifecycleState.SUSPENDED, LifecycleState.FINISHED)
    ruling = p.status.active_revision
    p.say("Normal", "Deleting", f"deletionPolicy is {policy}: {_POLICIES[policy]}")
    p.put(lifecycle_state=LifecycleState.DELETING)
    if policy == "Savepoint" and under_way is not None and under_way.step in (Step.SAVEPOINTING, Step.VERIFYING):
        # The savepoint that was asked for serves as well.
        p.put(operation=msgspec.structs.replace(under_way, kind=OperationKind.DELETE, started_at=p.now))
        return
    p.begin(OperationKind.DELETE, Step.STOPPING, from_revision=ruling)
    starting = under_way is not None and under_way.step in (Step.STOPPING, Step.STARTING)
    if policy == "Savepoint" and ruling in p.deployed and not idle and not starting:
        ask_for_savepoint(p, p.policy)


def _carry_on(p: Pass) -> bool:
    match p.operation.step:
        case Step.SAVEPOINTING:
            return savepoint(p)
        case Step.VERIFYING:
            return verify(p)
        case Step.PREPARING | Step.STARTING | Step.SETTLING:
            p.go_to(Step.STOPPING)
            return True
        case Step.STOPPING:
            return _stopped(p)
        case Step.CLEANING:
            return _clean(p)


def _stopped(p: Pass) -> bool:
    if not stop(p):
        return False
    if p.policy is not None and p.policy.deletion_policy == "Delete":
        p.go_to(Step.CLEANING)
        return True
    if not _snapshots_are_gone(p):
        return False
    p.say("Normal", "Deleted", "nothing runs any more; what the job has in its store is left")
    p.act(SetFinalizer(False))
    p.look_again(1.0)
    return False


def _snapshots_are_gone(p: Pass) -> bool:
    """Those that are to be deleted as well: afterwards nobody knows where their data lie."""
    held = [snapshot for snapshot in p.seen.snapshots if snapshot.deleting and snapshot.finalizer]
    for snapshot in held:
        let_go(p, snapshot)
    if held:
        p.wait("the data of snapshots that are to be deleted")
    return not held


def _clean(p: Pass) -> bool:
    if not _snapshots_are_gone(p):
        return False
    store = p.store()
    if isinstance(store, StoreFacts) and not store.exists:
        p.say("Normal", "Deleted", "nothing runs any more, and nothing of the job is left in its store")
        p.act(SetFinalizer(False))
    else:
        p.act(Purge(tuple(record.path for record in p.status.savepoints if not _stays(p, record))))
        p.wait("the store to be cleaned")
    p.look_again(1.0)
    return False


def _stays(p: Pass, record: SavepointRecord) -> bool:
    """What a FlinkStateSnapshot stands for goes with that object, and what is pinned not at all."""
    return record.cause == "snapshot" or (p.policy is not None and p.policy.checkpoints.retention.pins(record.path))


def _let_go(p: Pass) -> None:
    """The deadline has passed: what still runs is removed with its owner, what is in the store is left."""
    p.say("Warning", "DeletionDeadline", "the deadline has passed; what could not be cleaned up is left")
    p.act(SetFinalizer(False), *(Remove(name) for name in p.deployed))
    p.look_again(5.0)
