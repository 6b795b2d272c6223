"""In which of two specs the place stands where a job's state lies. Pure.

Both worlds ask before they look into a store; the procedures ask whether an upgrade leaves the place behind.
"""

from collections.abc import Sequence

from penstock_operator.decide.facts import JobObject, Revision
from penstock_operator.model.spec import FlinkJobSpec


def spec_of_state(job: JobObject, revisions: Sequence[Revision]) -> FlinkJobSpec | None:
    """What was applied last, since credentials may have been mended there; but while the job still rules at another
    place, that of the revision that rules."""
    applied = job.spec
    ruling = next((known.spec for known in revisions if known.name == job.status.active_revision), None)
    if ruling is None:
        newest = max(revisions, key=lambda known: known.generation, default=None)
        return applied or (None if newest is None else newest.spec)
    return applied if applied is not None and not moves(ruling, applied) else ruling


def moves(old: FlinkJobSpec, new: FlinkJobSpec) -> bool:
    """Whether the new one finds nothing in its journal of what the old one has done."""
    return (old.checkpoints.dir or "").rstrip("/") != (new.checkpoints.dir or "").rstrip("/")
