"""From what state a revision is started; from none, where some is known to exist, only if that was asked for. Pure."""

from penstock_operator.decide.complaints import no_store
from penstock_operator.decide.facts import StoreFacts, Unknown
from penstock_operator.decide.whereabouts import moves
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import Operation, OperationKind, Origin

EMPTY = Origin("empty")
NEWEST = Origin("newest")


def origin_of_start(p: Pass, spec: FlinkJobSpec) -> Origin | None:
    """Of the operation under way. None: it cannot be told yet, or must not be; what is missing was said."""
    operation = p.operation
    if operation.origin is not None:
        return operation.origin
    if operation.kind is not OperationKind.ROLLBACK and operation.upgrade_mode == "stateless":
        initial = initial_path(operation, spec)
        return EMPTY if initial is None else Origin("savepoint", initial)
    store = p.store()
    if isinstance(store, Unknown):
        no_store(p, store)
        return None
    if operation.kind is OperationKind.ROLLBACK:
        return _of_rollback(p, store, spec)
    if has_finished(store):
        return EMPTY
    if store.recoverable:
        return _newest(p, store, spec)
    initial = initial_path(operation, spec)
    if initial is not None:
        return Origin("savepoint", initial)
    if may_be_empty(p, store) or spec.job.allow_empty_state:
        return EMPTY
    p.complain(
        "StateMissing",
        "the job had state, and its journal has none that it could go on from; it is not started empty unless "
        "spec.job.allowEmptyState is true or spec.job.upgradeMode is stateless",
    )
    p.wait("state to go on from", 10.0)
    return None


def initial_path(operation: Operation, spec: FlinkJobSpec) -> str | None:
    """Where a FlinkJob that was never run begins."""
    first = operation.kind is OperationKind.DEPLOY and not operation.from_revision
    return spec.job.initial_savepoint_path if first else None


def has_finished(store: StoreFacts) -> bool:
    """Whether a bounded job came to its end: there is nothing to go on from, it would be run again."""
    return store.ended == "FINISHED" and store.stopped_path is None


def may_be_empty(p: Pass, store: StoreFacts) -> bool:
    """Whether an empty start loses nothing: there never was state, or what ran last began without and has none."""
    began_empty = store.started_from == "empty" and store.completed_in_reign == 0
    return not store.recoverable and (not p.status.state_exists or (store.exists and began_empty))


def elsewhere(p: Pass, spec: FlinkJobSpec) -> bool:
    """Whether the revision to be started keeps its journal at another place than the one that rules."""
    ruling = p.revision(p.status.active_revision)
    return ruling is not None and moves(ruling.spec, spec)


def _newest(p: Pass, store: StoreFacts, spec: FlinkJobSpec) -> Origin:
    if store.newest_path and elsewhere(p, spec):
        return Origin("savepoint", store.newest_path)
    return NEWEST


def _of_rollback(p: Pass, store: StoreFacts, spec: FlinkJobSpec) -> Origin | None:
    """Where the failed version began, as long as it has completed nothing; otherwise what it has completed."""
    failed_ruled = store.ruling_revision == p.operation.from_revision
    if p.operation.previous_path and not (failed_ruled and store.completed_in_reign):
        return Origin("savepoint", p.operation.previous_path)
    if store.recoverable:
        return _newest(p, store, spec)
    return EMPTY if may_be_empty(p, store) else None
