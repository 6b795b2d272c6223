"""Temporary folders do not outlive their processes for long."""

import subprocess
import sys
from pathlib import Path

from penstock.base.folders import own_folder

_DIE = "import os, sys; from penstock.base.folders import own_folder; from pathlib import Path; "
_DIE += "f = own_folder('x', Path(sys.argv[1])); (f.path / 'file').write_text('left'); print(f.path); "
_DIE += "sys.stdout.flush(); os.kill(os.getpid(), 9)"


def test_a_removed_folder_is_gone(tmp_path: Path) -> None:
    folder = own_folder("x", tmp_path)
    (folder.path / "file").touch()
    folder.remove()
    folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_when_the_next_one_is_made(tmp_path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", _DIE, str(tmp_path)], capture_output=True, text=True, check=False)
    left = Path(process.stdout.strip())
    assert left.is_dir() and process.returncode == -9
    folder = own_folder("y", tmp_path)
    assert list(tmp_path.iterdir()) == [folder.path]
    folder.remove()


def test_folders_that_live_or_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    stranger = tmp_path / "penstock-word-count"
    stranger.mkdir()
    first = own_folder("x", tmp_path)
    second = own_folder("x", tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([stranger, first.path, second.path])
    first.remove()
    second.remove()
