"""Small bounded programs by chance, run and compared with what they must give.

A seed gives a program as text, which is what runs, and the streams that its leaves must have, computed in plain
Python. So a failure can be run again by its seed or from the text:

    python -m penstock.testing.random_programs SEED     prints the program, runs it, and says how the result differs
    python -m penstock.testing.random_programs SEED -n  prints only
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast, final

from penstock.base.errors import PenstockError
from penstock.common.configuration import Configuration
from penstock.datastream.execution import Executor, using
from penstock.graph.job_graph import JobGraph
from penstock.local.executor import LocalExecutor, LocalJob
from penstock.testing.program_generator import Generator, Program, Settings
from penstock.testing.program_steps import STEPS
from penstock.testing.program_streams import difference

_TIMEOUT_S: Final = 60.0


def random_program(seed: int, settings: Settings) -> Program:
    """The program of this seed."""
    return Generator(seed, settings, STEPS).make()


def check(program: Program, timeout_s: float = _TIMEOUT_S) -> None:
    """Run a program; AssertionError with seed and text if it fails, or gives anything else than it must."""
    try:
        found = run(program, timeout_s)
    except Exception as error:
        raise AssertionError(f"seed {program.seed} failed: {error}\n\n{program.text}") from error
    compare(program, found)


def compare(program: Program, found: list[tuple[Any, ...]]) -> None:
    """AssertionError unless these marked records are what the program must give."""
    differences = []
    for index, leaf in enumerate(program.leaves):
        triples = [record[1:] for record in found if record[0] == index]
        differences.append(difference(leaf, triples, ordered=program.output is None))
    if any(differences):
        raise AssertionError(f"seed {program.seed}: {'; '.join(filter(None, differences))}\n\n{program.text}")


def run(program: Program, timeout_s: float) -> list[tuple[Any, ...]]:
    """The records of the leaves, each with the index of its leaf before it."""
    watch = Watch(timeout_s)
    try:
        names = execute(program, program.text, watch)
        with using(cast(Executor, watch)):
            if program.output is None:
                return list(names["result"].execute_and_collect())
            names["env"].execute()
    except PenstockError as error:
        if watch.is_over:
            raise TimeoutError(f"it ran for {timeout_s:g} s") from error
        raise
    finally:
        watch.close()
    return list(written(program.output))


def execute(program: Program, text: str, watch: "Watch") -> dict[str, Any]:
    """Run the program's text, which describes the job and does not run it; its global names."""
    names: dict[str, Any] = {"__name__": f"random_program_{program.seed}"}
    with using(cast(Executor, watch)):
        exec(compile(text, f"<program {program.seed}>", "exec"), names)
    return names


def written(folder: Path) -> Iterator[tuple[Any, ...]]:
    """The records that a program's file sink has committed."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            for line in path.read_text().splitlines():
                mark, key, number, text = line.split(" ", 3)
                yield int(mark), int(key), int(number), text


@final
class Watch:
    """Runs jobs on local clusters, and ends the one that takes too long."""

    def __init__(self, timeout_s: float) -> None:
        self.is_over = False
        self.job: LocalJob | None = None
        self._timer = threading.Timer(timeout_s, self._end)
        self._timer.daemon = True

    def submit(self, graph: JobGraph, configuration: Configuration) -> LocalJob:
        self.job = LocalExecutor().submit(graph, configuration)
        self._timer.start()
        return self.job

    def close(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        self.is_over = True
        if self.job is not None:
            self.job.cluster.stop()


def main() -> None:
    seed = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        program = random_program(seed, Settings(files=Path(folder)))
        print(program.text)
        if "-n" not in sys.argv:
            check(program)


if __name__ == "__main__":
    main()
