"""Scenarios 12, 13, 15 and 19: state is suspended, kept, found again, disposed of, and mended where it is damaged."""

from typing import Any

import pytest

from penstock.testing.stages import NAME, Stage, finish, reasons, stable, upgraded


def suspended(stage: Stage, **more: Any) -> Any:
    stage.apply(stage.manifest(state="suspended", **more))
    return stage.wait("it is suspended", lambda seen: seen.lifecycle == "Suspended" and seen.operation is None)


def test_a_suspended_job_is_resumed_from_its_savepoint(stage: Stage) -> None:
    stage.apply(stage.manifest())
    stable(stage)
    seen = suspended(stage)
    assert seen.savepoints[0]["cause"] == "suspend"
    stage.apply(stage.manifest())
    stable(stage)
    finish(stage)


def test_each_savepoint_nonce_takes_one_savepoint(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    for nonce in (1, 2):
        wanted = stage.manifest()
        wanted["spec"]["savepointNonce"] = nonce
        stage.apply(wanted)
        seen = stage.wait(
            f"{nonce} savepoints",
            lambda seen, n=nonce: len(seen.savepoints) >= n and not seen.status.get("pending"),  # type: ignore[misc]
        )
        assert [one["cause"] for one in seen.savepoints] == ["manual"] * nonce
    assert seen.revision == before.revision
    finish(stage)


@pytest.mark.timeout(180)
def test_periodic_savepoints_are_taken_and_the_oldest_removed(stage: Stage) -> None:
    wanted = stage.manifest()
    wanted["spec"]["snapshots"] = {"periodic": {"interval": "10 s"}, "history": {"count": 1}}
    stage.apply(wanted)
    seen = stage.wait("the first was taken", lambda seen: bool(seen.savepoints))
    first = seen.savepoints[-1]["path"]
    stage.wait(
        "it was removed",
        lambda seen: bool(seen.savepoints) and first not in [one["path"] for one in seen.savepoints],
    )
    finish(stage)


def snapshot(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "penstock.dev/v1alpha1",
        "kind": "FlinkStateSnapshot",
        "metadata": {"name": name},
        "spec": {"jobReference": {"name": NAME}, "savepoint": {"disposeOnDelete": True}},
    }


def phase(stage: Stage, name: str) -> str:
    return str((stage.snapshot(name) or {}).get("phase", ""))


def test_a_snapshot_object_is_taken_and_disposed_of(stage: Stage) -> None:
    stage.apply(stage.manifest())
    stable(stage)
    stage.apply(stage.manifest(), snapshot("keep"))
    stage.wait("it is completed", lambda _: phase(stage, "keep") == "Completed")
    stage.apply(stage.manifest())
    stage.wait("it is gone", lambda _: stage.snapshot("keep") is None)
    finish(stage)


def test_a_snapshot_is_disposed_of_with_the_job_down(stage: Stage) -> None:
    stage.apply(stage.manifest(), snapshot("keep"))
    stage.wait("it is completed", lambda _: phase(stage, "keep") == "Completed")
    stage.apply(stage.manifest(state="suspended"), snapshot("keep"))
    stage.wait("it is suspended", lambda seen: seen.lifecycle == "Suspended" and seen.operation is None)
    stage.apply(stage.manifest(state="suspended"))
    stage.wait("it is gone", lambda _: stage.snapshot("keep") is None)
    stage.apply(stage.manifest())
    finish(stage)


def test_a_job_that_was_deleted_finds_its_state_when_it_is_created_again(stage: Stage) -> None:
    stage.apply(stage.manifest())
    stable(stage)
    stage.delete()
    stage.wait_gone()
    stage.apply(stage.manifest())
    stable(stage)
    finish(stage)


def test_an_upgrade_before_the_first_checkpoint_loses_nothing(stage: Stage) -> None:
    slow = stage.manifest()
    slow["spec"]["flinkConfiguration"]["execution.checkpointing.interval"] = "1 h"
    stage.apply(slow)
    before = stage.wait("it runs", lambda seen: seen.job_state == "RUNNING" and seen.step in ("Settling", ""))
    stage.apply(stage.manifest())
    upgraded(stage, before)
    assert "SavepointCompleted" in reasons(stage)
    finish(stage)
