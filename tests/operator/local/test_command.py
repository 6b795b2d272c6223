"""`penstock-operator local` as a person has it: on a terminal, with a manifest that is edited, and with Ctrl-C."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from penstock.testing.local_stage import LocalStage
from penstock.testing.stages import Manifest, finish, stable
from penstock.testing.terminals import CTRL_C, Terminal


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[LocalStage]:
    with LocalStage(tmp_path) as stage:
        yield stage


def terminal(stage: LocalStage) -> Terminal:
    return Terminal(stage.command, folder=stage.folder, environment=stage.environment)


def save(stage: LocalStage, manifest: Manifest) -> None:
    stage.write(yaml.safe_dump(manifest, sort_keys=False))


@pytest.mark.timeout(120)
def test_the_screen_tells_the_story_of_a_job_and_ctrl_c_leaves_it_a_savepoint(stage: LocalStage) -> None:
    save(stage, stage.manifest())
    with terminal(stage) as screen:
        screen.shows(r"count: Started: r1-\w+ runs, from no state")
        screen.shows(r"count +Stable +RUNNING +1 +1/1 +[\d,]+ +\d+")

        save(stage, stage.manifest(parallelism="two"))
        screen.shows(r'line \d+: FlinkJob count: spec.job.parallelism: found "two", allowed is a whole number')

        save(stage, stage.manifest(args=stage.arguments(rate=500)))
        screen.shows(r"pre-flight: r2-\w+ loads beside r1-\w+")
        for told in ("SpecChanged", "SavepointTriggered", "SavepointCompleted", r"Upgraded: r2-\w+ runs, from"):
            screen.shows(f"count: {told}")
        stable(stage)

        screen.type(CTRL_C)
        assert screen.wait() == 0
        assert "stopping as deletionPolicy says" in screen.text
        assert "count: Deleted" in screen.text.strip().splitlines()[-1]
    assert stage.processes() == []
    assert len(stage.savepoint_folders()) == 2
    assert (stage.state / "operator.log").is_file()

    with terminal(stage) as screen:
        screen.shows(r"count: Started: r\w+-\w+ runs, from the newest state in the journal")
        finish(stage)


@pytest.mark.timeout(120)
def test_the_second_ctrl_c_leaves_at_once_and_costs_no_record(stage: LocalStage) -> None:
    save(stage, stage.manifest())
    with terminal(stage) as screen:
        stable(stage)
        # So that the savepoint is still under way.
        os.kill(stage.pids("jobmanager")[0], signal.SIGSTOP)
        screen.type(CTRL_C)
        screen.shows("Ctrl-C once more leaves at once")
        screen.type(CTRL_C)
        assert screen.wait() == 130
        assert "the jobs go on from their newest state" in screen.text
    assert stage.processes() == []
    assert stage.seen() is None

    with terminal(stage) as screen:
        finish(stage)


def test_a_manifest_that_is_wrong_from_the_start_starts_nothing(stage: LocalStage) -> None:
    stage.write("kind: FlinkJob\n")
    with terminal(stage) as screen:
        assert screen.wait() == 1
        screen.shows(r"flinkjob.yaml:1: FlinkJob: apiVersion: found nothing, allowed is penstock.dev/v1alpha1")
