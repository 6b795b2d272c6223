"""What the commands say to bad input: one sentence, an exit code that is not 0, nothing half done."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.cli.main import main
from penstock.cli.state.commands import state
from penstock.testing.commands import Commands

FAILING = """\
from penstock.common import Types
from penstock.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)

def check(number):
    if number == 7:
        raise ValueError("seven")
    return number

env.from_sequence(1, 10).map(check, Types.LONG()).print()
env.execute("failing")
"""
PRINTING = """\
from penstock.common import Types
from penstock.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
env.from_collection([1, 2, 3], Types.INT()).print()
env.execute("printing")
"""


COMMANDS = [
    "run",
    "check",
    "jobmanager",
    "taskmanager",
    "list",
    "info",
    "savepoint",
    "stop",
    "cancel",
    "checkpoint",
    "completion",
    "version",
]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


@pytest.mark.parametrize("command", [*COMMANDS, *(f"state {name}" for name in state.commands)])
def test_help_shows_an_example(command: str) -> None:
    shown = CliRunner().invoke(main, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert f"\n    penstock {command}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "nowhere.py"], "penstock: there is no script nowhere.py\n"),
        (
            ["run", "-D", "parallelism.default=x", "nowhere.py"],
            "parallelism.default: 'x' (from -D) is not a whole number",
        ),
        (["run", "-D", "nothing", "nowhere.py"], "penstock: -D nothing: expected -D key=value\n"),
        (["run", "-D", "penstock.nope=1", "nowhere.py"], "penstock.nope (from -D) is not a key of Penstock's\n"),
        (
            ["jobmanager", "--conf", "/nowhere", "--job", "nowhere.py"],
            "penstock: --conf /nowhere: there is no such folder or file\n",
        ),
        (["taskmanager", "--jobmanager", "host:port"], "penstock: --jobmanager host:port: expected HOST:PORT\n"),
        (
            ["cancel", "-m", "localhost:1", "0" * 32],
            "penstock: no JobManager answers at localhost:1: Connection refused\n",
        ),
    ],
)
def test_a_wrong_word_on_the_command_line_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], sentence: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 1
    assert sentence in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [("run",), ("jobmanager", "--rest-port", "0", "--port", "0", "--job")])
@pytest.mark.parametrize(
    ("script", "first", "last"),
    [
        ("def fail():\n    raise KeyError('boom')\nfail()\n", "Traceback", "KeyError: 'boom'"),
        ("x = (\n", '  File "{file}", line 1', "SyntaxError: '(' was never closed"),
        ("raise BaseException('base')\n", "Traceback", "BaseException: base"),
        ("print('hello')\n", "penstock: {file} ended without a job: it never called execute()", "environment"),
        (
            "from penstock.datastream import StreamExecutionEnvironment as E\n"
            "E.get_execution_environment().add_source(3)\n",
            "Traceback",
            "for a Source there is from_source()",
        ),
    ],
)
def test_a_broken_script_shows_its_own_lines_only(
    commands: Commands, command: tuple[str, ...], script: str, first: str, last: str
) -> None:
    file = commands.script("broken.py", script)
    ended = commands.run(*command, file)
    assert ended.code == 1
    assert ended.errors.startswith(first.format(file=file))
    assert ended.errors.rstrip().endswith(last)
    assert "penstock/cli" not in ended.errors
    assert "penstock/datastream" not in ended.errors
    assert "runpy" not in ended.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu", "job.py"], "No such command 'rnu'. Did you mean 'run'?"),
        (["frobnicate"], "No such command 'frobnicate'.\n"),
        (["run", "--rest-port", "99999", "job.py"], "99999 is not in the range"),
        (["jobmanager", "--port", "-1", "--job", "job.py"], "-1 is not in the range"),
        (["taskmanager", "--data-port", "70000"], "70000 is not in the range"),
    ],
)
def test_a_word_that_cannot_be_meant_is_told_with_what_may_be(arguments: list[str], said: str) -> None:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 2
    assert said in ended.stderr


def test_python_runs_the_package_as_the_command(commands: Commands) -> None:
    assert commands.python("-m", "penstock", "--version").output == commands.run("--version").output


def test_a_script_that_interrupts_itself_is_no_ctrl_c_of_the_jobmanagers(commands: Commands) -> None:
    file = commands.script("interrupting.py", "raise KeyboardInterrupt\n")
    ended = commands.run("jobmanager", "--rest-port", "0", "--port", "0", "--job", file)
    assert ended.code == 1
    assert ended.errors.splitlines()[1:] == [
        f'  File "{file}", line 1, in <module>', "    raise KeyboardInterrupt", "KeyboardInterrupt",
    ]  # fmt: skip


def test_quiet_tells_of_a_job_that_restarts_over_and_over(commands: Commands) -> None:
    restarts = {"type": "fixed-delay", "fixed-delay.attempts": "3", "fixed-delay.delay": "400 ms"}
    options = [part for key, text in restarts.items() for part in ("-D", f"restart-strategy.{key}={text}")]
    ended = commands.run("run", "-q", *options, commands.script("failing.py", FAILING))
    assert ended.code == 1
    said = "operator 'Map' (subtask 1 of 1) failed in record 7: ValueError: seven"
    first, *others = ended.errors.splitlines()
    assert first == f"job failing restarts (1): {said}"
    assert f"penstock: {said}" in others


def test_a_script_that_ends_itself_gives_its_exit_code(commands: Commands) -> None:
    assert commands.run("run", commands.script("ends.py", "import sys\nsys.exit(7)\n")).code == 7


def test_a_function_that_raises_names_operator_subtask_and_record_and_ends_in_the_users_line(
    commands: Commands,
) -> None:
    file = commands.script("failing.py", FAILING)
    ended = commands.run("run", "-q", file)
    assert ended.code == 1
    assert "operator 'Map' (subtask 1 of 1) failed in record 7: ValueError: seven" in ended.errors
    assert ended.errors.rstrip().endswith(
        f'File "{file}", line 8, in check\n    raise ValueError("seven")\nValueError: seven'
    )


def test_plain_lines_say_what_changes(commands: Commands) -> None:
    ended = commands.run("run", commands.script("printing.py", PRINTING))
    assert (ended.code, ended.output) == (0, "1\n2\n3\n")
    assert "job printing FINISHED after" in ended.errors
    assert commands.run("run", "--quiet", commands.script("printing.py", PRINTING)).errors == ""


def test_on_a_terminal_what_the_job_prints_stands_whole_above_the_live_view(tmp_path: Path) -> None:
    script = tmp_path / "printing.py"
    script.write_text(PRINTING)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock.cli.start", "run", str(script)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry), TERM="xterm"),
    )
    os.close(theirs)
    seen = b""
    while piece := _read(ours):
        seen += piece
    os.close(ours)
    assert process.wait() == 0
    shown = seen.decode().replace("\r\n", "\n")
    assert "1\n2\n3\n" in shown
    assert "records 3 in, 3 out" in shown
    assert "FINISHED" in shown.splitlines()[-1]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""  # The other side is closed.


@pytest.mark.parametrize(
    "loading",
    ["click", "penstock.cli.run", "penstock.cli.configuring", "penstock.cli.running", "penstock.local.cluster"],
)
def test_ctrl_c_while_the_command_is_still_loading_ends_it_with_a_line(commands: Commands, loading: str) -> None:
    interrupted = commands.script(
        "interrupted.py",
        "import os, signal, sys\n"
        "from penstock.cli.start import main\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {loading!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "main()\n",
    )
    ended = commands.python(interrupted, "run", commands.script("printing.py", PRINTING))
    assert (ended.code, ended.output, ended.errors) == (130, "", "penstock: interrupted\n")


def test_a_signal_that_came_blocked_before_the_command_began_ends_it(commands: Commands) -> None:
    terminated = commands.script(
        "terminated.py",
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "from penstock.cli.start import main\n"
        "main()\n",
    )
    ended = commands.python(terminated, "run", commands.script("printing.py", PRINTING))
    assert (ended.code, ended.output, ended.errors) == (143, "", "")


def test_a_secret_on_the_command_line_is_warned_of_without_being_told(commands: Commands) -> None:
    script = commands.script("printing.py", PRINTING)
    ended = commands.run("run", "-q", "-D", "s3.secret-key=hunter2", "-D", "s3.access-key=me", script)
    assert ended.code == 0
    (warning,) = [line for line in ended.errors.splitlines() if "s3.secret-key" in line]
    assert "command lines can be read by others on this machine: write it into config.yaml (--conf)" in warning
    assert "hunter2" not in ended.errors
