"""Scenario 14: a deletion does what deletionPolicy says, and never hangs."""

from pathlib import Path

import pytest

from penstock.testing.stages import Stage, finish, stable


@pytest.mark.sampled(3)
@pytest.mark.parametrize("policy", ["Savepoint", "Retain", "Delete"])
@pytest.mark.parametrize("how", ["healthy", "failing", "without a JobManager"])
def test_a_deletion_does_what_its_policy_says(stage: Stage, policy: str, how: str) -> None:
    wanted = stage.manifest()
    wanted["spec"] |= {"deletionPolicy": policy, "deletionTimeout": "5 s"}
    stage.apply(wanted)
    stable(stage)
    match how:
        case "failing":
            stage.raise_once()
        case "without a JobManager":
            stage.kill("jobmanager")
    stage.delete()
    stage.wait_gone()
    if policy == "Delete":
        assert not any(path.is_file() for path in Path(stage.checkpoints.removeprefix("file://")).rglob("*"))
        return
    stage.apply(wanted)
    stable(stage)
    finish(stage)
