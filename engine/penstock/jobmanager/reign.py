"""How a JobManager begins to rule a job: takes the epoch, chooses what to start from, checks that it fits.

Blocking; called in a thread once at the start. After it, whoever ruled before can publish nothing more.

Step a fault test may stop at: `restore.start.before`, besides those of the journal and of recovery.
"""

import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import Final, Literal, final

import msgspec
from msgspec.structs import replace

from penstock.base.clock import Clock, SystemClock
from penstock.base.errors import IncompatibleState, StorageError, StoreRefused, StoreUnavailable
from penstock.base.ids import CheckpointId, JobId
from penstock.base.steps import reached
from penstock.checkpoint.assign import Assignment, OperatorTarget, assign
from penstock.checkpoint.journal import Journal, Known
from penstock.checkpoint.journal_state import (
    IDS_AHEAD,
    Finished,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    IdsReserved,
    JournalState,
    Started,
)
from penstock.checkpoint.layout import checkpoint_folder
from penstock.checkpoint.recovery import Recovery, RestorePlan, retained_of
from penstock.checkpoint.retention import Retention
from penstock.checkpoint.savepoints import address_of
from penstock.common.options import checkpointing
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.keeping import own_checkpoints
from penstock.jobmanager.parallelism import as_rescaled
from penstock.jobmanager.standing import word_of
from penstock.storage.objects import ObjectStore

log: Final = logging.getLogger(__name__)


@final
class Reign(msgspec.Struct, frozen=True):
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


@final
class StartOrder(msgspec.Struct, frozen=True, kw_only=True):
    """From what somebody tells a JobManager to start the job, whatever the journal holds."""

    id: str
    """The teller's: a start is begun once under it."""
    kind: Literal["empty", "newest", "savepoint", "checkpoint"]
    path: str | None = None
    """Of the savepoint or checkpoint."""
    allow_unclaimed: bool = False
    claim: bool = False


@final
class GoOn(msgspec.Struct, frozen=True):
    """To go on with the job, unless it has become another owner's meanwhile."""


@final
class Ahead(msgspec.Struct, frozen=True):
    """What was found out before the start, while nobody waited for it."""

    known: Known | None = None
    """Of the journal."""
    probed: bool = False
    """That the store takes checkpoints."""


NOTHING_AHEAD: Final = Ahead()
Start = StartOrder | GoOn | None
"""None: to go on with it or to begin it, as the journal and the configuration say."""


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
    pinned: Iterable[str],
    probe: bool,
    clock: Clock,
    rng: Random,
    start: Start = None,
    known: Known | None = None,
) -> Reign:
    """Take the epoch, and decide from what the job starts. Raises what makes a start impossible, in a sentence.

    `pinned`: addresses of what is retained beside the newest checkpoints.
    A job that has begun by a StartOrder is gone on with. LeadershipLost when it is another's to go on with.
    """
    if probe:
        probe_store(store)
    journal = Journal(store, job, owner, clock=clock, rng=rng, known=known)
    state = journal.open()
    order = start if isinstance(start, StartOrder) and not has_begun(state, owner, start.id) else None
    if order is None:
        # Whoever brings the wrong program does not depose who drives the right one.
        check_program(job, state, graph)
    bound = start is not None and order is None
    journal.take_epoch(unless=lambda state: _not_ours(state, job, owner) if bound else None)
    state = journal.state
    retention = Retention(
        retained_max,
        retained_of(store, state),
        first_id=state.first_id,
        pinned=own_checkpoints(store, job, pinned, open_root),
        owns_origin=state.owns_origin,
    )
    if order is None and state.terminal:
        plan = RestorePlan(FromEmpty())
        return Reign(journal, plan, None, graph, retention, state.first_id, state.finished or "FINISHED")
    recovery = Recovery(store, job, open_root, allow_older, journal.confirm)
    graph = as_rescaled(graph, None if state.terminal else state.rescaled)
    if order is not None:
        plan, allow_unclaimed = told_plan(recovery, store, state, order), order.allow_unclaimed
    else:
        plan = _plan(recovery, state, graph, restore_path, claim=claim)
        # What the program may leave out was decided when it began.
        allow_unclaimed = allow_unclaimed or state.started is not None
    assignment = assignment_of(plan, graph, allow_unclaimed=allow_unclaimed)
    graph = _with_max_parallelism(graph, assignment)
    first_id = _first_id(journal, plan)
    if order is not None or state.stopped is None:  # A job that was stopped does not start by itself: it ends.
        reached("restore.start.before")
        _end_former_owner(open_root, plan, owner)
        journal.append(Started(plan.origin, graph.fingerprint, "" if order is None else order.id))
    retention.turned_to(plan.checkpoint)
    if (order is not None or state.started is None) and journal.state.owns_origin:
        retention.claim_origin()
    return Reign(journal, plan, assignment, graph, retention, first_id, None)


