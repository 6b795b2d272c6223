"""Random programs whose workers are killed, or which go on from a retained checkpoint at other parallelisms.

What they commit to files in the end must be exactly what plain Python computes. By hand, as `random_programs`:

    python -m penstock.testing.chaos_programs kills SEED
    python -m penstock.testing.chaos_programs rescaled SEED
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, cast

from penstock.base.errors import PenstockError
from penstock.common.job_status import JobStatus
from penstock.datastream.execution import Executor, using
from penstock.local.cluster import LocalCluster
from penstock.testing.paced import FINISH
from penstock.testing.processes import kill_and_wait, workers_of
from penstock.testing.program_generator import Program, Settings
from penstock.testing.random_programs import Watch, compare, execute, random_program, written
from penstock.testing.steps import wait_until

_TIMEOUT_S: Final = 60.0
_OTHER: Final = {"1": "1", "2": "4", "3": "2", "4": "3"}
"""Another parallelism for each, equal ones for equal ones, so that what is said of order remains true."""


def check_kills(seed: int, folder: Path) -> None:
    """One run, in which workers are killed."""
    rng, gate = Random(-seed), folder / f"gate-{seed}"
    program = random_program(seed, Settings(files=folder, gate=gate))
    gate.mkdir()
    with _running(program, program.text) as cluster:
        for _ in range(rng.choice((1, 1, 2))):
            _wait_completed(cluster, rng.randrange(4))
            if workers := workers_of(os.getpid()):
                kill_and_wait(rng.choice(workers))
            time.sleep(rng.random() / 2)
        _finish(cluster, gate)
    _compare(program)


def check_rescaled(seed: int, folder: Path) -> None:
    """Runs that are cancelled, each followed by one at other parallelisms from the newest checkpoint."""
    rng, gate = Random(-seed), folder / f"gate-{seed}"
    program = random_program(seed, Settings(files=folder, gate=gate, rescalable=True))
    gate.mkdir()
    text, path = program.text, ""
    for _ in range(rng.choice((1, 2))):
        with _running(program, text + path) as cluster:
            _wait_completed(cluster, 1 + rng.randrange(4))
            time.sleep(rng.random() / 10)
            cluster.cancel()
            ended = cluster.wait(_TIMEOUT_S)
            assert ended is not None and ended.status is JobStatus.CANCELED, f"seed {seed}: {ended}"
        (newest,) = (folder / f"checkpoints-{seed}" / cluster.job).glob("chk-*")
        path = f"\nenv.configure(Configuration.from_dict({{'execution.state-recovery.path': {str(newest)!r}}}))\n"
        text = re.sub(r"set_parallelism\((\d)\)", lambda match: f"set_parallelism({_OTHER[match[1]]})", text)
    with _running(program, text + path) as cluster:
        _finish(cluster, gate)
    _compare(program)


def _compare(program: Program) -> None:
    assert program.output is not None, "it writes files"
    compare(program, list(written(program.output)))


@contextmanager
def _running(program: Program, text: str) -> Iterator[LocalCluster]:
    """The program, started; whatever goes wrong within is told with its text."""
    watch = Watch(_TIMEOUT_S)
    try:
        names = execute(program, text, watch)
        with using(cast(Executor, watch)):
            names["env"].execute_async()
        assert watch.job is not None
        yield watch.job.cluster
    except Exception as error:
        late = f"it ran for {_TIMEOUT_S:g} s: " if watch.is_over else ""
        raise AssertionError(f"seed {program.seed} failed: {late}{error}\n\n{text}") from error
    finally:
        watch.close()
        if watch.job is not None:
            watch.job.cluster.stop()


def _wait_completed(cluster: LocalCluster, more: int) -> None:
    """Until so many checkpoints more are complete."""
    count = _completed(cluster) + more
    wait_until(
        lambda: cluster.ended or _completed(cluster) >= count,
        _TIMEOUT_S,
        lambda: f"{_completed(cluster)} checkpoints are complete, not {count}",
    )


def _completed(cluster: LocalCluster) -> int:
    return 0 if cluster.master is None else cluster.master.history.counts["completed"]


def _finish(cluster: LocalCluster, gate: Path) -> None:
    (gate / FINISH).touch()
    result = cluster.wait()
    if result is None or result.status is not JobStatus.FINISHED:
        raise PenstockError(f"the job ended so: {result}")


def main() -> None:
    check = {"kills": check_kills, "rescaled": check_rescaled}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        check(int(sys.argv[2]), Path(folder))


if __name__ == "__main__":
    main()
