"""A zygote as its TaskManager has it: the process, whose standard input takes commands, and the pipe of its reports.

Light to import: `penstock run` starts one before it loads anything else, so that what workers need is imported while
the program itself is being loaded. It learns of its environment and its folder only when it begins.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import final


def _import_path() -> dict[str, str]:
    """Where to find us, if that is the working folder: in a checkout."""
    ours = Path(__file__).parents[2]
    return {"PYTHONPATH": str(ours)} if ours == Path.cwd() else {}


@final
class ZygoteProcess:
    """Starts at once; waits for its first command."""

    def __init__(self) -> None:
        self.reports_fd, write = os.pipe()
        self.process = subprocess.Popen(
            # Without -P a file in the working folder that is called types.py, say, would be taken for Python's own.
            [sys.executable, "-P", "-m", "penstock.taskmanager.zygote", str(os.getpid()), str(write)],
            stdin=subprocess.PIPE,
            pass_fds=(write,),
            env=dict(os.environ, PYTHONUNBUFFERED="1", **_import_path()),
            # Ctrl-C at a terminal is for us alone, who tell the workers what to do.
            start_new_session=True,
        )
        os.close(write)
        os.set_blocking(self.reports_fd, False)

    def dismiss(self) -> None:
        """It was not needed."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        os.close(self.reports_fd)
