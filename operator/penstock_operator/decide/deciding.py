"""What to do next about one FlinkJob: the one decision that both worlds carry out. Pure.

`decide` is called once in each pass, with all that was seen, and again at once when it asks for more. What a pass
decides is written to the status before it is done; so each procedure begins by looking whether what it announced was
done, and does it (again) where it was not. That makes the death of the operator between any two lines a matter of the
next pass.
"""

from typing import Final

import msgspec

from penstock_operator.decide.acts import Decision, SetFinalizer
from penstock_operator.decide.conditions import set_conditions
from penstock_operator.decide.deleting import delete
from penstock_operator.decide.facts import JobAnswer, Observed, StandbyState, Unknown
from penstock_operator.decide.planning import keep_in_place, plan, redeploy
from penstock_operator.decide.preparing import prepare
from penstock_operator.decide.refreshing import take_over, worth_writing
from penstock_operator.decide.retention import retain
from penstock_operator.decide.scaling import scale
from penstock_operator.decide.snapshot_objects import attend_to_snapshots
from penstock_operator.decide.snapshots import take_snapshots
from penstock_operator.decide.starting import settle, start
from penstock_operator.decide.stopping import savepoint, stop, verify
from penstock_operator.decide.suspending import suspend
from penstock_operator.decide.telling import tell_what_happened
from penstock_operator.decide.times import lies_ahead
from penstock_operator.decide.working import Ask, Pass
from penstock_operator.model.changes import Change, difference
from penstock_operator.model.field_errors import sentence_of
from penstock_operator.model.status import OperationKind, Step

_TURNS_MAX: Final = 8
"""Steps that one pass may go through; the next pass goes on."""
_BLIND_S: Final = 5.0


def decide(seen: Observed) -> Decision:
    """One pass."""
    if isinstance(seen.deployed, Unknown):
        return Decision(seen.job.status, (), (), _BLIND_S)
    p = Pass(seen, seen.deployed)
    try:
        _decide(p)
    except Ask as more:
        return Decision(seen.job.status, (), (), 0.0, more.questions)
    take_over(p)
    set_conditions(p)
    p.status = worth_writing(p)
    if p.status is not seen.job.status:
        tell_what_happened(p, p.status)
    return p.decision()


def _decide(p: Pass) -> None:
    _mend_clock(p)
    if p.job.deleting_since is not None:
        delete(p)
        return
    if p.job.paused:
        if p.status.active_revision in p.deployed:
            p.answer(p.status.active_revision)
        return
    if not p.job.finalizer:
        p.act(SetFinalizer(True))
    _validate(p)
    if not _turns(p):
        p.look_again(1.0)
    take_snapshots(p)
    attend_to_snapshots(p)
    retain(p)


def _turns(p: Pass) -> bool:
    """Whether there is nothing more to be done now."""
    return any(not _turn(p) for _ in range(_TURNS_MAX))


def _turn(p: Pass) -> bool:
    """One step, or the begin of something. Whether another follows at once."""
    operation = p.status.operation
    if operation is None:
        return plan(p)
    if p.edited and p.wish is not None and _overtaken(p):
        return True
    match operation.kind:
        case OperationKind.DEPLOY | OperationKind.UPGRADE | OperationKind.ROLLBACK:
            return _carry_on(p)
        case OperationKind.SUSPEND:
            return suspend(p) if operation.step is Step.STOPPING else _carry_on(p)
        case OperationKind.SCALE:
            return scale(p)
        case OperationKind.DELETE:
            p.end()  # Nobody deletes it: somebody wrote that into the status.
            return True


def _carry_on(p: Pass) -> bool:
    match p.operation.step:
        case Step.PREPARING:
            return prepare(p)
        case Step.SAVEPOINTING:
            return savepoint(p)
        case Step.VERIFYING:
            return verify(p)
        case Step.STOPPING:
            if not stop(p):
                return False
            p.go_to(Step.STARTING)
            return True
        case Step.STARTING:
            return start(p)
        case Step.SETTLING:
            return settle(p)
        case Step.CLEANING:
            p.end()
            return True


def _overtaken(p: Pass) -> bool:
    """Whether an edit ended the operation. Before the old job is touched it is planned anew. After that it is finished
    first, because there is no quicker way to a running job; unless it cannot be."""
    operation = p.operation
    wish = p.wish
    assert wish is not None, "only a valid spec overtakes"
    match operation.kind, operation.step:
        case ((OperationKind.UPGRADE | OperationKind.DEPLOY), Step.PREPARING):
            p.end()
        case OperationKind.SCALE, _:
            p.end()
        case OperationKind.DEPLOY, Step.STARTING if not _told(p):
            p.end()
            return redeploy(p)
        case _, Step.SETTLING:
            revision = p.revision(operation.revision)
            runs_on = revision is not None and wish.job.state == "running"
            if revision is not None and runs_on and difference(revision.spec, wish).change < Change.SCALE:
                keep_in_place(p, revision, wish)
                return False
            p.end()
        case _, (Step.STARTING | Step.VERIFYING) if p.complaint is None and _stuck(p):
            p.end()
            return redeploy(p)
        case _:
            return False
    return True


def _told(p: Pass) -> bool:
    """Whether the revision has begun to run."""
    answer = p.answer(p.operation.revision)
    return isinstance(answer, JobAnswer) and answer.state not in (
        StandbyState.WAITING,
        StandbyState.LOADING,
        StandbyState.FAILED,
    )


def _stuck(p: Pass) -> bool:
    """Whether this step was complained about when it was last looked at."""
    degraded = next((known for known in p.job.status.conditions if known.type == "Degraded"), None)
    return degraded is not None and degraded.status == "True"


def _validate(p: Pass) -> None:
    """An invalid spec is reported once as an event, and stays a condition; what runs is not touched."""
    if not p.job.errors or not p.edited:
        return
    p.say("Warning", "ValidationError", sentence_of(p.job.errors))
    p.put(observed_generation=p.job.generation)


def _mend_clock(p: Pass) -> None:
    """The clock was set back: what was waited for is waited for again, rather than until the clock has caught up."""
    operation = p.status.operation
    if operation is not None and lies_ahead(operation.step_started_at, p.now_ms):
        p.put(operation=msgspec.structs.replace(operation, started_at=p.now, step_started_at=p.now))
    p.put(
        pending=tuple(
            msgspec.structs.replace(pending, triggered_at=p.now)
            if lies_ahead(pending.triggered_at, p.now_ms)
            else pending
            for pending in p.status.pending
        )
    )
    if lies_ahead(p.status.checkpoints.refreshed_at, p.now_ms):
        p.put(checkpoints=msgspec.structs.replace(p.status.checkpoints, refreshed_at=p.now))
