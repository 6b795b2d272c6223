"""Scenarios 2, 3, 4, 9, 10: a changed spec goes on from the old one's state, or the old one runs on."""

from collections.abc import Callable

import pytest

from penstock.testing.stages import Stage, finish, reasons, stable, upgraded


def test_another_argument_is_an_upgrade_with_a_savepoint(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.apply(stage.manifest(args=stage.arguments(rate=700)))
    after = upgraded(stage, before)
    assert after.savepoints[0]["cause"] == "upgrade"
    assert after.condition("StateCompatible")["status"] == "True"
    assert {"SpecChanged", "SavepointTriggered", "SavepointCompleted", "Upgraded"} <= set(reasons(stage))
    finish(stage)


def test_the_parallelism_goes_up_and_down(stage: Stage) -> None:
    stage.apply(stage.manifest(parallelism=2))
    stable(stage)
    for parallelism in (3, 1):
        stage.apply(stage.manifest(parallelism=parallelism))
        stage.wait(
            f"parallelism {parallelism}",
            lambda seen, wanted=parallelism: seen.stable and seen.status.get("parallelism") == wanted,  # type: ignore[misc]
        )
    finish(stage)


def test_parallelism_and_arguments_change_together(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.apply(stage.manifest(parallelism=2, args=stage.arguments(rate=300)))
    upgraded(stage, before)
    finish(stage)


def test_last_state_needs_no_running_jobmanager(stage: Stage) -> None:
    stage.apply(stage.manifest(upgradeMode="last-state"))
    before = stable(stage)
    stage.kill("jobmanager")
    stage.apply(stage.manifest(upgradeMode="last-state", args=stage.arguments(rate=700)))
    after = upgraded(stage, before)
    assert [one for one in after.savepoints if one["cause"] == "upgrade"] == []
    finish(stage)


def test_a_script_that_raises_leaves_the_old_version_running(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.apply(stage.manifest(script=None, source={"inline": "raise ValueError('this is no good')\n"}))
    seen = stage.wait("it was given up", lambda seen: seen.error != "" and seen.operation is None)
    assert "this is no good" in seen.error
    assert seen.revision == before.revision
    assert seen.job_state == "RUNNING"
    stage.apply(stage.manifest())
    finish(stage)


def test_incompatible_state_is_told_before_anything_is_stopped(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.apply(stage.manifest(args=["lists", *stage.arguments()[1:]]))
    stage.apply(stage.manifest(args=["connect", *stage.arguments()[1:]]))
    seen = stage.wait("it was given up", lambda seen: seen.observed and seen.error != "" and seen.operation is None)
    assert seen.condition("StateCompatible")["status"] == "False"
    assert seen.revision == before.revision
    assert "SavepointTriggered" not in reasons(stage)
    stage.apply(stage.manifest())
    finish(stage)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("mode", ["savepoint", "last-state"])
def test_a_version_that_fails_after_the_stop_is_rolled_back(stages: Callable[..., Stage], mode: str) -> None:
    stage = stages(numbers=15_000, rate=400)  # So that there are records for it to fail with.
    stage.apply(stage.manifest(upgradeMode=mode))
    before = stable(stage)
    failing = stage.manifest(upgradeMode=mode, args=stage.arguments(output="/proc/no/folder"))
    failing["spec"]["flinkConfiguration"] |= {
        "restart-strategy.type": "none",
        "execution.checkpointing.interval": "1 h",  # It fails before the first: nothing of it was committed.
    }
    stage.apply(failing)
    seen = stage.wait("it was rolled back", lambda seen: seen.lifecycle == "RolledBack" and seen.operation is None)
    assert "RolledBack" in reasons(stage)
    assert seen.status.get("refusedGeneration") == seen.generation
    revisions = {one["name"]: one for one in seen.status["revisions"]}
    assert before.revision in revisions
    stage.apply(stage.manifest(upgradeMode=mode, args=stage.arguments(rate=20_000)))
    upgraded(stage, seen)
    finish(stage)
