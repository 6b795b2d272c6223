"""How a JobManager begins to rule a job: takes the epoch, chooses what to start from, checks that it fits.

Blocking; called in a thread once at the start. After it, whoever ruled before can publish nothing more.

Step a fault test may stop at: `restore.start.before`, besides those of the journal and of recovery.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import final

from penstock.base.clock import Clock, SystemClock
from penstock.base.errors import IncompatibleState, StorageError, StoreRefused, StoreUnavailable
from penstock.base.ids import CheckpointId, JobId
from penstock.base.steps import reached
from penstock.checkpoint.assign import Assignment, OperatorTarget, assign
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import IDS_AHEAD, FromEmpty, FromSavepoint, IdsReserved, JournalState, Started
from penstock.checkpoint.recovery import Recovery, RestorePlan, retained_of
from penstock.checkpoint.retention import Retention
from penstock.checkpoint.savepoints import address_of
from penstock.common.options import checkpointing
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.parallelism import as_rescaled
from penstock.storage.objects import ObjectStore


@final
@dataclass(frozen=True, slots=True)
class Reign:
    """What the master of a job begins with."""

    journal: Journal
    plan: RestorePlan
    assignment: Assignment | None
    """None: it starts without state."""
    graph: JobGraph
    """With the max parallelism that the state dictates, at the parallelism that it was last rescaled to."""
    retention: Retention
    first_id: CheckpointId
    """Of checkpoints and savepoints that begin in this reign."""
    ended: str | None
    """The job came to this end before; nothing is to be run."""


def begin_reign(
    store: ObjectStore,
    job: JobId,
    graph: JobGraph,
    owner: str,
    *,
    open_root: Callable[[str], ObjectStore],
    restore_path: str | None,
    claim: bool,
    allow_older: bool,
    allow_unclaimed: bool,
    retained_max: int,
    probe: bool,
    clock: Clock,
    rng: Random,
) -> Reign:
    """Take the epoch, and decide from what the job starts. Raises what makes a start impossible, in a sentence."""
    if probe:
        try:
            store.probe()
        except StorageError as error:
            kind = StoreUnavailable if isinstance(error, StoreUnavailable) else StoreRefused
            raise kind(f"checkpoints cannot be kept where {checkpointing.DIRECTORY.key} says: {error}") from error
    journal = Journal(store, job, owner, clock=clock, rng=rng)
    # Whoever brings the wrong program does not depose who drives the right one.
    _check_program(job, journal.open(), graph)
    journal.take_epoch()
    state = journal.state
    retention = Retention(
        retained_max, retained_of(store, state), first_id=state.first_id, owns_origin=state.owns_origin
    )
    if state.terminal:
        plan = RestorePlan(FromEmpty())
        return Reign(journal, plan, None, graph, retention, state.first_id, state.finished or "FINISHED")
    recovery = Recovery(store, job, open_root, allow_older, journal.confirm)
    graph = as_rescaled(graph, state.rescaled)
    plan = _plan(recovery, state, graph, restore_path, claim=claim)
    assignment = assignment_of(plan, graph, allow_unclaimed=allow_unclaimed)
    graph = _with_max_parallelism(graph, assignment)
    first_id = _first_id(journal, plan)
    if state.stopped is None:  # A job that was stopped does not start again: it ends.
        reached("restore.start.before")
        journal.append(Started(plan.origin, graph.fingerprint))
    retention.turned_to(plan.checkpoint)
    if state.started is None and journal.state.owns_origin:
        retention.claim_origin()
    return Reign(journal, plan, assignment, graph, retention, first_id, None)


def assignment_of(plan: RestorePlan, graph: JobGraph, *, allow_unclaimed: bool) -> Assignment | None:
    """Which state each subtask of the graph gets; None without state."""
    if plan.metadata is None:
        return None
    return assign(plan.metadata.checkpoint, plan.metadata.operators, targets(graph), allow_unclaimed=allow_unclaimed)


def targets(graph: JobGraph) -> list[OperatorTarget]:
    """All operators of the graph, as state is assigned to them."""
    return [
        OperatorTarget(op.uid, op.name, vertex.parallelism, vertex.max_parallelism, vertex.max_parallelism_given)
        for vertex in graph.vertices
        for op in vertex.chain
    ]


def _plan(
    recovery: Recovery, state: JournalState, graph: JobGraph, restore_path: str | None, *, claim: bool
) -> RestorePlan:
    if state.started is None:
        if not restore_path:
            return RestorePlan(FromEmpty())
        plan = recovery.of(FromSavepoint(address_of(restore_path), claim))
        if claim and plan.metadata is not None and plan.metadata.kind == "checkpoint":
            _check_unled(recovery, plan.metadata.job, address_of(restore_path))
        return plan
    _check_program(recovery.job, state, graph)
    return recovery.plan(state)


def _check_program(job: JobId, state: JournalState, graph: JobGraph) -> None:
    started = state.started
    if started is not None and not state.terminal and started.fingerprint != graph.fingerprint:
        raise IncompatibleState(
            f"job {job} was started with another program: its graph had fingerprint {started.fingerprint}, the script "
            f"now builds {graph.fingerprint}. Run the same script, or start a new job from its checkpoint"
        )


def _first_id(journal: Journal, plan: RestorePlan) -> CheckpointId:
    """Ids count on from what another job left behind: sinks tell by them what of theirs is older than a checkpoint."""
    state = journal.state
    if plan.metadata is None or plan.metadata.checkpoint < state.first_id:
        return state.first_id
    first_id = CheckpointId(plan.metadata.checkpoint + 1)
    if first_id >= state.ids_below:
        journal.append(IdsReserved(CheckpointId(first_id + IDS_AHEAD)))
    return first_id


def _check_unled(recovery: Recovery, job: JobId, address: str) -> None:
    """A checkpoint belongs to the job that took it until that has ended: it would delete it, or go on from it."""
    journal = Journal(recovery.open_root(address.rsplit("/", 2)[0]), job, "", clock=SystemClock(), rng=Random())
    state = journal.open()
    if state.slots and not state.terminal:
        raise IncompatibleState(
            f"{address} cannot be claimed: job {job}, which took it, has not ended. Cancel that job, or start with "
            f"{checkpointing.RECOVERY_CLAIM.key}: NO_CLAIM"
        )


def _with_max_parallelism(graph: JobGraph, assignment: Assignment | None) -> JobGraph:
    """State cannot change its number of key groups: a max parallelism that nobody chose gives way to it."""
    if assignment is None:
        return graph
    vertices = []
    for vertex in graph.vertices:
        restored = [assignment.operators[op.uid] for op in vertex.chain if op.uid in assignment.operators]
        given = {item.max_parallelism for item in restored} - {vertex.max_parallelism}
        vertices.append(replace(vertex, max_parallelism=given.pop()) if given else vertex)
    return replace(graph, vertices=tuple(vertices))
