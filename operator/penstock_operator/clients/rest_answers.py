"""What a JobManager answers, as the facts that a pass decides on. Pure: bytes in, facts out.

Fields that are not known are passed over; what is not an answer of ours at all is `NoAnswer`, never a guess.
"""

from typing import Final, TypeVar, final

import msgspec

from penstock_operator.decide.facts import JobAnswer, Preflight, StandbyState, TriggerAnswer, TriggerState
from penstock_operator.errors import OperatorError

T = TypeVar("T")
_COMPATIBLE: Final = {"COMPATIBLE": True, "INCOMPATIBLE": False}
_FAILURE_MAX: Final = 1_000


@final
class NoAnswer(OperatorError):
    """Somebody answered, but not as a JobManager does."""


class _Slots(msgspec.Struct):
    required: int
    registered: int


class _Preflight(msgspec.Struct):
    status: str
    against: str | None = None
    findings: tuple[str, ...] = ()


class _Standby(msgspec.Struct, rename="camel"):
    state: StandbyState
    slots: _Slots
    preflight: _Preflight
    start_id: str | None = None
    error: str | None = None


class _Job(msgspec.Struct, rename="camel"):
    state: str
    start_time: int
    parallelism: int
    restarts: int
    failure: str | None = None
    bounded: bool = False
    stopped_with: str | None = None


class _Checkpoint(msgspec.Struct, rename="camel"):
    id: int
    path: str
    trigger_time: int
    state_size: int


class _Checkpoints(msgspec.Struct, rename="camel"):
    completed: int
    failed: int
    last: _Checkpoint | None = None
    retained_max: int | None = None
    pinned: tuple[str, ...] | None = None


class _Summary(msgspec.Struct):
    standby: _Standby | None
    job: _Job | None = None
    checkpoints: _Checkpoints | None = None


class _StatusId(msgspec.Struct):
    id: str


class _Cause(msgspec.Struct, rename={"stack_trace": "stack-trace"}):
    stack_trace: str = ""


class _Operation(msgspec.Struct, rename={"savepoint_failure": "failure-cause", "checkpoint_failure": "failureCause"}):
    location: str | None = None
    checkpoint_id: int | None = msgspec.field(default=None, name="checkpointId")
    savepoint_failure: _Cause | None = None
    checkpoint_failure: _Cause | None = None


class _Trigger(msgspec.Struct):
    status: _StatusId
    operation: _Operation | None = None


class _Details(msgspec.Struct):
    external_path: str


class _Errors(msgspec.Struct):
    errors: tuple[str, ...] = ()


@final
class Triggered(msgspec.Struct, frozen=True):
    """What became of a trigger, as far as one answer says."""

    answer: TriggerAnswer
    checkpoint: int | None = None
    """A checkpoint that completed: its path is in another answer."""


def job_answer(data: bytes) -> JobAnswer:
    """Of `/penstock/summary`."""
    found = _decoded(data, _Summary)
    standby = found.standby
    if standby is None:
        raise NoAnswer("what answers is a JobManager that is not in standby: it was not started by this operator")
    job, checkpoints = found.job, found.checkpoints
    last = None if checkpoints is None else checkpoints.last
    return JobAnswer(
        standby.state,
        start_id=standby.start_id or "",
        error=standby.error or "",
        slots_required=standby.slots.required,
        slots_registered=standby.slots.registered,
        preflight=_preflight(standby.preflight),
        job_state="" if job is None else job.state,
        start_time_ms=0 if job is None else job.start_time,
        completed=0 if checkpoints is None else checkpoints.completed,
        failed=0 if checkpoints is None else checkpoints.failed,
        restarts=0 if job is None else job.restarts,
        checkpoint_id=None if last is None else last.id,
        checkpoint_path="" if last is None else last.path,
        checkpoint_time_ms=0 if last is None else last.trigger_time,
        checkpoint_bytes=0 if last is None else last.state_size,
        retained_max=None if checkpoints is None else checkpoints.retained_max,
        pinned=None if checkpoints is None else checkpoints.pinned,
        parallelism=None if job is None else job.parallelism,
        failure="" if job is None else (job.failure or "")[:_FAILURE_MAX],
        bounded=job is not None and job.bounded,
        stopped_with="" if job is None else job.stopped_with or "",
    )


def triggered(data: bytes) -> Triggered:
    """Of `/jobs/<id>/savepoints/<trigger>` and `/jobs/<id>/checkpoints/<trigger>`."""
    found = _decoded(data, _Trigger)
    operation = found.operation
    if found.status.id != "COMPLETED" or operation is None:
        return Triggered(TriggerAnswer(TriggerState.IN_PROGRESS))
    cause = operation.savepoint_failure or operation.checkpoint_failure
    if cause is not None:
        # `<class>: <sentence>`, and the class is for programs.
        first = cause.stack_trace.strip().partition("\n")[0]
        text = first.partition(": ")[2] or first or "no reason was given"
        return Triggered(TriggerAnswer(TriggerState.FAILED, failure=text[:_FAILURE_MAX]))
    return Triggered(TriggerAnswer(TriggerState.COMPLETED, path=operation.location or ""), operation.checkpoint_id)


def checkpoint_path(data: bytes) -> str:
    """Of `/jobs/<id>/checkpoints/details/<n>`, of one that completed."""
    return _decoded(data, _Details).external_path


def refusal(data: bytes, status: int) -> str:
    """The sentence of an answer that is no."""
    try:
        errors = _decoded(data, _Errors).errors
    except NoAnswer:
        errors = ()
    return "; ".join(errors)[:_FAILURE_MAX] or f"HTTP status {status}"


def _preflight(found: _Preflight) -> Preflight:
    return Preflight(_COMPATIBLE.get(found.status), found.against, found.findings)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoAnswer(f"what answers is no JobManager of this version: {error}") from error
