"""What `list`, `savepoint`, `stop`, `cancel` and `checkpoint` ask of a JobManager, and what they say of its answers."""

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner, Result

from penstock.cli.main import main
from penstock.testing.scripted_rest import ScriptedRest

JOB, OTHER = "0" * 31 + "7", "0" * 31 + "8"
TRIGGER = "a" * 32
IN_PROGRESS = {"status": {"id": "IN_PROGRESS"}}
STORED = {"status": {"id": "COMPLETED"}, "operation": {"location": "file:/savepoints/savepoint-000000-1"}}
BEGUN = (202, {"request-id": TRIGGER})


def job(state: str = "RUNNING", jid: str = JOB, start: int = 1_700_000_000_000) -> dict[str, Any]:
    return {"jid": jid, "name": f"words {jid[-1]}", "state": state, "start-time": start, "end-time": -1, "duration": 5}


def jobs(*found: dict[str, Any]) -> dict[str, Any]:
    return {"GET /jobs/overview": [{"jobs": list(found)}]}


def run(rest: ScriptedRest, *arguments: str) -> Result:
    command, *more = arguments
    return CliRunner().invoke(main, [command, "-m", rest.address, *more])


def test_list_groups_jobs_as_the_flink_command_does() -> None:
    with ScriptedRest(jobs(job(), job("CREATED", OTHER), job("FINISHED", "f" * 32))) as rest:
        shown = run(rest, "list", "-a").output.splitlines()
        default = run(rest, "list").output
        scheduled = json.loads(run(rest, "list", "-s", "--json").output)
    assert [line.strip("- ") for line in shown if line.startswith("-") and line.strip("-")] == [
        "Running/Restarting Jobs",
        "Scheduled Jobs",
        "Terminated Jobs",
    ]
    assert any(line.endswith(f" : {JOB} : words 7 (RUNNING)") for line in shown)
    assert "FINISHED" not in default
    assert [(found["id"], found["state"]) for found in scheduled] == [(OTHER, "CREATED")]


def test_no_jobs_are_said_to_be_none() -> None:
    with ScriptedRest(jobs()) as rest:
        assert run(rest, "list").output == "No running jobs.\nNo scheduled jobs.\n"


def test_a_savepoint_is_waited_for_and_its_path_is_the_last_line() -> None:
    answers = {
        f"POST /jobs/{JOB}/savepoints": [BEGUN],
        f"GET /jobs/{JOB}/savepoints/{TRIGGER}": [IN_PROGRESS, IN_PROGRESS, STORED],
    }
    with ScriptedRest(jobs(job()) | answers) as rest:
        ended = run(rest, "savepoint", "/savepoints", "--type", "native", "--trigger-id", TRIGGER)
    assert (ended.exit_code, ended.stdout) == (0, "Savepoint completed. Path: file:/savepoints/savepoint-000000-1\n")
    assert f"Triggering savepoint for job {JOB}." in ended.stderr
    body = {"triggerId": TRIGGER, "cancel-job": False, "target-directory": "/savepoints", "formatType": "NATIVE"}
    assert ("POST", f"/jobs/{JOB}/savepoints", body) in rest.asked


def test_a_job_may_be_left_out_only_where_one_runs() -> None:
    with ScriptedRest(jobs(job(), job(jid=OTHER))) as rest:
        several = run(rest, "stop")
    with ScriptedRest(jobs(job("FINISHED"))) as rest:
        none = run(rest, "checkpoint", "--json")
        wrong = run(rest, "stop", "seven")
    assert several.exit_code == none.exit_code == wrong.exit_code == 1
    assert f"say which: {JOB} (words 7), {OTHER} (words 8)" in several.stderr
    assert json.loads(none.stdout)["error"].endswith(f"job words 7 ({JOB}) is FINISHED")
    assert "'seven' is not a job id: expected 32 hexadecimal digits, as `penstock list` shows" in wrong.stderr


def test_stop_sends_drain_and_folder_and_asks_under_savepoints() -> None:
    answers = {f"POST /jobs/{JOB}/stop": [BEGUN], f"GET /jobs/{JOB}/savepoints/{TRIGGER}": [STORED]}
    with ScriptedRest(answers) as rest:
        ended = run(rest, "stop", "-d", "-p", "s3://b/s", "--json", JOB)
    assert json.loads(ended.stdout)["location"] == "file:/savepoints/savepoint-000000-1"
    (body,) = [body for method, _, body in rest.asked if method == "POST"]
    assert (body["drain"], body["targetDirectory"], body["formatType"]) == (True, "s3://b/s", "CANONICAL")
    assert len(body["triggerId"]) == 32, "so that a repeated request begins nothing twice"


