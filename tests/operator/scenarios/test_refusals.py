"""Scenario 17: an invalid manifest is refused with everything that is wrong, and what runs is left alone."""

from penstock.testing.stages import Stage, finish, stable


def test_every_error_is_told_at_once_and_the_running_job_is_untouched(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    wrong = stage.manifest(parallelism=0, upgradeMode="sometimes")
    wrong["spec"]["taskManager"] = {"slots": "many"}
    wrong["spec"]["flinkConfiguration"]["rest.port"] = "1"
    wrong["spec"]["restart"] = True
    stage.apply(wrong)
    told = stage.refusal()
    for field in ("spec.job.parallelism", "spec.job.upgradeMode", "spec.taskManager.slots", "rest.port", "restart"):
        assert field in told
    seen = stage.seen()
    assert seen is not None
    assert (seen.generation, seen.revision) == (before.generation, before.revision)
    stage.apply(stage.manifest())
    finish(stage)
