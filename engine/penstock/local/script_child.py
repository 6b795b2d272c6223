"""Runs a user's script in a child process and brings back the job that it builds.

So the JobManager never loads the user's code: a script that leaks, forks, crashes or changes the interpreter does so
elsewhere. The child says over a pipe what came of it, and dies with its parent.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO, final

import msgspec

from penstock.base.errors import JobDefinitionError, PenstockError
from penstock.base.folders import own_folder
from penstock.base.ids import OperatorUid
from penstock.base.pipes import read_message, write_message
from penstock.checkpoint.comparison import Asked
from penstock.common.configuration import Configuration
from penstock.datastream.io_bindings import COLLECT_SINK
from penstock.graph.job_graph import JobGraph
from penstock.taskmanager.zygote import die_with_parent

_MODULE: Final = "penstock.local.script_child"
_OPEN_TIMEOUT_S: Final = 20.0
"""What each function has for its open(), where the job is rehearsed."""


@final
class _Order(msgspec.Struct, frozen=True, tag=True):
    script: str
    arguments: tuple[str, ...]
    configuration: dict[str, str]
    rehearse_in: str | None
    """A folder for files of operators that are opened; None: they are not."""


@final
class _Built(msgspec.Struct, frozen=True, tag=True):
    graph: bytes
    configuration: dict[str, str]


@final
class _Rehearsed(msgspec.Struct, frozen=True, tag=True):
    asked: bytes


@final
class _Refused(msgspec.Struct, frozen=True, tag=True):
    message: str
    report: str
    line: str


_Said = _Built | _Rehearsed | _Refused


@final
class ScriptRefused(PenstockError):
    """The script gave no job. `report` is its traceback, from the script's own first line on; empty without one.

    `line` says where in the script it was, as far as that is known.
    """

    def __init__(self, message: str, report: str, line: str = "") -> None:
        super().__init__(message)
        self.report = report
        self.line = line


def job_of_script(
    script: Path, arguments: Sequence[str], configuration: Configuration
) -> tuple[JobGraph, Configuration]:
    """The job that the script would execute, and the configuration that it would have. Blocks while it runs."""
    with ScriptChild(script, arguments, configuration, rehearse=False) as child:
        return child.job()


def refuse_collecting(graph: JobGraph) -> None:
    """On a cluster nobody would take what is collected, and it would be lost in silence: JobDefinitionError."""
    if any(COLLECT_SINK in operator.name for vertex in graph.vertices for operator in vertex.chain):
        raise JobDefinitionError(
            "execute_and_collect() hands records to the program that waits for them, and on a cluster the program only "
            "says what the job is: give the records to a sink and call execute(), or use penstock run"
        )


@final
class ScriptChild:
    """A script that runs in a process of its own, and what it says; ask in this order. Everything here blocks."""

    def __init__(
        self,
        script: Path,
        arguments: Sequence[str],
        configuration: Configuration,
        *,
        rehearse: bool,
        output: int | None = None,
    ) -> None:
        """Start it. `rehearse`: have it open the operators, for what state they ask for.

        What the script prints goes to the file descriptor `output`, or where ours goes.
        """
        self._script = script
        down_read, down_write = os.pipe()
        self._answers, up_write = os.pipe()
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(os.getpid()), str(down_read), str(up_write)],
            pass_fds=(down_read, up_write),
            stdout=output,
            env=dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry)),
        )
        os.close(down_read)
        os.close(up_write)
        # Ours, because it may be killed in the middle.
        self._folder = own_folder("check") if rehearse else None
        folder = None if self._folder is None else str(self._folder.path)
        order = _Order(str(script), tuple(arguments), configuration.to_dict(), folder)
        with contextlib.suppress(BrokenPipeError):  # It has ended, and how is told when it is asked.
            write_message(down_write, order)
        os.close(down_write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def job(self) -> tuple[JobGraph, Configuration]:
        """The job that the script would execute, and the configuration that it would have.

        ScriptRefused, or JobDefinitionError when the process just ended.
        """
        built = self._next()
        assert isinstance(built, _Built), "the job is said first"
        return pickle.loads(built.graph), Configuration.from_dict(built.configuration)

    def asked(self) -> Mapping[OperatorUid, Asked]:
        """What state the operators ask for: see `penstock.local.rehearsal`. Nothing without `rehearse`."""
        rehearsed = self._next()
        assert isinstance(rehearsed, _Rehearsed), "the job is said first"
        found: Mapping[OperatorUid, Asked] = pickle.loads(rehearsed.asked)
        return found

    def kill(self) -> None:
        """Whoever waits for it elsewhere is told that it has ended."""
        self._child.kill()

    def close(self) -> None:
        """It is not needed any more. Safe to call twice; not while another thread waits for it."""
        if self._answers < 0:
            return
        self._child.kill()
        self._child.wait()
        os.close(self._answers)
        self._answers = -1
        if self._folder is not None:
            self._folder.remove()

    def _next(self) -> _Built | _Rehearsed:
        said: _Said | None = read_message(self._answers, _Said)
        match said:
            case None:
                status = self._child.wait()
                how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with code {status}"
                raise JobDefinitionError(f"{self._script} gave no job: its process was {how}")
            case _Refused(message, report, line):
                raise ScriptRefused(message, report, line)
            case _:
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
    for said in _carried_out(order):
        # It may be killed once it has answered, and what the script has printed is to be seen.
        print(end="", flush=True)
        sys.stderr.flush()
        write_message(answers, said)
    # Threads that the script left running do not keep the JobManager waiting.
    os._exit(0)


@final
class _LastWords:
    """Standard error that remembers the last line: where a script ends by itself, that is the reason it gave."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""
        self.last = ""

    def write(self, text: str) -> int:
        *whole, self._line = (self._line + text).split("\n")
        self.last = next((line.strip() for line in reversed([*whole, self._line]) if line.strip()), self.last)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _carried_out(order: _Order) -> Iterator[_Said]:
    from penstock import pyflink_hook
    from penstock.base.tracebacks import users_line, users_traceback
    from penstock.datastream.script import ScriptFailed, job_of

    pyflink_hook.install()
    script = Path(order.script)
    words = _LastWords(sys.stderr)
    try:
        with contextlib.redirect_stderr(words):
            graph, configuration = job_of(script, order.arguments, Configuration.from_dict(order.configuration))
    except ScriptFailed as error:
        yield _Refused(str(error), error.report, users_line(error.__cause__ or error, script))
        return
    except PenstockError as error:
        line = users_line(error, script)
        yield _Refused(f"{error} ({line})" if line else str(error), "", line)
        return
    except KeyboardInterrupt as error:  # The script's own: Ctrl-C is the JobManager's.
        report = users_traceback(error, script)
        yield _Refused(f"{order.script} failed: KeyboardInterrupt", report, users_line(error, script))
        return
    except SystemExit as error:
        why = f": {words.last}" if words.last else ""
        yield _Refused(f"{order.script} ended with code {error.code} and without a job{why}", "", "")
        return
    yield _Built(pickle.dumps(graph, 5), configuration.to_dict())
    asked: dict[OperatorUid, Asked] = {}
    if order.rehearse_in is not None:
        from penstock.local.rehearsal import rehearse

        asked = rehearse(graph, configuration, Path(order.rehearse_in), _OPEN_TIMEOUT_S)
    yield _Rehearsed(pickle.dumps(asked, 5))


if __name__ == "__main__":
    main()
