"""A script that cannot be run is told apart from one that is not there."""

import os
import tempfile
from pathlib import Path

import pytest

from penstock.base.errors import JobDefinitionError
from penstock.base.scripts import check_script


def test_a_folder_is_no_script(tmp_path: Path) -> None:
    with pytest.raises(JobDefinitionError, match="^there is no script .*: it is a folder$"):
        check_script(tmp_path)


def test_a_script_that_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        folder.chmod(0o755)
        (folder / "job.py").touch(0o000)
        if user == 0:  # Permissions mean nothing to root.
            os.seteuid(65534)
        try:
            with pytest.raises(JobDefinitionError, match=r"^cannot read the script .*job.py: Permission denied$"):
                check_script(folder / "job.py")
        finally:
            os.seteuid(user)
