"""The steps in which a revision takes over the job: it is told to start, and watched until it is stable. Pure.

That it was told is written down as an id before it is told; it takes the same id as often as it comes. What ran before
is removed once the job runs again: it was stopped, and could not write any more, because the journal says so.
"""

from typing import Final

import msgspec

from penstock_operator.decide.acts import Remove, StartJob
from penstock_operator.decide.facts import JobAnswer, StandbyState, Unknown
from penstock_operator.decide.origins import origin_of_start
from penstock_operator.decide.policies import CRASHES_MAX, TROUBLE_S, ready_s
from penstock_operator.decide.preparing import have_children, remove_others, spec_of_operation
from penstock_operator.decide.readiness import Obstacle, Standby, obstacle
from penstock_operator.decide.rollback import cannot, fail
from penstock_operator.decide.savepoints import unpin
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import (
    Checkpoints,
    LifecycleState,
    OperationKind,
    Origin,
    RevisionRecord,
    Step,
)

_POLL_S: Final = 0.2
_RESTORING: Final = ("", "CREATED", "INITIALIZING", "RESTARTING")
_RESTORED_S: Final = 10.0
"""So long what ran before, and was stopped, is left where it is: to remove it takes time from reading the state."""
_UNCHECKPOINTED_S: Final = 600.0
"""A job that takes no checkpoints is stable when it has run so long without a restart."""
_REVISIONS_KEPT: Final = 10


def start(p: Pass) -> bool:
    """Whether there is a next step to be looked at in this pass."""
    operation = p.operation
    spec = spec_of_operation(p)
    if spec is None:
        p.end()
        return True
    answer = p.answer(operation.revision)
    if isinstance(answer, JobAnswer) and answer.state in (StandbyState.STARTED, StandbyState.ENDED):
        _taken_over(p, spec)
        return True
    have_children(p, spec)
    origin = origin_of_start(p, spec)
    if origin is None:
        return False
    if operation.origin is None or not operation.start_id:
        p.amend(origin=origin, start_id=p.fresh_id("start"))
    if _tell(p, spec, answer, origin):
        return True
    if p.in_step_s() > _RESTORED_S:
        remove_others(p)
    late = p.in_step_s() > ready_s(spec)
    broken = isinstance(answer, JobAnswer) and answer.state is StandbyState.FAILED
    if late or broken:
        return _cannot_start(p, answer)
    p.wait(f"{operation.revision} to start", _POLL_S if p.in_step_s() < 10.0 else 1.0)
    return False


def settle(p: Pass) -> bool:
    """Until it is stable."""
    operation = p.operation
    spec = spec_of_operation(p)
    if spec is None:
        p.end()
        return True
    have_children(p, spec)
    answer = p.answer(operation.revision)
    if p.in_step_s() > _RESTORED_S or (isinstance(answer, JobAnswer) and answer.job_state not in _RESTORING):
        remove_others(p)
    if isinstance(answer, Unknown):
        return _silent(p, answer)
    if answer.state is StandbyState.WAITING:
        p.go_to(
            Step.STARTING, origin=None, start_id=""
        )  # It came up anew, and found no reign of its own to go on with.
        return True
    if answer.job_state == "FINISHED":
        _stable(p, LifecycleState.FINISHED)
        return False
    if answer.job_state in ("FAILED", "CANCELED") or answer.state is StandbyState.FAILED:
        return _ended(p, f"{operation.revision} ended as {answer.job_state or answer.state}: {_cause(answer)}")
    _count_restarts(p, answer)
    return _judge(p, spec, answer)


def _tell(p: Pass, spec: FlinkJobSpec, answer: JobAnswer | Unknown, origin: Origin) -> bool:
    """Whether the operation took another turn. A revision that was prepared beside the old one has been found fit;
    any other is looked at now."""
    operation = p.operation
    if isinstance(answer, Unknown) or answer.state is not StandbyState.WAITING:
        return False
    if operation.kind is not OperationKind.UPGRADE or not operation.beside:
        found = obstacle(p, Standby(p.deployed.get(operation.revision), answer, spec))
        if found is not None:
            p.wait(found.sentence)
            return found.hopeless and _unfit(p, found)
        if any(name != operation.revision for name in p.deployed):
            return False  # What ran before is removed first: nothing says that it is stopped.
    initial = origin.path is not None and origin.path == spec.job.initial_savepoint_path
    claim_mode = spec.job.claim_mode if initial else "NO_CLAIM"
    p.act(StartJob(operation.revision, operation.start_id, origin, spec.job.allow_non_restored_state, claim_mode))
    return False


def _unfit(p: Pass, found: Obstacle) -> bool:
    if p.operation.kind is OperationKind.ROLLBACK and found.incompatible:
        cannot(p, found.sentence)
        return True
    return fail(p, found.sentence)


