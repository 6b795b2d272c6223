"""The flags that start a job, in the spellings of the `flink` command and in ours."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from penstock.base.errors import ConfigurationError
from penstock.cli.configuring import cluster_configuration
from penstock.cli.main import main
from penstock.cli.starting import Starting, starting
from penstock.common.configuration import Configuration
from penstock.testing.commands import Commands


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def told(*arguments: str) -> Configuration:
    found = Configuration()

    @click.command()
    @starting
    @click.argument("script")
    def command(start: Starting, script: str) -> None:
        assert script == "job.py"
        start.over(found)

    CliRunner().invoke(command, [*arguments, "job.py"], catch_exceptions=False)
    return found


@pytest.mark.parametrize(
    ("spellings", "key", "text"),
    [
        (("-s", "--fromSavepoint", "--from-savepoint"), "execution.state-recovery.path", "/savepoints/one"),
        (("-cm", "--claimMode", "--claim-mode"), "execution.state-recovery.claim-mode", "CLAIM"),
        (("-pyfs", "--pyFiles", "--py-files"), "python.files", "a.py,b.zip"),
        (("-pyarch", "--pyArchives", "--py-archives"), "python.archives", "a.zip#data"),
    ],
)
def test_a_flag_sets_its_key_in_every_spelling(spellings: tuple[str, ...], key: str, text: str) -> None:
    assert [told(spelling, text).to_dict() for spelling in spellings] == [{key: text}] * len(spellings)


@pytest.mark.parametrize("spelling", ["-n", "--allowNonRestoredState", "--allow-non-restored-state"])
def test_state_without_an_operator_is_left_out_in_every_spelling(spelling: str) -> None:
    assert told(spelling).to_dict() == {"execution.state-recovery.ignore-unclaimed-state": "true"}


def test_where_to_start_from_is_meant_from_the_folder_of_the_command() -> None:
    assert told("-s", "savepoint").to_dict() == {"execution.state-recovery.path": str(Path.cwd() / "savepoint")}
    assert told("-s", "s3://bucket/one").to_dict() == {"execution.state-recovery.path": "s3://bucket/one"}


def test_a_claim_mode_that_is_none_is_named_with_its_flag() -> None:
    with pytest.raises(ConfigurationError, match=r"'nope' \(from --claimMode\) is not one of NO_CLAIM, CLAIM"):
        told("-cm", "nope")


def test_the_script_may_be_named_as_the_flink_command_has_it(commands: Commands) -> None:
    script = commands.script("ends.py", "import sys\nassert sys.argv[1:] == ['--flag', 'word']\nsys.exit(7)\n")
    assert commands.run("run", "-py", script, "--", "--flag", "word").code == 7
    assert commands.run("run", script, "--flag", "word").code == 7


def test_a_script_may_be_called_as_a_module_of_python_is(commands: Commands) -> None:
    job = "from penstock.datastream import StreamExecutionEnvironment as E\n"
    job += "env = E.get_execution_environment().set_parallelism(1)\nenv.from_collection([1]).print()\nenv.execute()\n"
    ended = commands.python("-P", "-m", "penstock.cli.start", "run", "-q", commands.script("types.py", job))
    assert (ended.code, ended.output) == (0, "1\n"), ended.errors


def test_without_a_script_a_run_says_what_is_missing() -> None:
    ended = CliRunner().invoke(main, ["run", "-p", "2"])
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (2, "Error: Missing argument 'JOB.py'.")


def test_the_version_is_told_as_a_flag_too() -> None:
    said = [CliRunner().invoke(main, [word]).output for word in ("version", "--version", "-v")]
    assert said[0] and said == [said[0]] * 3


def test_a_misspelled_key_in_the_configurations_file_is_told_with_the_one_that_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("paralelism.default: 2\nmy.own: 3\n")
    assert cluster_configuration(str(tmp_path)).get_string("my.own") == "3"
    said = f"penstock: {tmp_path}: paralelism.default: there is no such setting; is parallelism.default meant?\n"
    assert capsys.readouterr().err == said
