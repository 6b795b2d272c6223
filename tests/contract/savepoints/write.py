"""Writes the savepoints that stand here, of the format that this Penstock writes: once for each release.

python -m tests.contract.savepoints.write VERSION
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
KINDS: Final = {"canonical": "hashmap", "native-hashmap": "hashmap", "native-rocksdb": "rocksdb"}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write savepoints of every format.")
    parser.add_argument("version")
    arguments = parser.parse_args()
    for kind, backend in KINDS.items():
        with tempfile.TemporaryDirectory() as folder:
            configuration = {
                "parallelism.default": "2",
                "state.backend.type": backend,
                "execution.checkpointing.incremental": "true",
                "execution.checkpointing.dir": f"{folder}/checkpoints",
                "execution.checkpointing.data-inline-threshold": "2kb",
            }
            command = [sys.executable, str(HERE / "program.py"), "--report", f"{folder}/report", "--rate", "1000"]
            command += ["--stop-into", f"{folder}/savepoints", "--format", kind.partition("-")[0]]
            subprocess.run(command, check=True, env={**os.environ, "PENSTOCK_CONFIGURATION": json.dumps(configuration)})
            (written,) = Path(folder, "savepoints").iterdir()
            target = HERE / arguments.version / kind
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(written, target)


if __name__ == "__main__":
    main()