def _taken_over(p: Pass, spec: FlinkJobSpec) -> None:
    operation = p.operation
    revision = p.revision(operation.revision)
    generation = p.job.generation if revision is None else revision.generation
    record = RevisionRecord(operation.revision, generation, operation.origin, p.now)
    others = tuple(known for known in p.status.revisions if known.name != operation.revision)
    known = next((known for known in p.status.revisions if known.name == operation.revision), None)
    if known is not None:
        record = msgspec.structs.replace(record, stable=known.stable)
    back = operation.kind is OperationKind.ROLLBACK
    p.put(
        revisions=(record, *others)[:_REVISIONS_KEPT],
        active_revision=operation.revision,
        lifecycle_state=LifecycleState.ROLLING_BACK if back else LifecycleState.DEPLOYED,
        checkpoints=Checkpoints(last_completed=p.status.checkpoints.last_completed),
        parallelism=spec.job.parallelism,
        state_exists=p.status.state_exists and operation.origin != Origin("empty"),
    )
    reason = {OperationKind.UPGRADE: "Upgraded", OperationKind.ROLLBACK: "RolledBack"}.get(operation.kind, "Started")
    p.say("Normal", reason, f"{operation.revision} runs, from {_described(operation.origin)}")
    p.go_to(Step.SETTLING, restarts_seen=0, completed_then=0, attempt=1)


def _described(origin: Origin | None) -> str:
    if origin is None or origin.kind == "newest":
        return "the newest state in the journal"
    return "no state" if origin.path is None else origin.path


def _cannot_start(p: Pass, answer: JobAnswer | Unknown) -> bool:
    operation = p.operation
    why = answer.reason if isinstance(answer, Unknown) else answer.error or f"it is {answer.state}"
    sentence = f"{operation.revision} does not start: {why}"
    if fail(p, sentence):
        return True
    # Nothing to go back to: its processes are made anew, and it is tried again.
    if p.operation.step is Step.STARTING and p.in_step_s() > ready_s(p.policy):
        p.act(Remove(operation.revision))
        p.go_to(Step.STARTING, attempt=operation.attempt + 1)
    p.wait(f"{operation.revision} to start", 5.0)
    return False


def _ended(p: Pass, sentence: str) -> bool:
    """It will not become stable. Where there is no way back, nothing is under way any more either."""
    if fail(p, sentence):
        return True
    p.say("Warning", "JobFailed", sentence)
    p.end(lifecycle_state=LifecycleState.FAILED)
    p.look_again(1.0)
    return False


def _silent(p: Pass, answer: Unknown) -> bool:
    if p.in_step_s() > ready_s(p.policy) and fail(p, f"the JobManager does not answer: {answer.reason}"):
        return True
    p.wait("the JobManager's answer")
    return False


def _count_restarts(p: Pass, answer: JobAnswer) -> None:
    operation = p.operation
    if answer.restarts > operation.restarts_seen:
        p.amend(restarts_seen=answer.restarts, completed_then=answer.completed)
    elif answer.restarts < operation.restarts_seen or answer.completed < operation.completed_then:
        p.amend(restarts_seen=answer.restarts, completed_then=0)  # Another JobManager, which counts anew.


def _judge(p: Pass, spec: FlinkJobSpec, answer: JobAnswer) -> bool:
    operation = p.operation
    since = answer.completed - operation.completed_then
    runs = answer.job_state == "RUNNING"
    uncheckpointed = answer.completed == answer.failed == answer.restarts == 0 and p.in_step_s() > _UNCHECKPOINTED_S
    if runs and (since >= spec.upgrade.stable_checkpoints or uncheckpointed):
        back = operation.kind is OperationKind.ROLLBACK
        _stable(p, LifecycleState.ROLLED_BACK if back else LifecycleState.STABLE)
        return False
    crashing = answer.restarts >= CRASHES_MAX and since == 0
    trouble = _trouble(p)
    late = p.in_step_s() > ready_s(spec) and (not runs or (answer.restarts > 0 and since == 0))
    if (crashing and p.in_step_s() > TROUBLE_S) or late or trouble:
        why = trouble or f"it was restarted {answer.restarts} times: {_cause(answer)}"
        if fail(p, f"{operation.revision} does not become stable: {why}"):
            return True
    p.wait(f"{spec.upgrade.stable_checkpoints} completed checkpoints without a restart", 1.0 if not late else 10.0)
    return False


def _trouble(p: Pass) -> str:
    children = p.deployed.get(p.operation.revision)
    if children is None or p.in_step_s() < ready_s(p.policy):
        return ""
    return next((f.message or str(f.trouble) for f in (children.jobmanager, children.taskmanagers) if f.trouble), "")


def _has_completed(p: Pass) -> bool:
    answer = p.answer(p.operation.revision)
    return isinstance(answer, JobAnswer) and answer.completed > 0


def _cause(answer: JobAnswer) -> str:
    return answer.failure or answer.error or "no cause is known"


def _stable(p: Pass, lifecycle: LifecycleState) -> None:
    operation = p.operation
    stable = tuple(
        msgspec.structs.replace(known, stable=True) if known.name == operation.revision else known
        for known in p.status.revisions
    )
    if _has_completed(p):
        unpin(p)  # Otherwise what it began with is still what it would go on from.
    p.end(revisions=stable, stable_revision=operation.revision, lifecycle_state=lifecycle)
    sentence = "came to its end" if lifecycle is LifecycleState.FINISHED else "is stable"
    p.say("Normal", str(lifecycle), f"{operation.revision} {sentence}")
    p.look_again(1.0)
