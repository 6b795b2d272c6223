"""Scenarios 1, 5, 6, 7 and 20: a job runs, survives whatever dies, and ends."""

from penstock.testing.stages import Stage, check, finish, reasons, stable


def test_an_applied_job_becomes_stable_and_ready(stage: Stage) -> None:
    stage.apply(stage.manifest())
    seen = stable(stage)
    assert seen.condition("Ready")["status"] == "True"
    assert seen.condition("Restorable")["status"] == "True"
    assert seen.job_state == "RUNNING"
    finish(stage)


def test_a_killed_taskmanager_is_replaced_and_nothing_is_lost(stage: Stage) -> None:
    stage.apply(stage.manifest())
    stable(stage)
    stage.kill("taskmanager")
    stage.wait("it was restarted", lambda seen: seen.status.get("taskManagers", {}).get("restarts", 0) >= 1)
    stable(stage)
    finish(stage)


def test_a_killed_jobmanager_recovers_the_job_from_the_store(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.kill("jobmanager")
    finish(stage)
    seen = stage.seen()
    assert seen is not None
    assert seen.revision == before.revision
    assert seen.status["jobStatus"]["jobId"] == before.status["jobStatus"]["jobId"]


def test_all_of_it_killed_at_once_goes_on(stage: Stage) -> None:
    stage.apply(stage.manifest())
    stable(stage)
    stage.kill("operator", "jobmanager", "taskmanager")
    stage.start_operator()
    finish(stage)


def test_the_jobs_processes_outlive_the_operator(stage: Stage) -> None:
    stage.apply(stage.manifest())
    before = stable(stage)
    stage.kill("operator")
    stage.let_finish()
    stage.start_operator()
    seen = stage.wait("the job has finished", lambda seen: seen.lifecycle == "Finished")
    assert seen.status["taskManagers"].get("restarts", 0) == before.status["taskManagers"].get("restarts", 0)
    check(stage)


def test_a_finished_job_runs_again_when_its_spec_changes(stage: Stage) -> None:
    stage.apply(stage.manifest())
    finish(stage)
    again = stage.manifest(args=stage.arguments(output=f"{stage.savepoints}-again"), upgradeMode="stateless")
    stage.apply(again)
    stage.wait("it has finished again", lambda seen: seen.observed and seen.lifecycle == "Finished")
    assert reasons(stage).count("Started") == 2
