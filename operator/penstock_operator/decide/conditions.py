"""The five conditions, each an answer to a question that `kubectl wait` or a person may have. Pure.

Their texts say nothing that changes while nothing happens, such as a count or an age: each change is a write.
"""

from typing import Final, Literal

from penstock_operator.decide.facts import JobAnswer, Preflight, StandbyState, StoreFacts
from penstock_operator.decide.working import Pass
from penstock_operator.model.field_errors import sentence_of
from penstock_operator.model.status import Condition, LifecycleState, OperationKind, Step

_Truth = Literal["True", "False", "Unknown"]
_Found = tuple[_Truth, str, str]

_UNDER_WAY: Final = {
    OperationKind.DEPLOY: "Deploying",
    OperationKind.UPGRADE: "Upgrading",
    OperationKind.SUSPEND: "Suspending",
    OperationKind.ROLLBACK: "RollingBack",
    OperationKind.SCALE: "Scaling",
    OperationKind.DELETE: "Deleting",
}
_NOT_TO_RUN: Final = {
    LifecycleState.SUSPENDED: "nothing runs, as spec.job.state asks",
    LifecycleState.FINISHED: "the job came to its end",
    LifecycleState.CREATED: "nothing was started yet",
    LifecycleState.DELETING: "the job is being deleted",
}


def set_conditions(p: Pass) -> None:
    """Of the status as it will be written; what did not change keeps its time."""
    found = {
        "Ready": _ready(p),
        "Progressing": _progressing(p),
        "Degraded": _degraded(p),
        "Restorable": _restorable(p),
        "StateCompatible": _state_compatible(p),
    }
    conditions = tuple(_condition(p, type, *finding) for type, finding in found.items())
    degraded, _, message = found["Degraded"]
    p.put(conditions=conditions, error=message if degraded == "True" else "")


def _condition(p: Pass, type: str, status: _Truth, reason: str, message: str) -> Condition:
    before = _before(p, type)
    since = before.last_transition_time if before is not None and before.status == status else p.now
    generation = p.status.observed_generation
    return Condition(type, status, reason, message, since, generation)


def _before(p: Pass, type: str) -> Condition | None:
    return next((known for known in p.job.status.conditions if known.type == type), None)


def _ready(p: Pass) -> _Found:
    lifecycle = p.status.lifecycle_state
    state = "" if p.status.job_status is None else p.status.job_status.state
    if state == "RUNNING":
        return "True", "Running", f"{p.status.active_revision} runs"
    if lifecycle in _NOT_TO_RUN:
        return "False", str(lifecycle), _NOT_TO_RUN[lifecycle]
    if state == "RECONCILING":
        return "Unknown", "JobManagerSilent", "the JobManager does not answer"
    return "False", "NotRunning", f"the job is {state}" if state else "no job runs"


def _progressing(p: Pass) -> _Found:
    operation = p.status.operation
    if p.job.paused:
        return "False", "Paused", "the annotation penstock.dev/paused is set: nothing is done"
    if operation is None:
        return "False", "Idle", "nothing is under way"
    if operation.kind is OperationKind.DEPLOY and operation.step is Step.SETTLING:
        waits = p.waits_for or "it to become stable"
    else:
        waits = p.waits_for
    message = str(operation.step) + (f": waits for {waits}" if waits else "")
    return "True", _UNDER_WAY[operation.kind], message


def _degraded(p: Pass) -> _Found:
    if p.job.errors:
        return "True", "ValidationError", sentence_of(p.job.errors)
    if p.complaint is not None:
        return "True", *p.complaint
    refused = p.job.generation == p.status.refused_generation
    before = _before(p, "Degraded")
    if refused and before is not None and before.status == "True":
        return "True", before.reason, before.message
    if refused:
        return "True", "SpecRefused", "this version of the spec was tried and given up; edit it to try again"
    if p.status.job_status is not None and p.status.job_status.state in ("RESTARTING", "FAILING"):
        return "True", "Restarting", "the job is being restarted"
    return "False", "AsExpected", "nothing is wrong"


def _restorable(p: Pass) -> _Found:
    store = p.seen.store
    if isinstance(store, StoreFacts) and store.damaged:
        return "True" if store.recoverable else "False", "CheckpointCorrupt", store.damaged
    if p.status.checkpoints.last_completed is not None or p.status.savepoints or p.status.state_exists:
        return "True", "StateExists", "there is state to go on from"
    return "False", "NoState", "nothing was checkpointed yet"


def _state_compatible(p: Pass) -> _Found:
    operation = p.status.operation or p.job.status.operation
    answer = None if operation is None else (p.seen.answers or {}).get(operation.revision)
    preflight = answer.preflight if isinstance(answer, JobAnswer) else Preflight(None, None)
    if preflight.compatible is False:
        return "False", "Incompatible", "; ".join(preflight.findings) or "the state does not fit the job"
    if isinstance(answer, JobAnswer) and answer.state is StandbyState.FAILED:
        return "False", "ScriptFailed", answer.error
    if preflight.compatible:
        return "True", "Compatible", "the state fits the job"
    complaint = p.complaint
    if complaint is not None and complaint[0] in ("ImageUnusable", "ProcessCrashes", "ConfigurationMissing"):
        return "False", *complaint
    before = _before(p, "StateCompatible")
    if before is not None:
        return before.status, before.reason, before.message
    return "Unknown", "NotChecked", "no state was compared with the job yet"
