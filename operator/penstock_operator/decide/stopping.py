"""The steps that end a running job: stop it with a savepoint, look at that in the store, remove its processes. Pure.

Shared by upgrades, suspension and deletion. A savepoint counts only as the journal and the store show it; that the
JobManager says it is complete is a reason to look there.
"""

from typing import Final

from penstock_operator.decide.acts import Remove, TriggerSavepoint
from penstock_operator.decide.complaints import no_store
from penstock_operator.decide.facts import JobAnswer, StandbyState, StoreFacts, TriggerState, Unknown
from penstock_operator.decide.origins import may_be_empty
from penstock_operator.decide.policies import SAVEPOINT_ATTEMPTS_MAX, SAVEPOINT_BACKOFF_S, UNFIT_S, ready_s, snapshot_s
from penstock_operator.decide.preparing import age_refusal, ask_for_savepoint, give_up, give_up_finished, keep_children
from penstock_operator.decide.savepoints import record_of_stop
from penstock_operator.decide.working import Pass
from penstock_operator.model.changes import savepoint_format
from penstock_operator.model.status import OperationKind, Origin, Step

_POLL_S: Final = 0.2
"""While the job is down, or may be any moment."""
_ENDED_BADLY: Final = ("FAILED", "CANCELED")
_JOURNAL_S: Final = 15.0
"""So long after the JobManager's word the journal may lack the savepoint."""


def savepoint(p: Pass) -> bool:
    """Whether there is a next step to be looked at in this pass."""
    operation = p.operation
    answer = p.answer(operation.from_revision)
    trigger = p.trigger(operation.from_revision, operation.trigger_id, "savepoint")
    state = TriggerState.UNKNOWN if isinstance(trigger, Unknown) else trigger.state
    # The store is asked when it may know more: while state is written to it, each look would take from that.
    if state is not TriggerState.IN_PROGRESS or not _goes_on(answer):
        store = p.store()
        if isinstance(store, StoreFacts) and store.stopped_path is not None:
            p.go_to(Step.VERIFYING, savepoint_dir=store.stopped_path)
            return True
    if operation.kind is not OperationKind.DELETE:
        keep_children(p, operation.from_revision)
    match state:
        case TriggerState.COMPLETED:
            p.go_to(Step.VERIFYING)
            return True
        case TriggerState.IN_PROGRESS if isinstance(answer, JobAnswer) and answer.job_state in _ENDED_BADLY:
            return _without(p, f"the job is {answer.job_state}")
        case TriggerState.IN_PROGRESS if p.in_step_s() > snapshot_s(p.policy):
            return _failed(p, answer, "it took longer than spec.snapshots.timeout allows")
        case TriggerState.IN_PROGRESS:
            p.wait("the savepoint", _POLL_S if p.in_step_s() < 10.0 else 1.0)
            return False
        case TriggerState.FAILED:
            return _failed(p, answer, "" if isinstance(trigger, Unknown) else trigger.failure)
        case TriggerState.UNKNOWN:
            return _not_asked(p, answer, unheard=isinstance(trigger, Unknown))


def verify(p: Pass) -> bool:
    """The savepoint, in the store."""
    operation = p.operation
    store = p.store()
    if isinstance(store, Unknown):
        p.wait(f"the store: {store.reason}")
        return False
    if store.stopped_path is None:
        return _not_in_journal(p)
    if operation.savepoint_dir != store.stopped_path:
        p.amend(savepoint_dir=store.stopped_path)  # Should somebody else have stopped the job: it is as good.
        return True
    found = p.verified(operation.savepoint_dir)
    if isinstance(found, Unknown):
        p.wait(f"the store: {found.reason}")
        return False
    if not found.sound:
        return _damaged(p, found.finding or "it is not there")
    record_of_stop(p, found)
    p.say("Normal", "SavepointCompleted", f"the job was stopped with {found.path}")
    origin = Origin("savepoint", found.path)
    beside = operation.kind is OperationKind.UPGRADE and operation.beside
    p.go_to(Step.STARTING if beside else Step.STOPPING, origin=origin, attempt=1)
    return True


def stop(p: Pass) -> bool:
    """Remove the processes; over when they are gone. Those of the revision to be started stay."""
    operation = p.operation
    keep = operation.revision if operation.kind in (OperationKind.UPGRADE, OperationKind.ROLLBACK) else ""
    others = [name for name in p.deployed if name != keep]
    p.act(*(Remove(name) for name in others if not p.deployed[name].being_removed))
    if not others:
        _tell_unheard(p, keep)
        return True
    if p.in_step_s() > ready_s(p.policy):
        p.complain("ProcessesRemain", f"processes of {', '.join(others)} do not end")
    p.wait(f"processes of {', '.join(others)} to be gone", _POLL_S if p.in_step_s() < 10.0 else 1.0)
    return False


def _goes_on(answer: JobAnswer | Unknown) -> bool:
    """As far as its JobManager knows."""
    if isinstance(answer, Unknown) or answer.stopped_with:
        return False
    return answer.job_state not in (*_ENDED_BADLY, "FINISHED")


def _tell_unheard(p: Pass, keep: str) -> None:
    left = [unheard.what for unheard in p.seen.unheard if unheard.revision != keep]
    if left:
        sentence = f"{', '.join(left)} should have ended, and nothing is heard of it: it counts as gone"
        p.say("Warning", "ProcessesUnheardOf", f"{sentence}; the job's journal lets it publish nothing any more")


