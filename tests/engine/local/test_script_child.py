"""A script is run in a process of its own; where it gives no job, the reason it gave is told in a sentence."""

from pathlib import Path

import pytest

from penstock.common.configuration import Configuration
from penstock.local.script_child import ScriptRefused, job_of_script

USAGE = """\
import argparse, logging, sys
logging.basicConfig()
logging.warning("said on the way")
assert sys.stderr.fileno() == 2 and sys.stderr.buffer
argparse.ArgumentParser(prog="job.py").parse_args()
"""


def test_a_script_that_ends_by_itself_is_told_of_by_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(USAGE)
    with pytest.raises(ScriptRefused) as refused:
        job_of_script(script, ["--paws"], Configuration())
    why = "ended with code 2 and without a job: job.py: error: unrecognized arguments: --paws"
    assert str(refused.value) == f"{script} {why}"
