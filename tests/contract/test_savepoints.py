"""SP12: a savepoint of every released format restores, on every backend that reads it, and nothing in it is lost."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent / "savepoints"
WRITTEN: Final = sorted(path.parent for path in HERE.glob("*/*/_metadata"))
BACKENDS: Final = {
    "canonical": ("hashmap", "rocksdb"),
    "native-hashmap": ("hashmap",),
    "native-rocksdb": ("rocksdb",),
}
CASES: Final = [(folder, backend) for folder in WRITTEN for backend in BACKENDS[folder.name]]


def program() -> Any:
    found = importlib.util.spec_from_file_location("contract_savepoints_program", HERE / "program.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_every_format_stands_here() -> None:
    assert {folder.name for folder in WRITTEN} == set(BACKENDS)


@pytest.mark.parametrize(
    ("folder", "backend"), CASES, ids=[f"{folder.parent.name}-{folder.name}-on-{backend}" for folder, backend in CASES]
)
def test_sp12_a_savepoint_of_every_released_format_restores(folder: Path, backend: str, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "savepoint")
    configuration = {
        "parallelism.default": "1" if folder.name == "native-hashmap" else "3",
        "state.backend.type": backend,
        "execution.checkpointing.dir": str(tmp_path / "checkpoints"),
        "execution.state-recovery.path": str(tmp_path / "savepoint"),
    }
    ran = subprocess.run(
        [sys.executable, str(HERE / "program.py"), "--report", str(tmp_path / "report")],
        env={
            **os.environ,
            "PENSTOCK_CONFIGURATION": json.dumps(configuration),
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert sorted(found, key=lambda facts: str(facts["key"])) == program().expected(lives=2)
