"""The step in which a revision's processes come up in standby, beside what runs, until they could start. Pure.

What runs is left alone, and looked after: nothing has happened to it yet, and when the new revision turns out to be
unable to start, nothing will have.
"""

from penstock_operator.decide.acts import Deploy, Remove
from penstock_operator.decide.complaints import no_store
from penstock_operator.decide.facts import JobAnswer, StandbyState, StoreFacts, Unknown
from penstock_operator.decide.naming import another_name, is_of_generation, savepoint_folder
from penstock_operator.decide.origins import has_finished, may_be_empty
from penstock_operator.decide.policies import ready_s, state_age_max_s
from penstock_operator.decide.readiness import Obstacle, Standby, obstacle
from penstock_operator.decide.rollback import cannot
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import LifecycleState, OperationKind, Step


def prepare(p: Pass) -> bool:
    """Whether there is a next step to be looked at in this pass."""
    operation = p.operation
    spec = spec_of_operation(p)
    if spec is None:
        p.end()  # It was never kept, and the object has another one by now: there is nothing to be lost.
        return True
    have_children(p, spec)
    if operation.kind is OperationKind.DEPLOY:
        remove_others(p)
    elif operation.kind is OperationKind.UPGRADE:
        remove_others(p, but=operation.from_revision)
        keep_children(p, operation.from_revision)
    answer = p.answer(operation.revision)
    if isinstance(answer, JobAnswer) and answer.state is StandbyState.STARTED:
        p.go_to(Step.STARTING)  # It found a reign of its own in the journal, and went on with it.
        return True
    found = obstacle(p, Standby(p.deployed.get(operation.revision), answer, spec))
    if found is None:
        return _go_on(p, spec)
    return _obstructed(p, spec, found)


def spec_of_operation(p: Pass) -> FlinkJobSpec | None:
    """Of the revision to be started. One that is not kept, because the operator died before that, is kept now."""
    operation = p.operation
    revision = p.revision(operation.revision)
    if revision is not None:
        return revision.spec
    back = operation.kind is OperationKind.ROLLBACK
    if not back and p.wish is not None and is_of_generation(operation.revision, p.job):
        p.keep(operation.revision, p.job.generation, p.wish)
        return p.wish
    again = p.status.stable_revision if back else operation.from_revision
    known = p.revision(again)
    if known is not None and (back or operation.revision == another_name(again)):
        p.keep(operation.revision, known.generation, known.spec)
        return known.spec
    return None


def have_children(p: Pass, spec: FlinkJobSpec) -> None:
    """Of the operation's revision."""
    children = p.deployed.get(p.operation.revision)
    if children is None or children.drifted:
        p.act(Deploy(p.operation.revision, spec))


def keep_children(p: Pass, name: str) -> None:
    """Of a revision that runs: what is missing or not as it should be is applied again."""
    revision, children = p.revision(name), p.deployed.get(name)
    if revision is not None and (children is None or (children.drifted and not children.being_removed)):
        p.act(Deploy(name, revision.spec))


def remove_others(p: Pass, but: str = "") -> bool:
    """All but the operation's revision, and that one; whether any are still there."""
    others = [children for name, children in p.deployed.items() if name not in (p.operation.revision, but)]
    p.act(*(Remove(children.revision) for children in others if not children.being_removed))
    return bool(others)


def give_up(p: Pass, reason: str, sentence: str) -> None:
    """The upgrade: what runs goes on, and this generation is not tried again."""
    operation = p.operation
    kept_on = f"{operation.from_revision} goes on" if operation.from_revision in p.deployed else "nothing was changed"
    p.say("Warning", reason, f"{sentence}; {kept_on}")
    p.complain(reason, sentence)
    if operation.revision and operation.revision != p.status.active_revision:
        p.act(Remove(operation.revision))
    p.end(refused_generation=p.job.generation, lifecycle_state=lifecycle_of_active(p))
    p.look_again(1.0)


def give_up_finished(p: Pass) -> None:
    """A bounded job finished before it could be stopped: its results are complete, and are not produced twice."""
    give_up(p, "JobFinished", "the job came to its end before it could be stopped; edit the spec to run it again")


def lifecycle_of_active(p: Pass) -> LifecycleState:
    """Of a revision that goes on as if nothing had been tried."""
    record = next((r for r in p.status.revisions if r.name == p.status.active_revision), None)
    if record is None or not record.stable:
        return LifecycleState.DEPLOYED
    stayed = p.status.lifecycle_state is LifecycleState.ROLLED_BACK
    return LifecycleState.ROLLED_BACK if stayed else LifecycleState.STABLE


