"""Programs as PyFlink's documentation and the web have them run unchanged, and print what PyFlink prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "pyflink"
ANY_ORDER = "# in any order"


def ran(program: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli.start", "run", "--quiet", program, *arguments],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(path.stem for path in PROGRAMS.glob("*.py")))
def test_a_pyflink_program_prints_what_pyflink_prints(name: str) -> None:
    printed = ran(PROGRAMS / f"{name}.py")
    expected = (PROGRAMS / f"{name}.out").read_text().splitlines()
    if expected[0] == ANY_ORDER:
        assert sorted(printed) == sorted(expected[1:])
    else:
        assert printed == expected


def test_a_pyflink_program_reads_and_writes_files(tmp_path: Path) -> None:
    text, counts = tmp_path / "text", tmp_path / "counts"
    text.write_text("to be or not\r\nto be\r\n\r\n")
    ran(PROGRAMS / "word_count.py", "--input", str(text), "--output", str(counts))
    (file,) = [path for path in counts.rglob("*") if path.is_file()]
    assert file.name.startswith("prefix-")
    assert file.name.endswith(".ext")
    assert sorted(file.read_text().splitlines()) == ["(be,2)", "(not,1)", "(or,1)", "(to,2)"]
