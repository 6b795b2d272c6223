"""Runs a user's script: as a program that executes here, or only for the job graph that it would execute.

`penstock run` uses the first; the JobManager's child process and `penstock check` the second. The script sees itself as
`__main__`, with its own folder first on the import path and its own arguments in sys.argv, as `python SCRIPT` has it.
"""

import runpy
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, final

from penstock.base.errors import JobDefinitionError, PenstockError
from penstock.base.scripts import check_script
from penstock.base.tracebacks import said, users_traceback
from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.datastream.execution import using
from penstock.datastream.second_job import SecondJob, second_execution
from penstock.graph.job_graph import JobGraph


@final
class ScriptFailed(PenstockError):
    """The script raised before there was a job: `report` is its traceback, from the script's own first line on."""

    def __init__(self, message: str, report: str) -> None:
        super().__init__(message)
        self.report = report


@final
class _Taken(BaseException):
    """Ends the script once its graph is known. No Exception, so that the script's own handlers let it pass."""

    def __init__(self, graph: JobGraph, configuration: Configuration, second: SecondJob | None) -> None:
        super().__init__()
        self.graph = graph
        self.configuration = configuration
        self.second = second


@final
class _Taker:
    """An executor that takes the graph and runs nothing."""

    def __init__(self, script: Path) -> None:
        self._script = script

    def submit(self, graph: JobGraph, configuration: Configuration) -> NoReturn:
        raise _Taken(graph, configuration, second_execution(self._script, sys._getframe()))


def job_of(script: Path, arguments: Sequence[str], configuration: Configuration) -> tuple[JobGraph, Configuration]:
    """The job that the script would execute, and the configuration it would have. A second one is refused."""
    given = Configuration(configuration)
    if not given.contains(jobs.PARALLELISM):
        # On a cluster, the processors of the machine that happens to run the script say nothing.
        given.set(jobs.PARALLELISM, jobs.PARALLELISM.default)
    try:
        with using(_Taker(script), given):
            run(script, arguments)
    except _Taken as taken:
        _warn_of(taken.second, script)
        return taken.graph, taken.configuration
    raise JobDefinitionError(f"{script} ended without a job: it never called execute() on its environment")


def _warn_of(second: SecondJob | None, script: Path) -> None:
    """What would never come is refused; what may not come is warned of."""
    if second is None:
        return
    where = f"line {second.line}" if second.file == script else f"{second.file}, line {second.line}"
    advice = "give each job a script of its own, or run them one after the other with penstock run"
    if second.is_certain:
        text = f"{script} executes a second job in {where}, and on a cluster a JobManager runs one: {advice}"
        raise JobDefinitionError(text) from None
    text = f"a second job that is executed here will not run, because on a cluster a JobManager runs one: {advice}"
    warnings.warn_explicit(text, UserWarning, str(second.file), second.line)


def run(script: Path, arguments: Sequence[str]) -> None:
    """Run the script to its end. SystemExit with a code other than 0 and Ctrl-C pass through."""
    check_script(script)
    try:
        with _as_started_by_python(script, arguments):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    except (PenstockError, KeyboardInterrupt, _Taken):
        raise
    except BaseException as error:
        raise ScriptFailed(f"{script} failed: {said(error)}", users_traceback(error, script)) from error


@contextmanager
def _as_started_by_python(script: Path, arguments: Sequence[str]) -> Iterator[None]:
    argv, path = sys.argv[:], sys.path[:]
    sys.argv[:] = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    try:
        yield
    finally:
        sys.argv[:] = argv
        sys.path[:] = path
