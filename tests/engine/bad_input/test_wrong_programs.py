"""A wrong program ends with one clear sentence and a code that is not 0, and leaves nothing half done."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.commands import Commands, Ended

HEAD = """\
import os
import threading
from penstock.common import *
from penstock.datastream import *
from penstock.datastream.connectors.file_system import FileSink
from penstock.datastream.state import *
env = StreamExecutionEnvironment.get_execution_environment()
env.set_parallelism(2)
texts = env.from_collection(["1", "two"], Types.STRING())

class Guarded:
    def __init__(self):
        self.name = "x"
        self.guard = threading.Lock()
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def run(commands: Commands, program: str, *options: str) -> Ended:
    ended = commands.run("run", "--quiet", *options, commands.script("job.py", HEAD + program))
    assert ended.code == 1, ended
    assert ended.output == ""
    return ended


def sentence(ended: Ended) -> str:
    """The first line of what was said; nothing of ours follows it."""
    assert "/penstock/" not in ended.errors
    first, _, _ = ended.errors.partition("\n")
    assert first.startswith("penstock: ")
    return first.removeprefix("penstock: ")


@pytest.mark.parametrize("command", [("run",), ("jobmanager", "--rest-port", "0", "--port", "0", "--job")])
def test_a_missing_script_is_named(commands: Commands, command: tuple[str, ...]) -> None:
    ended = commands.run(*command, "nowhere.py")
    assert (ended.code, ended.output, ended.errors) == (1, "", "penstock: there is no script nowhere.py\n")


@pytest.mark.parametrize("command", [("run",), ("jobmanager", "--rest-port", "0", "--port", "0", "--job")])
def test_a_script_that_raises_shows_its_own_lines_only(commands: Commands, command: tuple[str, ...]) -> None:
    script = commands.script("job.py", "def first():\n    raise ValueError('no such luck')\n\nfirst()\n")
    ended = commands.run(*command, script)
    assert ended.code == 1
    lines = ended.errors.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line for line in lines if line.startswith("  File ")] == [
        f'  File "{script}", line 4, in <module>', f'  File "{script}", line 2, in first',
    ]  # fmt: skip
    assert lines[-1] == "ValueError: no such luck"


def test_a_script_that_runs_nothing_is_told(commands: Commands) -> None:
    ended = commands.run("run", commands.script("job.py", HEAD))
    assert (ended.code, ended.output) == (1, "")
    assert sentence(ended).endswith("job.py ended without a job: it never called execute() on its environment")


def test_a_function_that_raises_is_named_with_operator_subtask_and_record(commands: Commands) -> None:
    program = """
def parse(text):
    return int(text)

def doubled(text):
    return 2 * parse(text)

texts.rebalance().map(doubled, Types.INT()).name("doubling").add_sink(Nothing())
env.execute()
"""
    nothing = "class Nothing(SinkFunction):\n    def invoke(self, value, context):\n        pass\n"
    ended = run(commands, nothing + program)
    said = sentence(ended)
    assert re.match(r"operator 'doubling' \(subtask [12] of 2\) failed in record 'two': ValueError: invalid lit", said)
    frames = re.findall(r'File "(.*)", line \d+, in (\w+)', ended.errors)
    assert frames == [(str(commands.folder / "job.py"), "doubled"), (str(commands.folder / "job.py"), "parse")]
    assert ended.errors.splitlines()[-1].startswith("ValueError: invalid literal")


