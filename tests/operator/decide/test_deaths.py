"""The operator dies between any two of its writes and acts; whoever comes after it brings what was begun to its end."""

from collections.abc import Callable

import pytest
from tests.operator.decide.simulated import World, a_spec

from penstock_operator.decide import acts
from penstock_operator.model.status import LifecycleState

_NEVER = 1_000_000


def stable(world: World) -> None:
    assert len(world.running()) == len(world.children) == 1
    assert world.status.lifecycle_state is LifecycleState.STABLE
    assert world.revisions[world.running()[0]].spec == world.spec


def rolled_back(world: World) -> None:
    assert len(world.running()) == len(world.children) == 1
    assert world.status.lifecycle_state is LifecycleState.ROLLED_BACK
    assert world.revisions[world.running()[0]].spec == a_spec()


def suspended(world: World) -> None:
    assert not world.children
    assert world.status.lifecycle_state is LifecycleState.SUSPENDED


def kept_on(world: World) -> None:
    assert [name[:2] for name in world.running()] == ["r1"] and len(world.children) == 1
    assert world.status.refused_generation == 2


def gone(world: World) -> None:
    assert world.gone and not world.children


def one_savepoint(world: World) -> None:
    stable(world)
    assert len(world.status.savepoints) == len(world.engine.sound) == 1
    assert not world.status.pending


def no_room(world: World) -> None:
    world.room = 1
    world.edit(args=("--more",))


STORIES: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "upgrade with a savepoint": (lambda world: world.edit(args=("--more",)), stable),
    "upgrade from the newest checkpoint": (
        lambda world: world.edit(args=("--more",), upgrade_mode="last-state"),
        stable,
    ),
    "upgrade without state": (lambda world: world.edit(args=("--more",), upgrade_mode="stateless"), stable),
    "upgrade with no room": (no_room, stable),
    "scale": (lambda world: world.edit(parallelism=4), stable),
    "rollback": (lambda world: world.edit(args=("crashes",)), rolled_back),
    "rollback to what the new version has completed": (lambda world: world.edit(args=("crashes-later",)), rolled_back),
    "refusal": (lambda world: world.edit(args=("incompatible",)), kept_on),
    "suspend": (lambda world: world.edit(state="suspended"), suspended),
    "delete": (World.delete, gone),
    "a nonce": (lambda world: world.edit(a_spec(savepoint_nonce=7)), one_savepoint),
    "recovery": (World.lose_children, stable),
}


def told(story: str, dies_after: int) -> tuple[World, int]:
    """The world after the story, and how many writes and acts it took."""
    begin, check = STORIES[story]
    world = World(a_spec())
    world.run(25)
    before = _NEVER
    world.dies_after = before if dies_after == _NEVER else dies_after
    begin(world)
    world.run(300)
    check(world)
    return world, before - world.dies_after


@pytest.mark.parametrize("story", sorted(STORIES))
def test_a_death_at_any_write_or_act_changes_nothing_about_the_end(story: str) -> None:
    _, moves = told(story, _NEVER)
    assert moves > 1
    for death in range(moves):
        world, _ = told(story, death)
        starts = {act.start_id for act in world.done if isinstance(act, acts.StartJob)}
        assert len(starts) <= 3, "each start happens once"
