"""Random histories: whatever happens, the invariants hold, and when the faults stop the job gets where it should be.

What must never happen is checked where it happens (`simulated.py`): a start that loses or doubles something, one while
another revision may write, state thrown away unasked, a savepoint in use removed, a hot loop.
"""

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.operator.decide.simulated import ROOT, World, a_spec

from penstock_operator.decide.facts import SnapshotObject
from penstock_operator.model.field_errors import FieldError
from penstock_operator.model.spec import Checkpoints, History, Periodic, Retention, Snapshots
from penstock_operator.model.status import LifecycleState, Status

BROKEN = ("raises", "incompatible", "crashes", "fails", "crashes-later")


def edit(*args: str) -> Callable[[World], None]:
    return lambda world: world.edit(args=args)


def edit_job(**fields: Any) -> Callable[[World], None]:
    return lambda world: world.edit(**fields)


def edit_top(**fields: Any) -> Callable[[World], None]:
    return lambda world: world.edit(msgspec.structs.replace(world.spec, **fields))


def put(**fields: Any) -> Callable[[World], None]:
    def change(world: World) -> None:
        for name, value in fields.items():
            setattr(world, name, value)

    return change


def toggle(name: str) -> Callable[[World], None]:
    return lambda world: setattr(world, name, not getattr(world, name))


def outage(world: World) -> None:
    world.engine.store_up = not world.engine.store_up


def failing_savepoints(world: World) -> None:
    world.engine.failing_savepoints = 3


def invalid(world: World) -> None:
    world.edit()
    world.errors = (FieldError("spec.job.parallelism", "0", "at least 1"),)


def nonce(world: World) -> None:
    world.edit(msgspec.structs.replace(world.spec, savepoint_nonce=world.generation))


def skew(seconds: int) -> Callable[[World], None]:
    return lambda world: setattr(world, "skew", world.skew + seconds * 1_000)


def new_snapshot(kind: str) -> Callable[[World], None]:
    def ask(world: World) -> None:
        name = f"snapshot-{len(world.snapshots)}-{world.generation}-{world.passes}"
        world.snapshots[name] = SnapshotObject(name, name, kind, "", "", "", 0, 1, False, True, False, "")

    return ask


def delete_snapshots(world: World) -> None:
    world.snapshots = {
        name: replace(snapshot, deleting=True) for name, snapshot in world.snapshots.items() if snapshot.finalizer
    }


EVENTS: dict[str, Callable[[World], None]] = {
    **{f"edit: {word}": edit(word) for word in ("fine", "other", "unscalable", *BROKEN)},
    **{f"edit: {mode}": edit_job(upgrade_mode=mode) for mode in ("savepoint", "last-state", "stateless")},
    **{f"edit: parallelism {number}": edit_job(parallelism=number) for number in (1, 2, 4)},
    "edit: suspended": edit_job(state="suspended"),
    "edit: running": edit_job(state="running"),
    "edit: bad image": edit_top(image="bad"),
    "edit: good image": edit_top(image="good"),
    "edit: invalid": invalid,
    "edit: nonce": nonce,
    "edit: keep one savepoint": edit_top(snapshots=Snapshots(history=History(count=1))),
    "edit: keep checkpoints for two minutes": edit_top(
        checkpoints=Checkpoints(
            dir="s3://bucket/checkpoints", savepoint_dir=ROOT, retention=Retention(count=2, age="2 min")
        )
    ),
    "edit: savepoints each minute": edit_top(
        snapshots=Snapshots(periodic=Periodic(interval="1 min"), history=History(count=2))
    ),
    "a snapshot is asked for": new_snapshot("savepoint"),
    "a checkpoint is asked for": new_snapshot("checkpoint"),
    "the snapshots are deleted": delete_snapshots,
    "JobManagers die": World.kill_jobmanager,
    "TaskManagers die": World.kill_workers,
    "all processes are gone": World.lose_children,
    "a node is lost": World.lose_node,
    "REST, on or off": toggle("rest_up"),
    "store, on or off": outage,
    "room for one": put(room=1),
    "room for two": put(room=2),
    "savepoints fail": failing_savepoints,
    "rescaling, on or off": toggle("rescaling_works"),
    "pause, on or off": toggle("paused"),
    "stale reads": put(stale_passes=3),
    "conflicts": put(conflicts=2),
    "the status is lost": lambda world: setattr(world, "status", Status()),
    "clock back": skew(-3_600),
    "clock on": skew(3_600),
}
DEATHS = st.lists(st.integers(0, 4), min_size=1, max_size=8)
WAITS = st.sampled_from([0, 1, 4, 15, 70])
HISTORIES = st.lists(st.tuples(st.one_of(st.sampled_from(sorted(EVENTS)), DEATHS), WAITS), max_size=12)
History = list[tuple[str | list[int], int]]