def test_cancel_takes_a_savepoint_as_the_flink_command_has_it() -> None:
    answers = {
        f"POST /jobs/{JOB}/savepoints": [BEGUN],
        f"GET /jobs/{JOB}/savepoints/{TRIGGER}": [STORED],
        f"PATCH /jobs/{JOB}?mode=cancel": [(202, {})],
    }
    with ScriptedRest(answers) as rest:
        with_savepoint = run(rest, "cancel", "-s", JOB)
        with_folder = run(rest, "cancel", "-s", "/there", JOB)
        without = run(rest, "cancel", JOB)
    stored = f"Cancelled job {JOB}. Savepoint stored in file:/savepoints/savepoint-000000-1.\n"
    assert with_savepoint.stdout == with_folder.stdout == stored
    assert without.stderr == f"Cancelled job {JOB}.\n"
    bodies = [body for method, _, body in rest.asked if method == "POST"]
    assert [(body["cancel-job"], body.get("target-directory")) for body in bodies] == [(True, None), (True, "/there")]


def test_a_failed_savepoint_says_why_in_one_sentence() -> None:
    cause = {"class": "a.CheckpointFailed", "stack-trace": "a.CheckpointFailed: the disk is full\n  at ..."}
    failed = {"status": {"id": "COMPLETED"}, "operation": {"failure-cause": cause}}
    answers = {f"POST /jobs/{JOB}/savepoints": [BEGUN], f"GET /jobs/{JOB}/savepoints/{TRIGGER}": [failed]}
    with ScriptedRest(answers) as rest:
        ended = run(rest, "savepoint", JOB)
        as_json = run(rest, "savepoint", "--json", JOB)
    sentence = f"the savepoint of job {JOB} failed: the disk is full"
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (1, f"penstock: {sentence}")
    assert json.loads(as_json.stdout) == {"error": sentence}


def test_an_operation_that_a_restarted_jobmanager_forgot_is_not_waited_for() -> None:
    answers = {
        f"POST /jobs/{JOB}/savepoints": [BEGUN],
        f"GET /jobs/{JOB}/savepoints/{TRIGGER}": [IN_PROGRESS, (404, {"errors": ["no such operation"]})],
    }
    with ScriptedRest(answers) as rest:
        ended = run(rest, "savepoint", JOB)
    assert ended.exit_code == 1
    assert "look into the target folder before you ask again" in ended.stderr


def test_detached_says_under_which_id_to_ask() -> None:
    with ScriptedRest({f"POST /jobs/{JOB}/savepoints": [BEGUN]}) as rest:
        ended = run(rest, "savepoint", "--detached", JOB)
    assert ended.stdout == f"Savepoint triggered, trigger id: {TRIGGER}\n"
    assert f"penstock savepoint --trigger-id {TRIGGER} {JOB}" in ended.stderr


def test_a_checkpoint_tells_its_number_path_and_bytes() -> None:
    done = {"status": {"id": "COMPLETED"}, "operation": {"checkpointId": 5}}
    answers = {
        f"POST /jobs/{JOB}/checkpoints": [BEGUN],
        f"GET /jobs/{JOB}/checkpoints/{TRIGGER}": [done],
        f"GET /jobs/{JOB}/checkpoints/details/5": [{"external_path": "/c/chk-5", "checkpointed_size": 2048}],
    }
    with ScriptedRest(answers) as rest:
        ended = run(rest, "checkpoint", "--type", "full", JOB)
        answer = json.loads(run(rest, "checkpoint", "--json", JOB).stdout)
    assert ended.stdout == f"Checkpoint(FULL) 5 for job {JOB} completed, 2.0 KiB written.\nPath: /c/chk-5\n"
    assert (answer["checkpoint"], answer["location"], answer["bytes"]) == (5, "/c/chk-5", 2048)


def test_a_savepoint_is_disposed_of() -> None:
    answers = {
        "POST /savepoint-disposal": [BEGUN],
        f"GET /savepoint-disposal/{TRIGGER}": [IN_PROGRESS, {"status": {"id": "COMPLETED"}, "operation": {}}],
    }
    with ScriptedRest(answers) as rest:
        ended = run(rest, "savepoint", "--dispose", "/savepoints/savepoint-1")
    assert (ended.exit_code, ended.stdout) == (0, "Savepoint '/savepoints/savepoint-1' disposed.\n")
    assert ("POST", "/savepoint-disposal", {"savepoint-path": "/savepoints/savepoint-1"}) in rest.asked


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_a_script_that_asks_penstock(shell: str) -> None:
    printed = CliRunner().invoke(main, ["completion", shell])
    assert printed.exit_code == 0
    assert "_PENSTOCK_COMPLETE" in printed.output


def completed(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    line = " ".join(["penstock", *words])
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    shown = CliRunner().invoke(main, [], prog_name="penstock", env=dict(os.environ, _PENSTOCK_COMPLETE="bash_complete"))
    return [line.partition(",")[2] for line in shown.output.splitlines() if line]


def test_commands_and_running_jobs_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, "sav") == ["savepoint"]
    with ScriptedRest(jobs(job(), job("FINISHED", OTHER))) as rest:
        assert completed(monkeypatch, "stop", "-m", rest.address, "00") == [JOB]
    assert completed(monkeypatch, "stop", "-m", "localhost:1", "00") == []
