"""What the job's JobManager tells, taken over into the status, and how rarely that alone is a reason to write. Pure."""

from typing import Final

import msgspec

from penstock_operator.decide.facts import JobAnswer, StoreFacts
from penstock_operator.decide.naming import job_id
from penstock_operator.decide.times import elapsed_s, written
from penstock_operator.decide.working import Pass
from penstock_operator.model.status import Checkpoints, CompletedCheckpoint, JobStatus, Status, Step, TaskManagers
from penstock_operator.render.names import Owner

REFRESH_S: Final = 300.0
"""So old may the checkpoints in the status become while nothing else changes."""


def take_over(p: Pass) -> None:
    """From what was seen of the revision that rules."""
    _from_children(p)
    p.put(label_selector=Owner(p.job.namespace, p.job.name, p.job.uid).task_manager_selector)
    if isinstance(p.seen.store, StoreFacts):
        store = p.seen.store
        if store.recoverable and not _starts_anew(p):
            p.put(state_exists=True)
        if store.max_parallelism is not None:
            p.put(max_parallelism=store.max_parallelism)
    answer = (p.seen.answers or {}).get(p.status.active_revision)
    known = p.status.job_status or JobStatus(job_id(p.job))
    if p.status.active_revision not in p.deployed:
        if p.status.job_status is not None:
            state = known.state if known.state in ("FINISHED", "FAILED", "CANCELED") else ""
            p.put(job_status=msgspec.structs.replace(known, state=state))
    elif isinstance(answer, JobAnswer) and answer.job_state:
        _from_answer(p, answer, known)
    elif answer is not None:
        p.put(job_status=msgspec.structs.replace(known, state="RECONCILING"))


def worth_writing(p: Pass) -> Status:
    """The status as it is to be written: the stored one, where nothing but checkpoints' figures changed lately."""
    stored = p.job.status
    same = msgspec.structs.replace(p.status, checkpoints=stored.checkpoints) == stored
    recent = msgspec.structs.replace(p.status.checkpoints, refreshed_at=stored.checkpoints.refreshed_at)
    calm = recent.restarts == stored.checkpoints.restarts
    if (
        same
        and calm
        and (recent == stored.checkpoints or elapsed_s(stored.checkpoints.refreshed_at, p.now_ms) < REFRESH_S)
    ):
        return stored
    if recent != stored.checkpoints:
        return msgspec.structs.replace(
            p.status, checkpoints=msgspec.structs.replace(p.status.checkpoints, refreshed_at=p.now)
        )
    return p.status


def _starts_anew(p: Pass) -> bool:
    """Whether what the store has is what a start without state has turned away from."""
    operation = p.status.operation
    return (
        operation is not None
        and operation.step is Step.SETTLING
        and operation.origin is not None
        and (operation.origin.kind == "empty")
    )


def _from_children(p: Pass) -> None:
    children = p.deployed.get(p.status.active_revision)
    if children is None:
        p.put(task_managers=TaskManagers())
        return
    seen = children.taskmanagers
    p.put(task_managers=TaskManagers(seen.wanted, seen.ready, seen.restarts))


def _from_answer(p: Pass, answer: JobAnswer, known: JobStatus) -> None:
    started = written(answer.start_time_ms) if answer.start_time_ms else known.start_time
    last = p.status.checkpoints.last_completed
    if answer.checkpoint_id is not None:
        last = CompletedCheckpoint(
            answer.checkpoint_id, answer.checkpoint_path, written(answer.checkpoint_time_ms), answer.checkpoint_bytes
        )
    p.put(
        job_status=JobStatus(known.job_id or job_id(p.job), answer.job_state, started),
        checkpoints=Checkpoints(
            last, answer.completed, answer.failed, answer.restarts, p.status.checkpoints.refreshed_at
        ),
        state_exists=p.status.state_exists or answer.completed > 0,
    )
    if answer.parallelism is not None:
        p.put(parallelism=answer.parallelism)
