"""What the commands promise as processes: the same output however a job is run, and nothing left however it ends."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.commands import Commands, Running, free_port
from penstock.testing.processes import children_of, kill_and_wait
from penstock.testing.steps import wait_until

WORDS = """\
from {package}.common import Types
from {package}.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
lines = env.from_collection(["to be or not to be", "that is the question"], Types.STRING())
counts = (
    lines.flat_map(lambda line: ((word, 1) for word in line.split()), Types.TUPLE([Types.STRING(), Types.INT()]))
    .key_by(lambda pair: pair[0], Types.STRING())
    .reduce(lambda left, right: (left[0], left[1] + right[1]))
)
counts.print()
env.execute("words")
"""
COUNTED = ["(be,1)", "(be,2)", "(is,1)", "(not,1)", "(or,1)", "(question,1)", "(that,1)", "(the,1)", "(to,1)", "(to,2)"]
"""Every word's running count: the streams of a cluster show it; a bounded job elsewhere may show the last one only."""
SHORT = """\
from penstock.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.from_collection([1]).print()
env.execute()
"""
ENDLESS = """\
import time
from penstock.common import Types
from penstock.datastream import StreamExecutionEnvironment

env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2).enable_checkpointing(200)

def slow(number):
    time.sleep(0.0005)
    return number % 10, 1

pairs = env.from_sequence(1, 1 << 40).map(slow, Types.TUPLE([Types.LONG(), Types.LONG()]))
counts = pairs.key_by(lambda pair: pair[0], Types.LONG()).reduce(lambda left, right: (left[0], left[1] + right[1]))
counts.filter(lambda pair: pair[1] % 100 == 0).print()
env.execute("endless")
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def counted(output: str) -> list[str]:
    """The printed values, without the subtask that printed them."""
    return sorted(line.partition("> ")[2] for line in output.splitlines())


def jobmanager(commands: Commands, script: str, port: int, *more: str) -> Running:
    rest = ("--rest-port", "0")
    checkpoints = ("-D", f"execution.checkpointing.dir={commands.folder / 'checkpoints'}")
    return commands.start("jobmanager", "--job", script, "--port", str(port), *rest, *checkpoints, *more)


def taskmanager(commands: Commands, port: int) -> Running:
    return commands.start("taskmanager", "--jobmanager", f"localhost:{port}")


def rest_of(running: Running) -> str:
    return running.says(r"REST answers at http://(\S+)")[1]


def test_a_job_prints_the_same_by_python_by_run_and_on_a_cluster(commands: Commands) -> None:
    script = commands.script("words.py", WORDS.format(package="penstock"))
    by_python = commands.python(script)
    by_run = commands.run("run", script)
    port = free_port()
    cluster = jobmanager(commands, script, port)
    managers = [taskmanager(commands, port) for _ in range(2)]
    assert cluster.wait().code == 0
    ended = [manager.wait() for manager in managers]
    assert [manager.code for manager in ended] == [0, 0]
    on_cluster = "".join(manager.output for manager in ended)
    assert counted(by_python.output) == counted(by_run.output) == counted(on_cluster) == COUNTED
    assert (by_python.code, by_run.code) == (0, 0)


def test_a_program_that_imports_pyflink_runs_as_it_is(commands: Commands) -> None:
    ended = commands.run("run", commands.script("words.py", WORDS.format(package="pyflink")))
    assert (ended.code, counted(ended.output)) == (0, COUNTED)


def test_a_jobmanager_that_was_killed_is_succeeded_by_one_with_the_same_job_id(commands: Commands) -> None:
    script, port, job = commands.script("endless.py", ENDLESS), free_port(), "0" * 31 + "7"
    first = jobmanager(commands, script, port, "--job-id", job)
    managers = [taskmanager(commands, port) for _ in range(2)]
    address = rest_of(first)
    seen(commands, address, r"checkpoints: [1-9]\d* completed")
    kill_and_wait(first.process.pid)
    second = jobmanager(commands, script, port, "--job-id", job)
    address = rest_of(second)
    seen(commands, address, r"RUNNING[^\0]* 1 restored")
    second.signal(signal.SIGTERM)
    ended = second.wait()
    assert ended.code == 143
    assert f"job {job} is left as it is" in ended.errors
    third = jobmanager(commands, script, port, "--job-id", job)
    address = rest_of(third)
    seen(commands, address, "RUNNING")
    assert commands.run("cancel", "-m", address, job).code == 0
    assert third.wait().code == 0
    assert [manager.wait().code for manager in managers] == [0, 0]


def seen(commands: Commands, address: str, pattern: str) -> None:
    """Wait until `penstock info` shows a match."""
    last = ""

    def shown() -> bool:
        nonlocal last
        last = commands.run("info", "-m", address).output
        return re.search(pattern, last) is not None

    wait_until(shown, 30, lambda: f"never saw {pattern!r}: {last}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_cancels_the_job_and_leaves_nothing(
    commands: Commands, number: signal.Signals, code: int
) -> None:
    running = commands.start("run", commands.script("endless.py", ENDLESS))
    running.says(r"> \(\d,100\)")
    running.signal(number)
    ended = running.wait(10)
    assert ended.code == code
    assert "the job was cancelled" in ended.errors
    assert "Traceback" not in ended.errors
    commands.nothing_left()
    assert list((commands.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "told", "number"),
    [
        (
            ["run"],
            "not started yet, its checkpoint folder s3://bucket/checkpoints may not have answered",
            signal.SIGINT,
        ),
        (
            ["jobmanager", "--port", "0", "--rest-port", "0", "--job"],
            "still reading the checkpoint folder store=s3://bucket/checkpoints",
            signal.SIGTERM,
        ),
    ],
)
def test_a_command_whose_store_never_answers_says_so_and_ends_at_a_signal(
    commands: Commands, command: list[str], told: str, number: signal.Signals
) -> None:
    command[1:1] = ["-D", "execution.checkpointing.dir=s3://bucket/checkpoints"]
    with socket.create_server(("127.0.0.1", 0)) as store:
        command[1:1] = ["-D", f"s3.endpoint=http://127.0.0.1:{store.getsockname()[1]}"]
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        running = commands.start(*command, commands.script("endless.py", ENDLESS), **keys)
        asking, _ = store.accept()
        with asking:
            running.says(told)
            running.signal(number)
            ended = running.wait(20)  # It would try for two minutes.
    assert ended.code == 128 + number
    assert "Traceback" not in ended.errors


def test_one_interrupt_ends_a_program_whose_store_never_answers(commands: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as store:
        configuration = {
            "execution.checkpointing.dir": "s3://bucket/checkpoints",
            "s3.endpoint": f"http://127.0.0.1:{store.getsockname()[1]}",
        }
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        running = commands.start_python(
            commands.script("endless.py", ENDLESS), PENSTOCK_CONFIGURATION=json.dumps(configuration), **keys
        )
        asking, _ = store.accept()
        with asking:
            running.signal(signal.SIGINT)
            assert running.wait(20).code == -signal.SIGINT  # As Python ends that nobody has told otherwise.


def test_no_process_outlives_a_run_that_was_killed(commands: Commands) -> None:
    running = commands.start("run", commands.script("endless.py", ENDLESS))
    running.says(r"> \(\d,100\)")
    assert len(commands.left()) >= 4, "the run, its zygote and two workers"
    kill_and_wait(running.process.pid)
    commands.nothing_left()


def test_no_worker_outlives_its_taskmanager_and_another_takes_over(commands: Commands) -> None:
    script, port = commands.script("endless.py", ENDLESS), free_port()
    restarts = ("-D", "restart-strategy.type=fixed-delay", "-D", "restart-strategy.fixed-delay.attempts=10")
    cluster = jobmanager(commands, script, port, *restarts)
    managers = [taskmanager(commands, port) for _ in range(3)]
    address = rest_of(cluster)
    wait_until(lambda: any("> (" in manager.output for manager in managers), 30, lambda: "nothing is printed")
    victim = next(manager for manager in managers if "> (" in manager.output)
    (zygote,) = children_of(victim.process.pid)
    workers = children_of(zygote)
    kill_and_wait(victim.process.pid)
    wait_until(lambda: not set(commands.left()) & {zygote, *workers}, 10, lambda: f"{commands.left()}")
    seen(commands, address, r"RUNNING[^\0]*last failure .* was lost")
    cluster.signal(signal.SIGTERM)
    assert cluster.wait().code == 143
    for manager in managers:
        if manager is not victim:
            manager.signal(signal.SIGTERM)
            assert manager.wait().code == 143


def test_a_detached_run_says_where_it_is_and_goes_on(commands: Commands) -> None:
    ended = commands.run("run", "-d", commands.script("endless.py", ENDLESS))
    assert ended.code == 0, ended
    job, rest = ended.output.split()[1], ended.output.split()[3]
    address = rest.removeprefix("http://")
    listed = commands.run("list", "-m", address)
    assert f"{job} : endless" in listed.output
    assert commands.run("cancel", "-m", address, job).code == 0
    commands.nothing_left()


def test_a_detached_run_that_does_not_come_up_says_why_and_leaves_nothing(commands: Commands) -> None:
    ended = commands.run("run", "-d", commands.script("broken.py", "print('so far')\nraise KeyError('boom')\n"))
    assert (ended.code, ended.output) == (1, "so far\n")
    assert ended.errors.rstrip().endswith("KeyError: 'boom'")
    assert list((commands.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("run", "--rest-port", "{port}", "{script}"), "rest.port"),
        (("jobmanager", "--port", "{port}", "--rest-port", "0", "--job", "{script}"), "jobmanager.rpc.port"),
        (("jobmanager", "--port", "0", "--rest-port", "{port}", "--job", "{script}"), "rest.port"),
    ],
)
def test_a_port_in_use_is_named_with_its_key(commands: Commands, arguments: tuple[str, ...], key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        script = commands.script("short.py", SHORT)
        ended = commands.run(*(part.format(port=port, script=script) for part in arguments))
    assert ended.code == 1
    assert (
        f"penstock: port {port} on 127.0.0.1 is in use: stop what uses it, or set {key} to another port\n"
        in ended.errors
    )
    assert "Traceback" not in ended.errors


def test_a_taskmanager_with_another_secret_is_refused_in_a_sentence(commands: Commands) -> None:
    port = free_port()
    cluster = jobmanager(commands, commands.script("endless.py", ENDLESS), port)
    rest_of(cluster)
    ended = commands.run("taskmanager", "--jobmanager", f"localhost:{port}", PENSTOCK_SECRET="another")
    assert ended.code == 1
    assert "both must be started with the same one" in ended.errors
    cluster.signal(signal.SIGINT)
    assert cluster.wait().code == 130


def test_the_secret_of_this_machine_is_made_once_and_for_this_user_only(commands: Commands) -> None:
    ended = commands.run("taskmanager", "--jobmanager", "localhost:1", "-D", "taskmanager.registration.timeout=0ms")
    assert "no JobManager at localhost:1" in ended.errors
    secret = commands.folder / ".penstock" / "secret"
    assert os.stat(secret).st_mode & 0o777 == 0o600
    before = secret.read_text()
    commands.run("taskmanager", "--jobmanager", "localhost:1", "-D", "taskmanager.registration.timeout=0ms")
    assert secret.read_text() == before
    secret.chmod(0o644)
    assert "others can read the shared secret" in commands.run("taskmanager").errors


def test_no_secret_stands_in_a_childs_arguments_or_environment(commands: Commands) -> None:
    running = commands.start("taskmanager", "--jobmanager", f"localhost:{free_port()}", PENSTOCK_SECRET="hush-hush")
    wait_until(lambda: len(commands.left()) >= 3, 20, lambda: f"{commands.left()}")
    for pid in set(commands.left()) - {running.process.pid}:
        assert b"hush-hush" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"hush-hush" not in Path(f"/proc/{pid}/environ").read_bytes()
    running.signal(signal.SIGINT)
    assert running.wait().code == 130


def test_a_jobmanager_that_was_succeeded_ends_at_once_and_says_so(commands: Commands) -> None:
    script, port, job = commands.script("endless.py", ENDLESS), free_port(), "0" * 31 + "8"
    first = jobmanager(commands, script, port, "--job-id", job)
    managers = [taskmanager(commands, port) for _ in range(2)]
    seen(commands, rest_of(first), r"checkpoints: [1-9]\d* completed")
    second = jobmanager(commands, script, free_port(), "--job-id", job)
    rest_of(second)
    ended = first.wait()
    assert ended.code == 3
    assert f"another JobManager leads job {job}" in ended.errors
    assert "Traceback" not in ended.errors
    for running in (second, *managers):
        running.signal(signal.SIGTERM)
        assert running.wait().code == 143


def test_a_program_that_collects_is_refused_on_a_cluster_where_nobody_would_take_the_records(
    commands: Commands,
) -> None:
    program = WORDS.format(package="penstock").partition("counts.print()")[0] + "print(*counts.execute_and_collect())\n"
    ended = commands.run("jobmanager", "--job", commands.script("collects.py", program), "--port", "0")
    assert ended.code == 1
    assert ended.errors.startswith("penstock: execute_and_collect() hands records to the program that waits for them")
    assert "give the records to a sink and call execute(), or use penstock run" in ended.errors
