"""`penstock run -d`: the job goes on in a session of its own; the command that started it tells where, and ends."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import final

from penstock.cli import ending
from penstock.cli.ending import say


@final
class Detached:
    """In the process that goes on: tells the one that waits that the job runs."""

    def __init__(self, pipe: int) -> None:
        self._pipe: int | None = pipe

    def report(self, job: str, address: str) -> None:
        """The first job is up."""
        if self._pipe is not None:
            os.write(self._pipe, json.dumps({"job": job, "address": address}).encode())
            os.close(self._pipe)
            self._pipe = None


def detach(name: str) -> Detached:
    """Returns in a child of a session of its own; this process waits for its report, prints it and exits.

    Called before there is any thread.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"penstock-{name}-"))
    output, log = folder / "output", folder / "log"
    read, write = os.pipe()
    print(end="", flush=True)
    sys.stderr.flush()
    child = os.fork()
    if child:
        os.close(write)
        code = _wait(child, read, output, log)
        if code:  # All that is in it has been said.
            shutil.rmtree(folder, ignore_errors=True)
        sys.exit(code)
    os.close(read)
    os.setsid()
    for path, target in ((Path(os.devnull), 0), (output, 1), (log, 2)):
        opened = os.open(path, os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, target)
        os.close(opened)
    return Detached(write)


def _wait(child: int, pipe: int, output: Path, log: Path) -> int:
    said = b""
    while piece := os.read(pipe, 4096):
        said += piece
    if said:
        found = json.loads(said)
        print(f"job {found['job']}")
        print(f"REST {found['address']}")
        say(f"output in {output}, log in {log}")
        return 0
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(_text(output), end="")
    text = _text(log).rstrip()
    say(text or f"penstock: the job's process ended with code {code} before the job was up")
    return code if code > 0 else ending.FAILED


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
