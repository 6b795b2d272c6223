"""A running job to another parallelism, in place; by an upgrade where that does not work. Pure."""

from typing import Final

from penstock_operator.decide.acts import Rescale
from penstock_operator.decide.facts import JobAnswer, TriggerAnswer, TriggerState
from penstock_operator.decide.planning import upgrade
from penstock_operator.decide.working import Pass
from penstock_operator.model.spec import FlinkJobSpec

_PATIENCE_S: Final = 60.0


def scale(p: Pass) -> bool:
    """Whether something else was begun, to be gone on with in this pass."""
    operation, wish = p.operation, p.wish
    active = p.revision(operation.revision)
    if active is None or wish is None:
        p.end()  # Planned again from what runs.
        return True
    answer = p.answer(active.name)
    if isinstance(answer, JobAnswer) and answer.parallelism == wish.job.parallelism and answer.job_state == "RUNNING":
        if active.spec.job.parallelism == wish.job.parallelism:
            p.act(Rescale(active.name, wish, operation.trigger_id))  # Only the number of TaskManagers changes.
        p.keep(active.name, p.job.generation, wish)
        p.say("Normal", "Scaled", f"{active.name} runs with parallelism {wish.job.parallelism}")
        p.end(parallelism=wish.job.parallelism)
        p.look_again(1.0)
        return False
    asked = p.trigger(active.name, operation.trigger_id, "rescaling")
    if isinstance(asked, TriggerAnswer) and asked.state is TriggerState.FAILED:
        return _upgrade_instead(p, wish, asked.failure)
    if p.in_step_s() > _PATIENCE_S:
        return _upgrade_instead(p, wish, f"it has taken more than {_PATIENCE_S:g} s")
    if not isinstance(asked, TriggerAnswer) or asked.state is TriggerState.UNKNOWN:
        p.act(Rescale(active.name, wish, operation.trigger_id))
    p.wait(f"the job to run with parallelism {wish.job.parallelism}")
    return False


def _upgrade_instead(p: Pass, wish: FlinkJobSpec, why: str) -> bool:
    operation = p.operation
    p.say("Warning", "ScalingFailed", f"{operation.revision} is not rescaled in place, but upgraded: {why}")
    p.end()
    return upgrade(p, wish, operation.reason)
