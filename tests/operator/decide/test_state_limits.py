"""What the state that exists does not allow is refused before anything is done, whatever the API server let pass."""

import msgspec
from tests.operator.decide.simulated import World, a_spec

from penstock_operator.decide import acts
from penstock_operator.model.status import LifecycleState


def stable(world: World) -> bool:
    return world.status.lifecycle_state is LifecycleState.STABLE and world.status.operation is None


def degraded(world: World) -> str:
    return next((c.message for c in world.status.conditions if c.type == "Degraded" and c.status == "True"), "")


def test_another_max_parallelism_leaves_the_job_as_it_is_and_says_so() -> None:
    world = World(a_spec())
    assert world.run(120, stable), world.status
    world.status = msgspec.structs.replace(world.status, max_parallelism=128)
    running = world.running()
    for wrong, field in ((64, "spec.job.maxParallelism"), (200, "spec.job.parallelism")):
        world.edit(**({"max_parallelism": 64} if wrong == 64 else {"max_parallelism": None, "parallelism": 200}))
        assert world.run(60, lambda w, field=field: field in degraded(w)), world.status
        world.run(60)
        assert world.running() == running
    assert not any(isinstance(act, acts.TriggerSavepoint) for act in world.done)
    world.edit(max_parallelism=128, parallelism=1)
    assert world.run(120, lambda w: stable(w) and w.running() != running), world.status
    assert degraded(world) == ""