def _obstructed(p: Pass, spec: FlinkJobSpec, found: Obstacle) -> bool:
    operation = p.operation
    late = p.in_step_s() > ready_s(spec)
    if found.no_room and operation.kind is not OperationKind.DEPLOY and p.in_step_s() > ready_s(spec) / 2:
        p.say("Normal", "NoRoomForBoth", f"{found.sentence}; the old revision is stopped before the new one starts")
        p.amend(beside=False)
        return _go_on(p, spec)
    if found.hopeless or late:
        if operation.kind is OperationKind.UPGRADE:
            give_up(p, "PreflightFailed" if found.incompatible else found.reason, found.sentence)
            return False
        if operation.kind is OperationKind.ROLLBACK and found.incompatible:
            cannot(p, found.sentence)
            return False
        p.complain(found.reason, found.sentence)
    elif found.broken and operation.kind is OperationKind.DEPLOY:
        p.complain(found.reason, found.sentence)  # Nothing runs that would look worse by it than it is.
    p.wait(found.sentence, 60.0 if late else _patience_s(p))
    return False


def _patience_s(p: Pass) -> float:
    """Of what a JobManager does its answers tell and nothing else; that it comes up at all is heard of."""
    if isinstance(p.answer(p.operation.revision), Unknown):
        return min(5.0, max(1.0, p.in_step_s() / 2))
    return 5.0 if p.in_step_s() > 60.0 else 1.0


def _go_on(p: Pass, spec: FlinkJobSpec) -> bool:
    operation = p.operation
    if operation.kind is OperationKind.DEPLOY:
        if remove_others(p):
            p.wait("the processes of other revisions to be gone")
            return False
        p.go_to(Step.STARTING)
        return True
    if operation.kind is OperationKind.ROLLBACK:
        p.go_to(Step.STOPPING)
        return True
    match operation.upgrade_mode:
        case "savepoint":
            return ask_for_savepoint(p, spec)
        case "last-state":
            return _without_savepoint(p, spec)
        case "stateless":
            store = p.store()
            previous = (store.stopped_path or store.newest_path or "") if isinstance(store, StoreFacts) else ""
            p.go_to(Step.STOPPING, previous_path=previous)
            return True


def ask_for_savepoint(p: Pass, spec: FlinkJobSpec | None) -> bool:
    """The step in which the running job is stopped with one; a new trigger id and folder each time."""
    root = None if spec is None else spec.checkpoints.savepoint_root
    if root is None:
        p.complain(
            "NoSavepointDirectory", "spec.checkpoints.savepointDir is not set: there is no place for a savepoint"
        )
        p.wait("a place for the savepoint", 60.0)
        return False
    trigger_id = p.fresh_id("stop")
    answer = p.answer(p.operation.from_revision)
    p.go_to(
        Step.SAVEPOINTING,
        trigger_id=trigger_id,
        savepoint_dir=savepoint_folder(root, p.job, trigger_id),
        attempt=1,
        restarts_seen=answer.restarts if isinstance(answer, JobAnswer) else 0,
    )
    p.say("Normal", "SavepointTriggered", f"{p.operation.from_revision} is to stop with a savepoint")
    return True


def _without_savepoint(p: Pass, spec: FlinkJobSpec) -> bool:
    store = p.store()
    if isinstance(store, Unknown):
        no_store(p, store)
        return False
    if has_finished(store):
        give_up_finished(p)
        return False
    age = age_refusal(p, spec, store)
    if age:
        give_up(p, "StateTooOld", age)
        return False
    if store.recoverable or may_be_empty(p, store):
        p.go_to(Step.STOPPING)
        return True
    if p.in_step_s() > ready_s(spec):
        give_up(p, "StateMissing", "the job has no checkpoint that the new version could go on from")
        return False
    p.wait("a first checkpoint")
    return False


def age_refusal(p: Pass, spec: FlinkJobSpec, store: StoreFacts) -> str:
    """Why the newest checkpoint is too old to go on from; empty: it is not."""
    allowed_s = state_age_max_s(spec)
    if allowed_s is None or store.newest_time_ms == 0 or store.stopped_path is not None:
        return ""
    if p.now_ms - store.newest_time_ms <= allowed_s * 1_000:
        return ""
    return f"the newest checkpoint is older than spec.upgrade.maxStateAge ({spec.upgrade.max_state_age}) allows"
