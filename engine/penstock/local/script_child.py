"""Runs a user's script in a child process and brings back the job that it builds.

So the JobManager never loads the user's code: a script that leaks, forks, crashes or changes the interpreter does so
elsewhere. The child says over a pipe what came of it, and dies with its parent.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import msgspec

from penstock.base.errors import JobDefinitionError, PenstockError
from penstock.base.ids import OperatorUid
from penstock.base.pipes import read_message, write_message
from penstock.checkpoint.comparison import Asked
from penstock.common.configuration import Configuration
from penstock.graph.job_graph import JobGraph
from penstock.taskmanager.zygote import die_with_parent

_MODULE: Final = "penstock.local.script_child"


@final
class _Order(msgspec.Struct, frozen=True, tag=True):
    script: str
    arguments: tuple[str, ...]
    configuration: dict[str, str]
    rehearse_s: float | None
    """Whether to open the operators for what state they ask for, and how long each may take."""


@final
class _Built(msgspec.Struct, frozen=True, tag=True):
    graph: bytes
    configuration: dict[str, str]
    asked: bytes


@final
class _Refused(msgspec.Struct, frozen=True, tag=True):
    message: str
    report: str


@final
class ScriptRefused(PenstockError):
    """The script gave no job. `report` is its traceback, from the script's own first line on; empty without one."""

    def __init__(self, message: str, report: str) -> None:
        super().__init__(message)
        self.report = report


def job_of_script(
    script: Path, arguments: Sequence[str], configuration: Configuration
) -> tuple[JobGraph, Configuration]:
    """The job that the script would execute, and the configuration that it would have. Blocks while it runs."""
    built = _ask(_Order(str(script), tuple(arguments), configuration.to_dict(), None), output=None)
    return pickle.loads(built.graph), Configuration.from_dict(built.configuration)


def job_and_state_of_script(
    script: Path, arguments: Sequence[str], configuration: Configuration, *, rehearse_s: float | None, output: int
) -> tuple[JobGraph, Configuration, Mapping[OperatorUid, Asked]]:
    """The same, and what state its operators ask for, unless `rehearse_s` is None: see `penstock.local.rehearsal`.

    What the script prints goes to the file descriptor `output`.
    """
    built = _ask(_Order(str(script), tuple(arguments), configuration.to_dict(), rehearse_s), output=output)
    return pickle.loads(built.graph), Configuration.from_dict(built.configuration), pickle.loads(built.asked)


def _ask(order: _Order, *, output: int | None) -> _Built:
    script = order.script
    down_read, down_write = os.pipe()
    up_read, up_write = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(os.getpid()), str(down_read), str(up_write)],
        pass_fds=(down_read, up_write),
        stdout=output,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry)),
    )
    os.close(down_read)
    os.close(up_write)
    said: _Built | _Refused | None = None
    try:
        write_message(down_write, order)
        said = read_message(up_read, _Built | _Refused)
    except BrokenPipeError:
        pass  # It has ended, and how is told below.
    finally:
        if child.poll() is None and said is None:
            child.kill()
        os.close(down_write)
        os.close(up_read)
        status = child.wait()
    match said:
        case None:
            how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with code {status}"
            raise JobDefinitionError(f"{script} gave no job: its process was {how}")
        case _Refused(message, report):
            raise ScriptRefused(message, report)
        case _Built():
            return said


def main() -> None:
    """The child: takes an order, runs the script, answers."""
    parent, orders, answers = map(int, sys.argv[1:])
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The script's own children get neither pipe.
    os.set_inheritable(orders, False)
    os.set_inheritable(answers, False)
    order: _Order | None = read_message(orders, _Order)
    if order is None:
        return
    write_message(answers, _carried_out(order))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the script left running do not keep the JobManager waiting.
    os._exit(0)


def _carried_out(order: _Order) -> _Built | _Refused:
    from penstock import pyflink_hook
    from penstock.base.tracebacks import users_line
    from penstock.datastream.script import ScriptFailed, job_of

    pyflink_hook.install()
    try:
        graph, configuration = job_of(Path(order.script), order.arguments, Configuration.from_dict(order.configuration))
    except ScriptFailed as error:
        return _Refused(str(error), error.report)
    except PenstockError as error:
        line = users_line(error, Path(order.script))
        return _Refused(f"{error} ({line})" if line else str(error), "")
    except SystemExit as error:
        return _Refused(f"{order.script} ended with code {error.code} and without a job", "")
    asked: dict[OperatorUid, Asked] = {}
    if order.rehearse_s is not None:
        from penstock.local.rehearsal import rehearse

        asked = rehearse(graph, configuration, order.rehearse_s)
    return _Built(pickle.dumps(graph, 5), configuration.to_dict(), pickle.dumps(asked, 5))


if __name__ == "__main__":
    main()
