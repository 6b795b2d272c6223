"""The word count of the examples, run in each of the ways there are, and the one on the README's first screen."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.testing.commands import Commands, free_port
from penstock.testing.documents import files_of

ROOT = Path(__file__).parents[3]
WORD_COUNT = str(ROOT / "examples" / "word_count" / "word_count.py")
TEXT = "To be, or not to be: that is the question.\nTo sleep, perchance to dream;\n"
TOP_3 = ["(to,100)", "(be,50)", "(dream,25)"]


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    with Commands(tmp_path) as commands:
        yield commands


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(5):
        (texts / f"{number}.txt").write_text(TEXT * 5)
    shared = ["--input", str(texts), "--checkpoints", str(tmp_path / "checkpoints")]
    return [*shared, "--top", "3", "--parallelism", "2"]


def test_the_word_count_prints_the_same_in_all_three_ways(commands: Commands, arguments: list[str]) -> None:
    by_python = commands.python(WORD_COUNT, *arguments)
    by_run = commands.run("run", WORD_COUNT, *arguments)
    port = free_port()
    cluster = commands.start(
        "jobmanager", "--port", str(port), "--rest-port", "0", "--job", WORD_COUNT, "--", *arguments
    )
    managers = [commands.start("taskmanager", "--jobmanager", f"localhost:{port}") for _ in range(2)]
    on_cluster = cluster.wait()
    ended = [manager.wait() for manager in managers]
    assert [end.code for end in (by_python, by_run, on_cluster, *ended)] == [0] * 5
    assert by_python.output.splitlines() == TOP_3
    assert by_run.output.splitlines() == TOP_3
    assert [line for manager in ended for line in manager.output.splitlines()] == TOP_3


def test_the_job_on_the_first_screen_runs_as_it_stands_there(commands: Commands) -> None:
    text = files_of(ROOT / "README.md")["job.py"]
    job = commands.script("job.py", text)
    assert len(text.splitlines()) <= 16
    for ended in (commands.python(job), commands.run("run", job)):
        assert ended.code == 0, ended.errors
        counts = [line.partition("> ")[2] for line in ended.output.splitlines()]
        assert counts.count("(to,2)") == 1
        assert sorted(counts)[-4:] == ["(that,1)", "(the,1)", "(to,1)", "(to,2)"]


@pytest.mark.timeout(170)
def test_the_demo_upgrades_survives_its_kills_and_counts_exactly(commands: Commands) -> None:
    ended = commands.python(str(ROOT / "examples" / "demo.py"), timeout_s=160.0)
    assert ended.code == 0, ended.output + ended.errors
    assert len(re.findall(r"\*\*\* the demo kill -9 \d+", ended.errors)) == 2
    assert "upgraded from a savepoint; recovered from" in ended.output
    assert re.fullmatch(r"[\d,]+ words, all counts exact", ended.output.splitlines()[-1])
