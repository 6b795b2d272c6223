"""What tests want to know of the simulated world."""

from tests.operator.decide.simulated import World, a_spec

from penstock_operator.decide import acts
from penstock_operator.model.status import LifecycleState, OperationKind, Step


def idle(world: World) -> bool:
    return world.status.operation is None


def is_(state: LifecycleState):
    return lambda world: world.status.lifecycle_state is state and world.status.operation is None


STABLE = is_(LifecycleState.STABLE)


def at(step: Step, kind: OperationKind = OperationKind.UPGRADE):
    return lambda w: (
        w.status.operation is not None and (w.status.operation.step, w.status.operation.kind) == (step, kind)
    )


def a_stable_world(*args: str, **fields) -> World:
    world = World(a_spec(*args, **fields))
    assert world.run(120, STABLE), world.status
    return world


def condition(world: World, type: str) -> tuple[str, str, str]:
    found = next(known for known in world.status.conditions if known.type == type)
    return found.status, found.reason, found.message


def starts(world: World) -> list[acts.StartJob]:
    return [act for act in world.done if isinstance(act, acts.StartJob)]
