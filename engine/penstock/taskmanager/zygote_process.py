"""A zygote as its TaskManager has it: the process, whose standard input takes commands, and the pipe of its reports.

Light to import: `penstock run` starts one before it loads anything else, so that what workers need is imported while
the program itself is being loaded. It learns of its environment and its folder only when it begins.
"""

import os
import subprocess
import sys
from typing import final


@final
class ZygoteProcess:
    """Starts at once; waits for its first command."""

    def __init__(self) -> None:
        self.reports_fd, write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock.taskmanager.zygote", str(os.getpid()), str(write)],
            stdin=subprocess.PIPE,
            pass_fds=(write,),
            env=dict(os.environ, PYTHONUNBUFFERED="1"),
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