@pytest.mark.parametrize(
    "rest",
    [
        "print()\nenv.execute()\n",
        "execute_and_collect().next()\n",
        "print()\nenv.execute_async().get_job_execution_result().result()\n",
    ],
)
def test_python_shows_the_sentence_and_the_users_lines(commands: Commands, rest: str) -> None:
    program = f'texts.map(lambda text: int("x"), Types.INT()).name("parsing").{rest}'
    ended = commands.python(commands.script("job.py", HEAD + program))
    assert ended.code == 1
    ours = [line for line in ended.errors.splitlines() if "/penstock/" in line]
    assert 1 <= len(ours) <= 2, "the frames in which execute() and next() raise"
    assert "JobFailed: operator 'parsing' (subtask" in ended.errors
    assert re.search(r'job.py", line \d+, in <lambda>', ended.errors)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "class M(MapFunction):\n"
            "    def __init__(self):\n        self.inner = Guarded()\n"
            "    def map(self, value):\n        return value\n"
            "texts.map(M()).name('locking').print()\nenv.execute()\n",
            r"operator 'locking' cannot be sent to the workers: M\.inner\.guard: cannot pickle '_thread.lock' object",
        ),
        (
            "texts.map(lambda text: Guarded()).name('locking').rebalance().map(str).print()\nenv.execute()\n",
            r"operator 'locking' \(subtask [12] of 2\) failed in record '(1|two)': UncopyableValue: a Guarded cannot "
            r"be copied on its way to the next operator: Guarded\.guard: cannot pickle '_thread.lock' object",
        ),
        (
            "class Keep(KeyedProcessFunction):\n"
            "    def open(self, context):\n"
            "        self.kept = context.get_state(ValueStateDescriptor('kept', Types.PICKLED_BYTE_ARRAY()))\n"
            "    def process_element(self, value, ctx):\n        self.kept.update(Guarded())\n"
            "env.enable_checkpointing(100)\n"
            "env.from_sequence(1, 1 << 40).key_by(lambda n: n % 7).process(Keep()).name('keeping').print()\n"
            "env.execute()\n",
            r"Exceeded checkpoint tolerable failure threshold. Checkpoint \d+ failed: keeping.*: state kept: value "
            r"cannot be stored: value\.guard: cannot pickle '_thread.lock' object",
        ),
        (
            "class Keep(KeyedProcessFunction):\n"
            "    def open(self, context):\n"
            "        context.get_state(ValueStateDescriptor('kept', Types.LONG()))\n"
            "        context.get_state(ValueStateDescriptor('kept', Types.STRING()))\n"
            "    def process_element(self, value, ctx):\n        pass\n"
            "texts.key_by(lambda text: text).process(Keep()).name('keeping').print()\nenv.execute()\n",
            r"operator 'keeping' \(subtask [12] of 2\) failed in open: StateError: state kept of operator keeping is "
            r"asked for as STRING\(\) and was registered as LONG\(\)",
        ),
        (
            "env.set_max_parallelism(4)\ntexts.key_by(len).map(str).name('eight').set_parallelism(8).print()\n"
            "env.execute()\n",
            r"operator 'eight' has parallelism 8, above its maximum parallelism 4: lower the one .* or raise the other",
        ),
        (
            "texts.key_by(lambda text: [text]).map(str).print()\nenv.execute()\n",
            r".*failed in the keys that its selector gave: StateError: \['(1|two)'\] of type list cannot be a key: "
            r"use tuple\(key\)",
        ),
        (
            "texts.map(lambda text: text, Types.INT()).name('typed').print()\nenv.execute()\n",
            r"operator 'typed' .* failed in record '(1|two)': ValueMismatch: expected INT .*, found '(1|two)' \(str\)",
        ),
        (
            "env.set_parallelism(1).from_sequence(1, 1).map(lambda n: os._exit(7)).print()\nenv.execute()\n",
            r"worker \S+ was lost: process \d+ ended with code 7",
        ),
        (
            "class NoWayBack(MapFunction):\n"
            "    def __setstate__(self, state):\n        raise ValueError('no way back')\n"
            "    def map(self, value):\n        return value\n"
            "function = NoWayBack()\nfunction.some = 1\n"
            "texts.map(function).name('lost').print()\nenv.execute()\n",
            r"operator 'lost' cannot be loaded where it is to run: ValueError: no way back",
        ),
        (
            "class Fails(MapFunction, CheckpointedFunction):\n"
            "    def map(self, value):\n        return value\n"
            "    def initialize_state(self, context):\n        pass\n"
            "    def snapshot_state(self, context):\n        raise ValueError('not now')\n"
            "env.enable_checkpointing(100)\n"
            "env.from_sequence(1, 1 << 40).map(Fails()).name('saving').filter(lambda n: False).print()\n"
            "env.execute()\n",
            r"Exceeded checkpoint tolerable failure threshold. Checkpoint \d+ failed: .*operator 'saving' .* failed in "
            r"snapshot_state: ValueError: not now \(\S+job\.py, line 21\)",
        ),
    ],
    ids=["function", "record", "state", "two types", "parallelism", "key", "type", "end", "loading", "snapshot"],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(commands: Commands, program: str, said: str) -> None:
    ended = run(commands, program, "-D", "restart-strategy.type=none")
    assert re.match(said, sentence(ended)), ended.errors


@pytest.mark.parametrize("settings", ["env.set_parallelism(2).enable_checkpointing(10_000)", "env.set_parallelism(1)"])
def test_a_failed_job_publishes_no_file(commands: Commands, settings: str) -> None:
    # Without checkpoints each subtask publishes at its own end: then it is the one that fails.
    program = f"""
{settings}
sink = FileSink.for_row_format({str(commands.folder / "out")!r}, Encoder.simple_string_encoder()).build()
texts.map(lambda text: str(int(text)), Types.STRING()).sink_to(sink)
env.execute()
"""
    run(commands, program, "-D", "restart-strategy.type=none")
    assert [path for path in (commands.folder / "out").rglob("part-*") if not path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("parallelism.default=many", "parallelism.default: 'many' (from -D) is not a whole number"),
        ("state.backend.type=leveldb", "state.backend.type: 'leveldb' (from -D) is not one of hashmap, rocksdb"),
        ("penstock.nonsense=1", "penstock.nonsense (from -D) is not a key of Penstock's"),
        ("nothing", "-D nothing: expected -D key=value"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(commands: Commands, definition: str, said: str) -> None:
    assert sentence(run(commands, "texts.print()\nenv.execute()\n", "-D", definition)).startswith(said)