def _not_asked(p: Pass, answer: JobAnswer | Unknown, *, unheard: bool) -> bool:
    """The JobManager does not know of the savepoint: nobody asked yet, or it died since, or it does not answer."""
    if isinstance(answer, JobAnswer) and answer.job_state == "RUNNING":
        if unheard:
            p.wait("the JobManager's answer")
            return False
        p.act(_stop_with_savepoint(p))
        p.wait("the savepoint", _POLL_S)
        return False
    if isinstance(answer, JobAnswer) and answer.job_state == "FINISHED":
        return _came_to_its_end(p)
    hopeless = isinstance(answer, JobAnswer) and (
        answer.job_state in _ENDED_BADLY or answer.state in (StandbyState.FAILED, StandbyState.WAITING)
    )
    if hopeless or p.in_step_s() > UNFIT_S:
        return _without(
            p, "the job does not run" if isinstance(answer, JobAnswer) else "its JobManager does not answer"
        )
    p.wait("the job to run")
    return False


def _stop_with_savepoint(p: Pass) -> TriggerSavepoint:
    operation = p.operation
    old, new = p.revision(operation.from_revision), p.revision(operation.revision)
    format = "native" if old is None or new is None else savepoint_format(old.spec, new.spec)
    return TriggerSavepoint(
        operation.from_revision,
        operation.trigger_id,
        operation.savepoint_dir,
        stop=True,
        format="canonical" if format == "canonical" else "native",
    )


def _failed(p: Pass, answer: JobAnswer | Unknown, failure: str) -> bool:
    operation = p.operation
    restarts = answer.restarts if isinstance(answer, JobAnswer) else 0
    if restarts > operation.restarts_seen and operation.attempt > 1:
        return _without(p, f"the job is restarted again and again, and the savepoint failed: {failure}")
    if operation.attempt >= SAVEPOINT_ATTEMPTS_MAX:
        if operation.kind is OperationKind.DELETE:
            return _without(p, f"the savepoint failed: {failure}")
        give_up(p, "SavepointFailed", f"the savepoint failed {operation.attempt} times: {failure}")
        return False
    if p.in_step_s() < SAVEPOINT_BACKOFF_S[operation.attempt]:
        p.complain("SavepointFailed", f"the savepoint failed: {failure}")
        p.wait("another attempt at the savepoint")
        return False
    p.say("Warning", "SavepointFailed", f"attempt {operation.attempt}: {failure}")
    return _again(p)


def _again(p: Pass) -> bool:
    attempt = p.operation.attempt + 1
    moved = ask_for_savepoint(p, p.policy)
    if moved:
        p.amend(attempt=attempt)
    return moved


def _without(p: Pass, why: str) -> bool:
    """No savepoint is to be had: the newest checkpoint says the same as far as anybody outside has seen."""
    operation = p.operation
    if operation.kind is OperationKind.DELETE:
        p.say("Warning", "SavepointSkipped", f"{why}; the last checkpoint is left")
        p.go_to(Step.STOPPING, upgrade_mode="last-state")
        return True
    store = p.store()
    if isinstance(store, Unknown):
        no_store(p, store)
        return False
    revision = p.revision(operation.revision)
    age = "" if revision is None else age_refusal(p, revision.spec, store)
    if age:
        give_up(p, "StateTooOld", f"{why}, and {age}")
        return False
    if not store.recoverable and not may_be_empty(p, store):
        p.complain("StateMissing", f"{why}, and there is no checkpoint to go on from")
        p.wait("the job to run, or a checkpoint", 5.0)
        return False
    p.say("Warning", "SavepointSkipped", f"{why}; it goes on from the newest checkpoint")
    p.go_to(Step.STOPPING, upgrade_mode="last-state")
    return True


def _came_to_its_end(p: Pass) -> bool:
    store = p.store()
    if isinstance(store, Unknown) or store.ended is None:
        p.wait("the journal to tell how the job ended")
        return False
    if p.operation.kind is OperationKind.UPGRADE:
        give_up_finished(p)
        return False
    p.go_to(Step.STOPPING)
    return True


def _not_in_journal(p: Pass) -> bool:
    """The JobManager says that the savepoint is complete, the journal knows nothing of it."""
    if p.in_step_s() < _JOURNAL_S:
        p.wait("the journal to show the savepoint")
        return False
    return _again(p)


def _damaged(p: Pass, finding: str) -> bool:
    """There is no way back from a savepoint that the job was stopped with: what its sinks published since the
    checkpoint before it would be published again. So this waits for the store to mend, or for a person's decision."""
    if p.operation.kind in (OperationKind.DELETE, OperationKind.SUSPEND):
        p.say("Warning", "SavepointDamaged", f"{p.operation.savepoint_dir}: {finding}")
        p.go_to(Step.STOPPING)
        return True
    p.complain(
        "SavepointDamaged",
        f"the savepoint in {p.operation.savepoint_dir} cannot be used: {finding}; the job is stopped, and is started "
        "again when it can be read, or without state when spec.job.upgradeMode is set to stateless",
    )
    p.wait("the savepoint to be readable", 10.0)
    return False
