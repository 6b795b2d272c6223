"""Which retained checkpoints are not kept any longer: by count, age and pin, and never one that is needed. Pure.

While a JobManager lives it keeps as many as it was told, and is asked to remove those that are too old; while none
does, the operator removes both in the store. Looked at from time to time, and when the spec has changed.
"""

from typing import Final

from penstock_operator.decide.acts import Dispose, RetainCheckpoints
from penstock_operator.decide.facts import Checkpoint, JobAnswer, Unknown
from penstock_operator.decide.naming import job_id
from penstock_operator.decide.savepoints import in_use
from penstock_operator.decide.snapshots import nothing_runs, runs
from penstock_operator.decide.working import STEADY_S, Pass
from penstock_operator.model.spec import FlinkJobSpec
from penstock_operator.model.values import duration_s

_LOOKS_S: Final = (120.0, 3_600.0)
"""Between two looks: a quarter of the age, within these."""
_AGAIN_S: Final = 5.0
_WINDOW_S: Final = 1.5 * STEADY_S
"""A look is taken by whatever pass comes within so long after it was due: one does, and nothing has to be written."""


def retain_checkpoints(p: Pass, spec: FlinkJobSpec) -> None:
    """Only while nothing is under way."""
    age = spec.checkpoints.retention.age
    age_s = None if age is None else duration_s(age)
    alive = not nothing_runs(p)
    if alive and runs(p):
        _tell_count(p, spec)
    if alive and (age_s is None or not runs(p)):
        return  # A JobManager whose job does not run removes none.
    if spec.checkpoints.dir is None or not _is_due(p, age_s):
        return
    kept = p.retained()
    if isinstance(kept, Unknown):
        return
    remover = p.status.active_revision if alive else ""
    gone = [known.path for number, known in enumerate(kept) if _goes(p, spec, known, number, age_s)]
    if gone:
        what = gone[0] if len(gone) == 1 else f"{len(gone)} checkpoints up to {gone[0]}"
        p.say("Normal", "CheckpointRemoved", f"{what}: beyond what spec.checkpoints.retention keeps")
        p.act(Dispose(tuple(gone), remover))


def _tell_count(p: Pass, spec: FlinkJobSpec) -> None:
    """A JobManager that was started with another count is told, and needs no upgrade for it."""
    answer, count = p.answer(p.status.active_revision), spec.checkpoints.retention.count
    if isinstance(answer, JobAnswer) and answer.retained_max not in (None, count):
        p.act(RetainCheckpoints(p.status.active_revision, count))
        p.look_again(_AGAIN_S)


def _goes(p: Pass, spec: FlinkJobSpec, checkpoint: Checkpoint, number: int, age_s: float | None) -> bool:
    retention = spec.checkpoints.retention
    if checkpoint.needed or checkpoint.path in retention.pin or in_use(p, checkpoint.path):
        return False
    surplus = number >= retention.count and not p.deployed
    known = age_s is not None and checkpoint.time_ms > 0
    return surplus or (known and age_s is not None and p.now_ms - checkpoint.time_ms > age_s * 1_000)


def _is_due(p: Pass, age_s: float | None) -> bool:
    if p.job.generation != p.job.status.observed_generation:
        return True
    shortest_s, longest_s = _LOOKS_S
    interval_s = longest_s if age_s is None else min(longest_s, max(shortest_s, age_s / 4))
    share = int(job_id(p.job)[:8], 16) / 0x1_0000_0000  # Not all jobs at once.
    return (p.now_ms / 1_000 + share * interval_s) % interval_s < _WINDOW_S
