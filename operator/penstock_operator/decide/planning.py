"""What to begin where nothing is under way: the distance between what is asked for and what runs. Pure."""

from typing import Any

from penstock_operator.decide.acts import Remove
from penstock_operator.decide.complaints import no_store
from penstock_operator.decide.facts import JobAnswer, Revision, StandbyState, StoreFacts, Unknown
from penstock_operator.decide.naming import another_name, revision_name
from penstock_operator.decide.origins import has_finished
from penstock_operator.decide.preparing import ask_for_savepoint, lifecycle_of_active
from penstock_operator.decide.recovering import look_after
from penstock_operator.decide.working import Pass
from penstock_operator.model.changes import Change, Difference, difference
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import LifecycleState, Nonces, OperationKind, Step
from penstock_operator.model.validation import check_state, sentence_of


def plan(p: Pass) -> bool:
    """Whether something was begun, to be gone on with in this pass."""
    active = p.revision(p.status.active_revision)
    if active is None:
        return _first(p)
    if p.status.lifecycle_state is LifecycleState.CREATED:
        p.put(lifecycle_state=lifecycle_of_active(p))  # Somebody has edited the status: it ran already.
    if _settle_who_rules(p, active):
        return True
    suspended = p.status.lifecycle_state is LifecycleState.SUSPENDED
    wish = p.wish
    if wish is None:
        return False if suspended else look_after(p, active)
    if wish.job.state == "suspended":
        return _taken_up(p) if suspended else _suspend(p, wish)
    if suspended:
        return _deploy(p, wish, active)
    return _follow(p, active, wish)


def _follow(p: Pass, active: Revision, wish: FlinkJobSpec) -> bool:
    """A job that runs, or should."""
    found = difference(active.spec, wish)
    if not _state_allows(p, active, wish):
        return False
    match found.change:
        case Change.NONE | Change.IGNORED | Change.IN_PLACE:
            keep_in_place(p, active, wish)
            return look_after(p, active)
        case Change.SCALE if _runs(p, active):
            return _scale(p, active, found)
        case Change.SCALE | Change.UPGRADE:
            if p.status.lifecycle_state is LifecycleState.FINISHED:
                return _deploy(p, wish, active)
            return upgrade(p, wish, found.sentence())


def keep_in_place(p: Pass, active: Revision, wish: FlinkJobSpec) -> None:
    """What is heeded without touching what runs."""
    _taken_up(p)
    if active.spec != wish:
        p.keep(active.name, p.job.generation, wish)


def upgrade(p: Pass, wish: FlinkJobSpec, changed: str) -> bool:
    """To a new revision."""
    if not _references_exist(p):
        return False
    if p.edited:
        p.say("Normal", "SpecChanged", changed)
    _begin(p, OperationKind.UPGRADE, wish, reason=changed, from_revision=p.status.active_revision)
    p.put(lifecycle_state=LifecycleState.UPGRADING)
    return True


def redeploy(p: Pass) -> bool:
    """The newest spec, from whatever the job has in its store: for an operation that an edit has overtaken."""
    wish = p.wish
    assert wish is not None, "only a valid spec overtakes"
    if wish.job.state == "suspended":
        _taken_up(p)
        p.begin(OperationKind.SUSPEND, Step.STOPPING, from_revision=p.status.active_revision)
        return True
    return _deploy(p, wish, p.revision(p.status.active_revision))


def _first(p: Pass) -> bool:
    """Nothing is known to rule: the job is new, or its status was lost."""
    store = p.store()
    if isinstance(store, Unknown):
        if p.wish is not None and not _references_exist(p):
            return False
        no_store(p, store)
        return _taken_up(p)
    ruling = p.revision(store.ruling_revision)
    if ruling is not None and not has_finished(store):
        return _adopt(p, ruling, store)
    wish = p.wish
    if wish is None:
        return False
    if wish.job.state == "suspended":
        _taken_up(p)
        p.put(lifecycle_state=LifecycleState.SUSPENDED, nonces=nonces_of(wish))
        p.act(*(Remove(name) for name in p.deployed))
        return False
    return _deploy(p, wish, None)


def _adopt(p: Pass, ruling: Revision, store: StoreFacts) -> bool:
    """The journal says which revision rules: it is taken as it is."""
    p.say("Normal", "Adopted", f"{ruling.name} rules the job, as its journal says")
    p.put(
        active_revision=ruling.name,
        lifecycle_state=LifecycleState.SUSPENDED,
        state_exists=p.status.state_exists or store.recoverable,
        nonces=nonces_of(ruling.spec),
    )
    if store.stopped_path is None:
        p.put(lifecycle_state=LifecycleState.DEPLOYED)
        p.begin(OperationKind.DEPLOY, Step.SETTLING, revision=ruling.name)
    return True


