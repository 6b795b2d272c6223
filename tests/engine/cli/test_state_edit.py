"""`penstock state edit` as a command: its example, scripts that fail, and kills at every step."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.state.descriptors import ListStateDescriptor, ValueStateDescriptor
from penstock.testing.commands import Commands
from penstock.testing.savepoints import HandMade
from penstock.testing.steps import Plan, Stop

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = "To be, or not to be: that is the question.\nTo sleep, perchance to dream;\n"


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


@pytest.fixture
def savepoint(tmp_path: Path) -> str:
    def counts(keyed: Any, on: Any) -> None:
        state = keyed.state(ValueStateDescriptor("n", Types.LONG()))
        for key in ("a", "b", "c"):
            if on(key):
                state.update(1)

    def offsets(states: Any) -> None:
        states.get_list_state(ListStateDescriptor("offsets", Types.LONG())).add_all([1, 2])

    made = HandMade(tmp_path / "savepoint").keyed("count", counts, key_type=Types.STRING(), parallelism=2)
    return str(made.listed("source", offsets).write())


def counted(output: str) -> Counter[str]:
    return Counter({word: int(count) for word, count in re.findall(r"\((\w+),(\d+)\)", output)})


def test_the_example_adds_counts_to_a_stopped_job_which_goes_on_from_the_sums(commands: Commands) -> None:
    folder = commands.folder
    (folder / "text").write_text(TEXT * 20_000)
    (folder / "elsewhere.csv").write_text("word,count\nbe,1000000\nnever,7\n")
    job = (
        str(EXAMPLES / "word_count" / "word_count.py"),
        "--input",
        str(folder / "text"),
        "--parallelism",
        "1",
        "--top",
        "99",
    )
    job = (*job, "--checkpoints", str(folder / "checkpoints"))
    begun = commands.run("run", "-d", *job, "--pause", "0.3")
    address = re.search(r"REST http://(\S+)", begun.output)
    assert address is not None, begun.errors
    stopped = commands.run("stop", "-m", address[1], "-p", str(folder / "savepoints"), "--json")
    assert stopped.code == 0, stopped.errors
    location = json.loads(stopped.output)["location"]
    script = str(EXAMPLES / "edit_state.py")
    edit = commands.run("state", "edit", location, "--to", "mended", script, str(folder / "elsewhere.csv"))
    assert edit.code == 0, edit.errors
    assert edit.output.splitlines()[-1] == f"Savepoint written. Path: {folder / 'mended'}"
    check = commands.run("check", "--against", "mended", *job)
    assert check.code == 0, check.output
    ended = commands.run("run", "-q", "-s", "mended", *job)
    assert ended.code == 0, ended.errors
    elsewhere = Counter({"be": 1_000_000, "never": 7})
    assert counted(ended.output) == Counter(re.findall("[a-z]+", (TEXT * 20_000).lower())) + elsewhere


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("x = 1\n", "changes nothing: it calls none of edit, drop, rename, bootstrap"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        (
            "from penstock.state.edit import edit\n@edit('count', 'n')\ndef mend(entry):\n    return entry.valeu\n",
            "AttributeError: 'Entry' object has no attribute 'valeu' ({file}, line 4)",
        ),
        (
            "from penstock.state.edit import bootstrap\n@bootstrap('new', 's', file='no.csv')\ndef load(row): ...\n",
            "there is no file {folder}/no.csv",
        ),
    ],
)
def test_a_script_that_fails_is_told_with_its_own_line(
    commands: Commands, savepoint: str, script: str, sentence: str
) -> None:
    file = commands.script("edit.py", script)
    ended = commands.run("state", "edit", savepoint, "--to", "new", file)
    assert ended.code == 1
    assert ended.errors.rstrip().endswith(sentence.format(file=file, folder=commands.folder))
    assert not (commands.folder / "new" / "_metadata").exists()


def test_objects_of_the_jobs_own_classes_are_changed_by_attribute(commands: Commands) -> None:
    make = """\
import sys
from pathlib import Path
from penstock.state.descriptors import ValueStateDescriptor
from penstock.testing.savepoints import HandMade

class Visit:
    def __init__(self, page):
        self.page = page

def fill(keyed, on):
    visits = keyed.state(ValueStateDescriptor("visit"))
    if on("k"):
        visits.update(Visit("start"))

def show(folder):
    from penstock.checkpoint.opened import open_state
    from penstock.checkpoint.tables import keyed_pieces
    from penstock.storage import S3Settings, open_store
    state = open_state(folder, lambda root: open_store(root, S3Settings()))
    for _, rows in keyed_pieces(state.metadata.operators[0], state, Path("reading")):
        print([(type(visit) is Visit, visit.page) for visit in rows.values])

if sys.argv[1] == "make":
    HandMade(Path("old")).keyed("visits", fill).write()
else:
    show("new")
"""
    edit = """\
from penstock.state.edit import edit

@edit("visits", "visit")
def move(entry):
    entry.value.page += "/welcome"
    return entry
"""
    script = commands.script("make.py", make)
    assert commands.python(script, "make").code == 0
    edited = commands.run("state", "edit", "old", "--to", "new", commands.script("edit.py", edit), "--json")
    assert json.loads(edited.output)["tables"] == [
        {"uid": "visits", "state": "visit", "read": 1, "written": 1, "dropped": False}
    ]
    assert commands.python(script, "show").output == "[(True, 'start/welcome')]\n"


@pytest.mark.parametrize(
    ("step", "whole"),
    [("checkpoint.file.written", False), ("savepoint.metadata.before", False), ("savepoint.metadata.written", True)],
)
def test_a_kill_leaves_either_nothing_called_a_savepoint_or_a_whole_one(
    commands: Commands, savepoint: str, step: str, whole: bool
) -> None:
    script = commands.script("edit.py", "from penstock.state.edit import rename\nrename('count', to='words')\n")
    plan = Plan(commands.folder / "plan", Stop(step))
    killed = commands.run("state", "edit", savepoint, "--to", "new", script, **plan.environment)
    assert killed.code == -9
    shown = commands.run("state", "list", "new", "--json")
    assert (shown.code == 0) is whole
    if whole:
        assert [operator["uid"] for operator in json.loads(shown.output)["operators"]] == ["source", "words"]
    else:
        again = commands.run("state", "edit", savepoint, "--to", "new", script)
        assert again.code == 1
        assert "is what an interrupted edit has left" in again.errors
