"""What a pass looks at: no more than its decision needs, so that a steady job costs one call."""

from dataclasses import dataclass
from typing import Literal, final

from penstock_operator.decide.facts import JobObject
from penstock_operator.decide.naming import revision_name
from penstock_operator.model.status import LifecycleState, Operation, OperationKind, Step

TriggerKind = Literal["savepoint", "checkpoint", "rescaling"]


@final
@dataclass(frozen=True, slots=True)
class Children:
    """Which processes exist, of which revisions, and how they are."""


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """What a revision's JobManager says of itself and its job."""

    revision: str


@final
@dataclass(frozen=True, slots=True)
class Trigger:
    """What became of what the job was asked for."""

    revision: str
    trigger_id: str
    kind: TriggerKind


@final
@dataclass(frozen=True, slots=True)
class Store:
    """What the journal says."""


@final
@dataclass(frozen=True, slots=True)
class Retained:
    """Which checkpoints are retained."""


@final
@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the savepoint in this folder is whole."""

    directory: str
    """The folder that it was asked to be written in, or its own."""


@final
@dataclass(frozen=True, slots=True)
class References:
    """Whether what the spec refers to exists."""


Question = Children | Answer | Trigger | Store | Retained | Verification | References
"""Revisions and the job's FlinkStateSnapshots are always at hand: a watch keeps them."""


def questions(job: JobObject) -> frozenset[Question]:
    """What this pass will most likely need, asked at once. What it needs beyond that, `decide` asks for."""
    status = job.status
    operation = status.operation
    found: set[Question] = {Children()}
    if not status.observed_generation and not job.paused:
        found |= {Store(), References(), Answer(revision_name(job))}  # It is new, and most likely to be deployed.
    if status.active_revision and status.lifecycle_state is not LifecycleState.SUSPENDED:
        found.add(Answer(status.active_revision))
    if status.job_status is not None and status.job_status.state == "RECONCILING":
        found.add(Store())  # Whoever comes back may have found its newest checkpoint damaged.
    if operation is not None:
        found |= {Answer(name) for name in (operation.revision, operation.from_revision) if name}
        found |= _of_step(operation)
    found |= {Trigger(status.active_revision, pending.trigger_id, pending.kind) for pending in status.pending}
    found |= {Verification(record.path) for record in status.savepoints if record.removing}
    return frozenset(found)


def _of_step(operation: Operation) -> set[Question]:
    if operation.kind is OperationKind.SCALE:
        return {Trigger(operation.revision, operation.trigger_id, "rescaling")}
    match operation.step:
        case Step.SAVEPOINTING:
            return {Trigger(operation.from_revision, operation.trigger_id, "savepoint")}
        case Step.VERIFYING:
            return {Store(), Verification(operation.savepoint_dir)}
        case Step.STARTING if operation.origin is None:
            return {Store()}
        case Step.CLEANING:
            return {Store()}
        case _:
            return set()