def nonces_of(spec: FlinkJobSpec) -> Nonces:
    return Nonces(restart=spec.restart_nonce, savepoint=spec.savepoint_nonce, checkpoint=spec.checkpoint_nonce)


def _settle_who_rules(p: Pass, active: Revision) -> bool:
    """Processes of other revisions are left over from something that was broken off, unless the journal says that one
    of them rules."""
    others = [children for name, children in p.deployed.items() if name != active.name]
    if not others:
        return False
    store = p.store()
    if isinstance(store, Unknown):
        p.wait("the store, to tell which revision rules", 5.0)
        return False
    ruling = p.revision(store.ruling_revision)
    if ruling is not None and ruling.name != active.name and ruling.name in p.deployed and _runs(p, ruling):
        return _adopt(p, ruling, store)
    p.act(*(Remove(children.revision) for children in others if not children.being_removed))
    p.look_again(1.0)
    return False


def _runs(p: Pass, revision: Revision) -> bool:
    answer = p.answer(revision.name)
    return isinstance(answer, JobAnswer) and answer.state is StandbyState.STARTED and answer.job_state == "RUNNING"


def _deploy(p: Pass, wish: FlinkJobSpec, active: Revision | None) -> bool:
    """Start where nothing runs."""
    if not _references_exist(p):
        return False
    _begin(p, OperationKind.DEPLOY, wish, from_revision="" if active is None else active.name)
    if active is None:
        p.put(nonces=nonces_of(wish), lifecycle_state=LifecycleState.CREATED)
    else:
        p.put(lifecycle_state=LifecycleState.UPGRADING)
    return True


def _suspend(p: Pass, wish: FlinkJobSpec) -> bool:
    _taken_up(p)
    active = p.status.active_revision
    p.say("Normal", "Suspending", f"{active} is stopped, as spec.job.state asks")
    running = p.status.lifecycle_state is not LifecycleState.FINISHED
    p.begin(OperationKind.SUSPEND, Step.STOPPING, from_revision=active, upgrade_mode=wish.job.upgrade_mode)
    if running and wish.job.upgrade_mode == "savepoint":
        return ask_for_savepoint(p, wish)
    return True


def _scale(p: Pass, active: Revision, found: Difference) -> bool:
    if not _references_exist(p):
        return False
    if p.edited:
        p.say("Normal", "SpecChanged", found.sentence())
    _taken_up(p)
    p.begin(
        OperationKind.SCALE,
        Step.STARTING,
        revision=active.name,
        from_revision=active.name,
        reason=found.sentence(),
        trigger_id=p.fresh_id("scale"),
    )
    return True


def _begin(p: Pass, kind: OperationKind, wish: FlinkJobSpec, **fields: Any) -> None:
    _taken_up(p)
    name = _name(p)
    kept = p.revision(name)
    if kept is None or kept.spec != wish:
        p.keep(name, p.job.generation, wish)
    p.begin(kind, Step.PREPARING, revision=name, upgrade_mode=wish.job.upgrade_mode, **fields)


def _name(p: Pass) -> str:
    """Of the object's version of the spec; one under which nothing was started yet."""
    taken = {record.name for record in p.status.revisions} | {p.status.active_revision}
    if isinstance(p.seen.store, StoreFacts):
        taken.add(p.seen.store.ruling_revision)
    name = revision_name(p.job)
    while name in taken:
        name = another_name(name)
    return name


def _taken_up(p: Pass) -> bool:
    p.put(observed_generation=p.job.generation)
    return False


def _state_allows(p: Pass, active: Revision, wish: FlinkJobSpec) -> bool:
    """What the API server refuses as well, unless it has an older definition, or there is none."""
    errors = check_state(active.spec, wish, p.status.max_parallelism)
    if not errors:
        return True
    if p.edited:
        p.say("Warning", "ValidationError", sentence_of(errors))
        _taken_up(p)
    p.complain("ValidationError", sentence_of(errors))
    look_after(p, active)
    return False


def _references_exist(p: Pass) -> bool:
    missing = p.missing()
    if isinstance(missing, Unknown):
        p.complain("ReferencesUnknown", f"it cannot be seen whether what the spec refers to exists: {missing.reason}")
        p.wait("what the spec refers to", 5.0)
        return False
    if not missing:
        return True
    sentence = sentence_of(missing)
    if p.edited:
        p.say("Warning", "ValidationError", sentence)
        p.put(observed_generation=p.job.generation)
    p.complain("ReferencesMissing", sentence)
    p.look_again(10.0)
    active = p.revision(p.status.active_revision)
    if active is not None and p.status.lifecycle_state is not LifecycleState.SUSPENDED:
        look_after(p, active)
    return False
