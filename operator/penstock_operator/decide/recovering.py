"""A revision that should run, does: what is missing is applied again, and its job is started where it waits. Pure.

The JobManager recovers the job by itself when the journal says that its own revision rules; so most of this is seeing
to it that there is a JobManager, and TaskManagers.
"""

from penstock_operator.decide.acts import Deploy
from penstock_operator.decide.complaints import REASONS, cannot_run
from penstock_operator.decide.facts import Deployed, JobAnswer, Revision, StandbyState, Trouble, Unknown
from penstock_operator.decide.naming import another_name
from penstock_operator.decide.policies import ENDING_S
from penstock_operator.decide.preparing import lifecycle_of_active
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import LifecycleState, OperationKind, Step

_APPLIED_AGAIN_S = 10
"""Every so many seconds, by the clock alone: nothing has to be written down for it."""
_ENDED = {"FINISHED": LifecycleState.FINISHED, "FAILED": LifecycleState.FAILED, "CANCELED": LifecycleState.FAILED}


def look_after(p: Pass, active: Revision) -> bool:
    """Whether something was begun, to be gone on with in this pass."""
    children = p.deployed.get(active.name)
    finished = p.status.lifecycle_state is LifecycleState.FINISHED
    if children is None and finished:
        return False
    if children is None or (children.drifted and not children.being_removed):
        if children is None:
            p.say("Warning", "ProcessesLost", f"the processes of {active.name} are gone, and are made again")
        p.act(Deploy(active.name, active.spec))
        p.look_again(1.0)
    answer = p.answer(active.name)
    if children is not None and _waits_for_processes(answer):
        _tell_trouble(p, active, children)
    if isinstance(answer, Unknown):
        p.look_again(1.0)
        return False
    return _heed(p, active, answer)


def _waits_for_processes(answer: JobAnswer | Unknown) -> bool:
    return isinstance(answer, Unknown) or answer.job_state in ("RESTARTING", "CREATED", "INITIALIZING")


def _tell_trouble(p: Pass, active: Revision, children: Deployed) -> None:
    """Why the job does not come back."""
    for what, processes in (("JobManager", children.jobmanager), ("TaskManagers", children.taskmanagers)):
        if processes.trouble is None:
            continue
        p.complain(REASONS[processes.trouble], cannot_run(what, active.name, processes))
        if processes.trouble is Trouble.CONFIG and p.now_ms // 1_000 % _APPLIED_AGAIN_S == 0:
            # The token is in a Secret, which is not watched: should somebody have deleted it, it is made anew.
            p.act(Deploy(active.name, active.spec))


def _heed(p: Pass, active: Revision, answer: JobAnswer) -> bool:
    match answer.state:
        case StandbyState.WAITING:
            p.begin(OperationKind.DEPLOY, Step.STARTING, revision=active.name, from_revision=active.name)
            return True
        case StandbyState.FAILED:
            p.complain("ScriptFailed", f"the script of {active.name} cannot be run: {answer.error}")
            p.look_again(10.0)
        case StandbyState.LOADING | StandbyState.STARTING:
            p.look_again(1.0)
        case StandbyState.STARTED | StandbyState.ENDED:
            return _follow_job(p, active, answer)
    return False


def _go_on_from_stop(p: Pass, active: Revision, path: str) -> bool:
    """Somebody stopped the job, or a savepoint that was given up came after all; the spec says that it runs."""
    name = another_name(active.name)
    p.say("Normal", "StoppedOutside", f"the job was stopped with {path}, and goes on from it")
    p.keep(name, active.generation, active.spec)
    p.begin(OperationKind.DEPLOY, Step.PREPARING, revision=name, from_revision=active.name, upgrade_mode="last-state")
    return True


def _watch_on(p: Pass, active: Revision) -> bool:
    """Something came between before it was stable: whether it becomes so is watched again."""
    record = next((known for known in p.status.revisions if known.name == active.name), None)
    before = "" if p.status.stable_revision == active.name else p.status.stable_revision
    p.begin(
        OperationKind.DEPLOY,
        Step.SETTLING,
        revision=active.name,
        from_revision=before,
        origin=None if record is None else record.origin,
    )
    return True


def _follow_job(p: Pass, active: Revision, answer: JobAnswer) -> bool:
    ended = _ENDED.get(answer.job_state)
    if ended is LifecycleState.FINISHED and p.status.lifecycle_state is not ended:
        store = p.store()
        if isinstance(store, Unknown):
            p.look_again(5.0)
            return False
        if store.stopped_path is not None:
            return _go_on_from_stop(p, active, store.stopped_path)
    if ended is None:
        if p.status.lifecycle_state in (LifecycleState.FAILED, LifecycleState.FINISHED, LifecycleState.UPGRADING):
            p.put(lifecycle_state=lifecycle_of_active(p))
        if answer.job_state != "RUNNING":
            p.look_again(1.0)
        elif answer.bounded:
            p.look_again(ENDING_S)
        return p.status.lifecycle_state is LifecycleState.DEPLOYED and _watch_on(p, active)
    if ended is not p.status.lifecycle_state:
        _tell_end(p, active, answer, ended)
        p.put(lifecycle_state=ended)
    if ended is LifecycleState.FAILED:
        p.complain("JobFailed", f"the job ended as {answer.job_state}: {answer.failure or 'no cause is known'}")
    return False


def _tell_end(p: Pass, active: Revision, answer: JobAnswer, ended: LifecycleState) -> None:
    """A job that came to its end has got over whatever failed before."""
    if ended is LifecycleState.FINISHED:
        p.say("Normal", "JobFinished", f"the job of {active.name} came to its end")
        return
    cause = answer.failure or "no cause is known"
    p.say("Warning", "JobFailed", f"the job of {active.name} ended as {answer.job_state}: {cause}")