def _not_ours(state: JournalState, job: JobId, owner: str) -> str | None:
    if word_of(state, owner) == "wait":
        return f"job {job} is {state.owner}'s since epoch {state.epoch}: {owner} does not go on with it"
    return None


def probe_store(store: ObjectStore) -> None:
    """That checkpoints can be kept there: it can be written to, and refuses a second create. Changes nothing."""
    try:
        store.probe()
    except StorageError as error:
        kind = StoreUnavailable if isinstance(error, StoreUnavailable) else StoreRefused
        raise kind(f"checkpoints cannot be kept where {checkpointing.DIRECTORY.key} says: {error}") from error


def has_begun(state: JournalState, owner: str, start_id: str) -> bool:
    """Whether the job runs, or has run to its end, by this very start of this owner."""
    return state.started is not None and state.started_by == owner and state.started.start_id == start_id


def told_plan(recovery: Recovery, store: ObjectStore, state: JournalState, order: StartOrder) -> RestorePlan:
    """What an order means, verified."""
    match order.kind:
        case "empty":
            return RestorePlan(FromEmpty())
        case "newest":
            if state.started is None:
                raise IncompatibleState(
                    f"job {recovery.job} has never been started: there is no state of it in {store.uri}. Start it from "
                    "empty or from a savepoint"
                )
            return recovery.plan(state)
        case "savepoint" | "checkpoint":
            assert order.path is not None, "who says from what kind of state says from which"
            return _plan_of(recovery, store, state, address_of(order.path), claim=order.claim)


def _plan_of(recovery: Recovery, store: ObjectStore, state: JournalState, address: str, *, claim: bool) -> RestorePlan:
    here, own = recovery.open_root(address).uri.rstrip("/"), store.uri.rstrip("/")
    for completed in state.retained:
        if here == f"{own}/{checkpoint_folder(recovery.job, completed.id)}":
            # The job's own: later checkpoints build on its files, and it stays one of those that are retained.
            return recovery.of(FromCheckpoint(completed.id))
    plan = recovery.of(FromSavepoint(address, claim))
    metadata = plan.metadata
    if (
        metadata is not None
        and metadata.kind == "checkpoint"
        and metadata.job == recovery.job
        and here.startswith(f"{own}/")
    ):
        raise IncompatibleState(f"{address} is not retained any more: its files may be deleted at any time")
    return plan


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
        return recovery.of(FromSavepoint(address_of(restore_path), claim))
    check_program(recovery.job, state, graph)
    return recovery.plan(state)


def check_program(job: JobId, state: JournalState, graph: JobGraph) -> None:
    """IncompatibleState when the job is under way with a program other than this one."""
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


def _end_former_owner(open_root: Callable[[str], ObjectStore], plan: RestorePlan, owner: str) -> None:
    """Whoever claims a checkpoint ends the job that took it, if nobody has: a JobManager of it that sleeps, or is
    started again, would delete the checkpoint or go on from it. From here on it can publish nothing."""
    origin, metadata = plan.origin, plan.metadata
    if not isinstance(origin, FromSavepoint) or not origin.claimed or metadata is None or metadata.kind == "savepoint":
        return
    root = origin.path.rsplit("/", 2)[0]
    journal = Journal(open_root(root), metadata.job, owner, clock=SystemClock(), rng=Random())
    state = journal.open()
    if not state.slots or state.terminal:
        return
    if state.stopped is not None:
        raise IncompatibleState(
            f"{origin.path} cannot be claimed: job {metadata.job}, which took it, was stopped with savepoint "
            f"{state.stopped.path}, and has not committed yet what that holds. Start from that savepoint"
        )
    journal.take_epoch()
    journal.append(Finished("CANCELED", claimed=True))
    log.warning("the job whose checkpoint is claimed had not ended, and has now", extra={"job": metadata.job})


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
