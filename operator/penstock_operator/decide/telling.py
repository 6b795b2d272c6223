"""What a person would ask about afterwards, told as events when the status shows it for the first time. Pure.

Procedures tell what they do; this tells what happened to the job by itself. Called only for a status that will be
written, since otherwise the same would be told again at the next pass.
"""

from penstock_operator.decide.facts import JobAnswer, StoreFacts
from penstock_operator.decide.times import written
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import Status, Step

_SILENT = "RECONCILING"
_COMING_BACK = ("INITIALIZING", "CREATED", "FAILING")
"""Of a job that ran before: its JobManager was seen between its silence and the job's return."""


def tell_what_happened(p: Pass, now: Status) -> None:
    """From the stored status to the one that is written."""
    before = p.job.status
    if before.active_revision != now.active_revision or not now.active_revision:
        return
    _tell_damage(p)
    settling = now.operation is None or now.operation.step is Step.SETTLING
    if settling and before.job_status is not None and now.job_status is not None:
        _tell_silence(p, before, now)
        _tell_restarts(p, before, now)
        _tell_lost_workers(p, before, now)


def _tell_silence(p: Pass, before: Status, now: Status) -> None:
    assert before.job_status is not None and now.job_status is not None
    was, state = before.job_status.state, now.job_status.state
    if was == "RUNNING" and state == _SILENT:
        p.say("Warning", "JobManagerLost", f"the JobManager of {now.active_revision} does not answer")
    elif state == "RUNNING" and (was in (_SILENT, "RESTARTING") or (now.operation is None and was in _COMING_BACK)):
        last = now.checkpoints.last_completed
        p.say("Normal", "Restored", "the job runs again" + ("" if last is None else f", from {last.path} or later"))


def _tell_restarts(p: Pass, before: Status, now: Status) -> None:
    more = now.checkpoints.restarts - before.checkpoints.restarts
    answer = (p.seen.answers or {}).get(now.active_revision)
    if more > 0 and isinstance(answer, JobAnswer):
        p.say("Warning", "JobRestarted", answer.failure or "no cause is known")


def _tell_lost_workers(p: Pass, before: Status, now: Status) -> None:
    lost = before.task_managers.ready - now.task_managers.ready
    if lost > 0 and now.active_revision in p.deployed and now.task_managers.replicas == before.task_managers.replicas:
        p.say("Warning", "TaskManagerLost", f"{now.task_managers.ready} of {now.task_managers.replicas} are ready")


def _tell_damage(p: Pass) -> None:
    store = p.seen.store
    if not isinstance(store, StoreFacts) or not store.damaged:
        return
    if not any(known.message == store.damaged for known in p.job.status.conditions):
        p.say("Warning", "CheckpointCorrupt", f"{store.damaged}; {_window(store)}")


def _window(store: StoreFacts) -> str:
    """Which data that concerns."""
    if not store.recoverable:
        return "there is nothing before it to go on from"
    return f"the job goes on from {store.newest_path}: what came after {written(store.newest_time_ms)} is read again"
