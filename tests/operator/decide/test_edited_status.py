"""A person may write anything into a status: the job runs on, and the status is put right."""

from typing import Any

import msgspec
import pytest
from tests.operator.decide.looking import STABLE, a_stable_world, starts

from penstock_operator.model.status import Checkpoints, LifecycleState, Operation, OperationKind, Step

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "edit",
    [
        {"lifecycle_state": LifecycleState.CREATED, "conditions": (), "error": "nonsense"},
        {"active_revision": "nonsense", "stable_revision": "nonsense"},
        {"operation": Operation(OperationKind.DELETE, Step.CLEANING, LONG_AGO, LONG_AGO)},
        {"operation": Operation(OperationKind.UPGRADE, Step.STARTING, LONG_AGO, LONG_AGO, revision="nowhere")},
        {"revisions": (), "savepoints": (), "checkpoints": Checkpoints(), "state_exists": False},
    ],
    ids=str,
)
def test_a_status_that_was_edited_is_put_right_and_the_job_runs_on(edit: dict[str, Any]) -> None:
    world = a_stable_world()
    old = world.running()
    world.status = msgspec.structs.replace(world.status, **edit)
    world.version += 1
    assert world.run(120, STABLE), world.status
    world.run(10)
    assert STABLE(world) and not world.status.error, world.status
    assert world.running() == old and len(starts(world)) == 1


def test_a_running_job_that_somebody_calls_suspended_is_resumed_from_its_newest_state() -> None:
    world = a_stable_world()
    world.status = msgspec.structs.replace(world.status, lifecycle_state=LifecycleState.SUSPENDED)
    world.version += 1
    assert world.run(120, STABLE), world.status
    assert len(world.running()) == 1
    assert [start.origin.kind for start in starts(world)] == ["empty", "newest"]
