"""Which savepoints and revisions are not kept any longer: by count, age and pin, and never one that is needed. Pure.

A record is marked before its files are removed, and goes when they are seen to be gone, so that nothing is left behind
by an operator that dies in between.
"""

from typing import Final

import msgspec

from penstock_operator.decide.acts import ForgetRevision
from penstock_operator.decide.old_checkpoints import is_due, retain_checkpoints, tell_what_would_go
from penstock_operator.decide.savepoints import in_use
from penstock_operator.decide.snapshot_objects import dispose_of
from penstock_operator.decide.times import elapsed_s
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.status import SavepointRecord
from penstock_operator.model.values import duration_s

_AT_ONCE_MAX: Final = 5


def retain(p: Pass) -> None:
    """Only while nothing is under way: an operation may need anything."""
    if p.status.operation is not None or p.policy is None:
        return
    _mark(p, p.policy)
    marked = [record for record in p.status.savepoints if record.removing]
    for record in marked[:_AT_ONCE_MAX]:
        if dispose_of(p, record.path):
            p.put(savepoints=tuple(known for known in p.status.savepoints if known.path != record.path))
            p.say("Normal", "SavepointRemoved", f"{record.path} is beyond what spec.snapshots.history keeps")
    retain_checkpoints(p, p.policy)
    _forget(p)


def _mark(p: Pass, spec: FlinkJobSpec) -> None:
    """All the savepoints that the operator took, but those of FlinkStateSnapshots, which go with their objects."""
    history = spec.snapshots.history
    age_s = None if history.age is None else duration_s(history.age)
    dry_run = spec.checkpoints.retention.dry_run
    seen = 0
    records: list[SavepointRecord] = []
    gone: list[str] = []
    for record in p.status.savepoints:
        needed = in_use(p, record.path) or spec.checkpoints.retention.pins(record.path) or record.cause == "snapshot"
        seen += not needed
        old = age_s is not None and elapsed_s(record.time, p.now_ms) > age_s
        goes = not needed and (record.removing or seen > history.count or old)
        gone += [f"{record.path} ({record.size} bytes, of {record.time})"] if goes else []
        removing = goes and not dry_run
        records.append(msgspec.structs.replace(record, removing=removing) if removing != record.removing else record)
    p.put(savepoints=tuple(records))
    if dry_run and is_due(p, spec):
        tell_what_would_go(p, gone)


def _forget(p: Pass) -> None:
    """Revisions that nobody goes back to."""
    known = {record.name for record in p.status.revisions} | {p.status.active_revision, p.status.stable_revision}
    if p.status.active_revision:
        p.act(*(ForgetRevision(name) for name in p.kept if name not in known and name not in p.deployed))