def live(history: History) -> World:
    world = World(a_spec())
    world.run(20)
    for event, seconds in history:
        if isinstance(event, str):
            EVENTS[event](world)
        else:
            world.deaths += event  # The operator dies after so many writes and acts of its next passes.
        world.run(seconds)
    return world


def heal(world: World) -> None:
    """The faults stop, as do edits that cannot work."""
    world.rest_up = world.engine.store_up = world.rescaling_works = True
    world.room, world.skew, world.conflicts, world.stale_passes = 2, 0, 0, 0
    world.engine.failing_savepoints = 0
    world.paused = False
    world.deaths.clear()


def settled(world: World) -> bool:
    good = (LifecycleState.STABLE,)
    return (
        world.status.operation is None
        and world.status.lifecycle_state in good
        and world.status.observed_generation == world.generation
        and len(world.running()) == 1
        and len(world.children) == 1
        and not world.status.pending
    )


def no_snapshot_hangs(world: World) -> bool:
    ended = ("Completed", "Failed", "Abandoned")
    return all(snapshot.phase in ended and not snapshot.deleting for snapshot in world.snapshots.values())


def check_that_a_good_edit_arrives(history: History) -> None:
    world = live(history)
    heal(world)
    world.edit(a_spec("final"))
    assert world.run(1_500, settled), world.status
    assert not any(snapshot.deleting for snapshot in world.snapshots.values()) or world.run(60, no_snapshot_hangs)
    assert world.revisions[world.running()[0]].spec == world.spec
    world.run(400)
    writes, done = world.writes, len(world.done)
    world.run(900)
    assert world.writes - writes <= 4, "a steady job is written every five minutes"
    assert len(world.done) == done, "nothing is done about a steady job"


def check_that_deletion_ends(history: History) -> None:
    world = live(history)
    world.deaths.clear()
    world.conflicts = 0
    world.delete()
    world.run(500)
    assert world.gone, world.status


def check_that_something_good_runs(history: History) -> None:
    """What runs is what was asked for last, or it is said what is wrong."""
    world = live(history)
    heal(world)
    world.run(1_500)
    status = world.status
    if world.spec.job.state == "suspended" and not world.errors and status.refused_generation != world.generation:
        assert status.lifecycle_state is LifecycleState.SUSPENDED and not world.children, status
        return
    degraded = next(known for known in status.conditions if known.type == "Degraded").status == "True"
    assert degraded or world.run(60, settled), status


@settings(max_examples=90, deadline=None, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_after_any_history_a_good_edit_arrives_and_then_nothing_happens(history: History) -> None:
    check_that_a_good_edit_arrives(history)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_after_any_history_deletion_ends(history: History) -> None:
    check_that_deletion_ends(history)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(HISTORIES)
def test_after_any_history_what_was_asked_for_runs_or_it_is_said_why_not(history: History) -> None:
    check_that_something_good_runs(history)


@pytest.mark.soak
def test_histories_at_length(soak_s: float | None) -> None:
    """As many as there is time for; the seed of one that fails is in its message."""
    end_s = time.monotonic() + (soak_s or 1.0)
    for seed in itertools.count(int(os.environ["PENSTOCK_SEED"]) * 1_000):
        history = random_history(Random(seed))
        for check in (check_that_a_good_edit_arrives, check_that_deletion_ends, check_that_something_good_runs):
            try:
                check(history)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {check.__name__}({history})") from error
        if time.monotonic() > end_s:
            return


def random_history(rng: Random) -> History:
    events = sorted(EVENTS)
    return [
        (
            rng.choice(events) if rng.random() < 0.85 else [rng.randrange(5) for _ in range(rng.randint(1, 8))],
            rng.choice([0, 1, 4, 15, 70]),
        )
        for _ in range(rng.randint(0, 20))
    ]
