"""`penstock check` as a command: exit codes, JSON for the operator's pre-flight, sentences for people."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.commands import Commands
from penstock.testing.savepoints import HandMade

JOB = """\
import sys
from penstock.common import Types
from penstock.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from penstock.datastream.functions import CheckpointedFunction
from penstock.datastream.state import ListStateDescriptor, ValueStateDescriptor

print("the script prints")
KIND = getattr(Types, sys.argv[1])()

class Count(KeyedProcessFunction):
    def open(self, context):
        print("and so does open()")
        self.n = context.get_state(ValueStateDescriptor("n", KIND))

    def process_element(self, value, context):
        self.n.update((self.n.value() or 0) + 1)
        yield value

class Unreachable(KeyedProcessFunction):
    def open(self, context):
        raise ConnectionError("the database is away")

    def process_element(self, value, context):
        yield value

env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
words = env.from_collection(["a"], Types.STRING()).key_by(lambda word: word, Types.STRING())
words.process(Count()).uid("count").print()
words.process(Unreachable()).uid("far").print()
env.execute("words")
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


def counts(backend: Any, on: Any) -> None:
    state = backend.state(ValueStateDescriptor("n", Types.INT()))
    for key in ("a", "b", "c"):
        if on(key):
            state.update(1)


@pytest.fixture
def savepoint(tmp_path: Path) -> Path:
    made = HandMade(tmp_path / "savepoint").keyed("count", counts, key_type=Types.STRING())
    return made.keyed("far", counts, key_type=Types.STRING()).write()


def test_what_fits_ends_with_0_and_what_does_not_with_1_and_names_both_types(
    commands: Commands, savepoint: Path
) -> None:
    script = commands.script("job.py", JOB)
    fits = commands.run("check", "--json", "--against", "savepoint", script, "LONG")
    answer = json.loads(fits.output)
    assert (fits.code, answer["outcome"], answer["refusals"]) == (0, "compatible", 0)
    assert answer["state"]["path"] == str(savepoint)
    assert {(f["kind"], f["operator"], f["state"]) for f in answer["findings"]} == {
        ("migration", "KeyedProcess", "n"),
        ("types-unknown", "KeyedProcess", None),
    }
    assert "the script prints\nand so does open()" in fits.errors, "never into the JSON"
    assert "the database is away" in fits.output
    refused = commands.run("check", "--against", str(savepoint), script, "STRING")
    assert refused.code == 1
    (line,) = [line for line in refused.output.splitlines() if "REFUSED" in line]
    assert "state n of operator KeyedProcess (uid count)" in line
    assert "INT()" in line
    assert "STRING()" in line


def test_what_cannot_be_found_out_is_an_error_in_json_too(commands: Commands, savepoint: Path) -> None:
    broken = commands.run("check", "--json", "--against", str(savepoint), commands.script("broken.py", "1 / 0\n"))
    answer = json.loads(broken.output)
    assert (broken.code, answer["outcome"], answer["retriable"]) == (1, "error", False)
    assert answer["error"].endswith("ZeroDivisionError: division by zero")
    nowhere = commands.run("check", "--json", "--against", "nowhere", commands.script("job.py", JOB))
    answer = json.loads(nowhere.output)
    assert (nowhere.code, answer["outcome"], answer["findings"][0]["kind"]) == (1, "incompatible", "damaged-file")
    assert commands.run("check", "job.py").code == 2


def test_damage_that_only_reading_shows_is_found_on_request(commands: Commands, savepoint: Path) -> None:
    script = commands.script("job.py", JOB)
    damaged = next(savepoint.glob("*-count-*"))
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    arguments = ("--against", str(savepoint), "--no-open", script, "INT")
    assert commands.run("check", *arguments).code == 0
    read = commands.run("check", "--read", *arguments)
    assert read.code == 1
    assert f"{damaged} is damaged: checksum" in read.output
