"""Back to the last stable version when a new one fails after it has taken over. Pure.

While it has completed no checkpoint its sinks have published nothing, and the old version goes on from where the new
one began. After that, only from what the new one has completed, and only if the old job can read it: its standby says
so before the new one is removed.
"""

from penstock_operator.decide.acts import Remove
from penstock_operator.decide.facts import JobAnswer
from penstock_operator.decide.naming import another_name
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import LifecycleState, OperationKind, Step


def fail(p: Pass, sentence: str) -> bool:
    """The operation's revision fails. Whether a rollback begins; otherwise it was said, and it is left as it is."""
    operation = p.operation
    target = p.revision(p.status.stable_revision)
    allowed = p.policy is not None and p.policy.upgrade.rollback
    possible = operation.kind in (OperationKind.UPGRADE, OperationKind.DEPLOY) and operation.from_revision != ""
    if target is None or target.name == operation.revision or not allowed or not possible:
        p.complain("NotStable", sentence)
        p.put(lifecycle_state=_left(p))
        return False
    p.say("Warning", "RollingBack", f"{sentence}; back to {target.name}")
    completed = _completed(p)
    origin = operation.origin
    revision = another_name(operation.revision)
    p.keep(revision, target.generation, target.spec)
    p.begin(
        OperationKind.ROLLBACK,
        Step.PREPARING if completed else Step.STOPPING,
        revision=revision,
        from_revision=operation.revision,
        beside=bool(completed),
        upgrade_mode="last-state",
        previous_path=(origin.path if origin is not None and origin.path else operation.previous_path),
        reason=sentence,
    )
    # What was asked for last has failed: it is not tried again before it changes.
    p.put(lifecycle_state=LifecycleState.ROLLING_BACK, refused_generation=p.status.observed_generation)
    return True


def cannot(p: Pass, sentence: str) -> None:
    """The old job cannot read what the new one has completed: the new one goes on ruling, and comes back if it was
    removed."""
    failed = p.operation.from_revision
    sentence = f"{failed} fails, and the version before it cannot go on from its state: {sentence}"
    p.say("Warning", "RollbackImpossible", sentence)
    p.complain("RollbackImpossible", sentence)
    p.act(Remove(p.operation.revision))
    p.end(lifecycle_state=LifecycleState.FAILED)


def _completed(p: Pass) -> int:
    answer = p.answer(p.operation.revision)
    if isinstance(answer, JobAnswer):
        return answer.completed
    return p.status.checkpoints.count


def _left(p: Pass) -> LifecycleState:
    answer = p.answer(p.operation.revision)
    ended = isinstance(answer, JobAnswer) and answer.job_state in ("FAILED", "CANCELED")
    return LifecycleState.FAILED if ended else p.status.lifecycle_state
