"""A job is deployed, becomes stable, is upgraded with a savepoint, and then left alone."""

from tests.operator.decide.simulated import World, a_spec

from penstock_operator.decide import acts
from penstock_operator.decide.questions import questions
from penstock_operator.model.status import LifecycleState


def stable(world: World) -> bool:
    return world.status.lifecycle_state is LifecycleState.STABLE and world.status.operation is None


def a_stable_world(*args: str) -> World:
    world = World(a_spec(*args))
    assert world.run(120, stable), world.status
    return world


def started(world: World) -> list[acts.StartJob]:
    return [act for act in world.done if isinstance(act, acts.StartJob)]


def test_a_new_job_becomes_stable() -> None:
    world = a_stable_world()
    assert len(world.running()) == 1
    assert started(world)[0].origin.kind == "empty"


def test_a_new_job_takes_one_look_and_one_write_until_its_processes_answer() -> None:
    world = World(a_spec())
    wanted = questions(world.object())
    decided = world.one_pass()
    assert decided is not None and world.calls == len(wanted)
    assert [type(act) for act in decided.acts] == [acts.SetFinalizer, acts.KeepRevision, acts.Deploy]
    world.tick(200)
    world.one_pass()
    assert (world.passes, world.writes) == (2, 1)


def test_an_edit_is_rolled_out_from_a_savepoint_of_the_old_version() -> None:
    world = a_stable_world()
    old = world.running()
    world.edit(args=("--more",))
    assert world.run(120, lambda w: stable(w) and w.running() != old), world.status
    path = world.status.savepoints[0].path
    assert started(world)[-1].origin.path == path
    assert not world.status.savepoints[0].pinned


def test_a_steady_job_is_asked_once_a_minute_and_written_every_five() -> None:
    world = a_stable_world()
    world.run(400)
    writes, passes, calls = world.writes, world.passes, world.calls
    world.run(3_000)
    assert world.writes - writes <= 10
    assert world.passes - passes <= 51
    assert world.calls - calls <= 2 * 51
