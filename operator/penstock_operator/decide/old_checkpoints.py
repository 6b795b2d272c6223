"""Which retained checkpoints are not kept any longer: by count, age and pin, and never one that is needed. Pure.

While a JobManager drives the job it keeps as many as it was told and what is pinned, and is asked to remove those that
are too old; one whose job has ended is asked for both; while none lives, the operator removes them in the store.
Looked at from time to time, and when the spec has changed.
"""

from collections.abc import Sequence
from typing import Final

from penstock_operator.decide.acts import Dispose, RetainCheckpoints
from penstock_operator.decide.facts import Checkpoint, JobAnswer, StandbyState, Unknown
from penstock_operator.decide.naming import job_id
from penstock_operator.decide.savepoints import in_use
from penstock_operator.decide.snapshots import nothing_runs, runs
from penstock_operator.decide.times import written
from penstock_operator.decide.working import STEADY_S, Pass
from penstock_operator.model.spec import FlinkJobSpec, Retention
from penstock_operator.model.status import LifecycleState
from penstock_operator.model.values import duration_s

_LOOKS_S: Final = (120.0, 3_600.0)
"""Between two looks: a quarter of the age, within these."""
_AGAIN_S: Final = 5.0
_TOLD_MAX: Final = 20
"""Events of one look in a dry run."""
_WINDOW_S: Final = 1.5 * STEADY_S
"""A look is taken by whatever pass comes within so long after it was due: one does, and nothing has to be written."""


def retain_checkpoints(p: Pass, spec: FlinkJobSpec) -> None:
    """Only while nothing is under way."""
    retention, running = spec.checkpoints.retention, runs(p)
    if running:
        _tell(p, spec)
    remover = "" if nothing_runs(p) else p.status.active_revision
    if remover and not (running or _has_ended(p)):
        return  # Whoever is just being made again would lose the epoch.
    by_count = not running or retention.dry_run
    if spec.checkpoints.dir is None or not (by_count or retention.age) or not is_due(p, spec):
        return
    kept = p.retained()
    gone = () if isinstance(kept, Unknown) else _beyond(p, spec, kept, by_count=by_count)
    if gone and retention.dry_run:
        tell_what_would_go(
            p, tuple(f"{known.path} ({known.size} bytes, of {written(known.time_ms)})" for known in gone)
        )
    elif gone:
        what = gone[0].path if len(gone) == 1 else f"{len(gone)} checkpoints up to {gone[0].path}"
        p.say("Normal", "CheckpointRemoved", f"{what}: beyond what spec.checkpoints.retention keeps")
        p.act(Dispose(tuple(known.path for known in gone), remover))


def tell_what_would_go(p: Pass, found: Sequence[str]) -> None:
    """In a dry run. What each says stays the same, so that looking again does not tell it anew."""
    for what in found[:_TOLD_MAX]:
        p.say("Normal", "RetentionDryRun", f"without spec.checkpoints.retention.dryRun this would go: {what}")
    if len(found) > _TOLD_MAX:
        p.say("Normal", "RetentionDryRun", f"and {len(found) - _TOLD_MAX} more")


def _has_ended(p: Pass) -> bool:
    """Whether the JobManager that lives has driven the job to its end. One that was started after it rules nothing."""
    ended = p.status.lifecycle_state in (LifecycleState.FINISHED, LifecycleState.FAILED)
    if not ended or p.status.active_revision not in p.deployed:
        return False
    answer = p.answer(p.status.active_revision)
    return isinstance(answer, JobAnswer) and answer.state is StandbyState.ENDED and answer.retained_max is not None


def _tell(p: Pass, spec: FlinkJobSpec) -> None:
    """A JobManager that was started with another count, or other pins, is told, and needs no upgrade for it."""
    answer, retention = p.answer(p.status.active_revision), spec.checkpoints.retention
    if not isinstance(answer, JobAnswer) or answer.retained_max is None:
        return
    pinned = None if answer.pinned is None else retention.pin
    if (answer.retained_max, answer.pinned) != (retention.count_in_effect, pinned):
        p.act(RetainCheckpoints(p.status.active_revision, retention.count_in_effect, pinned))
        p.look_again(_AGAIN_S)


def _beyond(p: Pass, spec: FlinkJobSpec, kept: Sequence[Checkpoint], *, by_count: bool) -> tuple[Checkpoint, ...]:
    """`kept`: newest first. Those that are pinned do not count."""
    retention = spec.checkpoints.retention
    counted = [known for known in kept if not retention.pins(known.path)]
    surplus = counted[retention.count :] if by_count else []
    old = [known for known in counted if _is_old(p, retention, known)]
    return tuple(
        known
        for known in counted
        if (known in surplus or known in old) and not known.needed and not in_use(p, known.path)
    )


def _is_old(p: Pass, retention: Retention, checkpoint: Checkpoint) -> bool:
    if retention.age is None or not checkpoint.time_ms:
        return False
    return p.now_ms - checkpoint.time_ms > duration_s(retention.age) * 1_000


def is_due(p: Pass, spec: FlinkJobSpec) -> bool:
    """Whether it is time for a look."""
    age = spec.checkpoints.retention.age
    if p.job.generation != p.job.status.observed_generation:
        return True
    shortest_s, longest_s = _LOOKS_S
    interval_s = longest_s if age is None else min(longest_s, max(shortest_s, duration_s(age) / 4))
    share = int(job_id(p.job)[:8], 16) / 0x1_0000_0000  # Not all jobs at once.
    return (p.now_ms / 1_000 + share * interval_s) % interval_s < _WINDOW_S
