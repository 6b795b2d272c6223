"""How a JobManager begins to rule a job."""

from random import Random

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import IncompatibleState
from penstock.base.ids import JobId
from penstock.checkpoint.journal_state import IdsReserved
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.reign import Reign, begin_reign
from penstock.storage import MemoryStore

JOB = JobId("0" * 32)


def graph(fingerprint: str) -> JobGraph:
    return JobGraph(
        name="job",
        vertices=(),
        edges=(),
        configuration={},
        prelude=b"",
        files=(),
        python_path=(),
        fingerprint=fingerprint,
    )


def begin(store: MemoryStore, program: JobGraph, owner: str) -> Reign:
    return begin_reign(
        store,
        JOB,
        program,
        owner,
        open_root=lambda _: store,
        restore_path=None,
        allow_older=True,
        allow_unclaimed=False,
        retained_max=1,
        probe=True,
        clock=SystemClock(),
        rng=Random(),
    )


def test_a_jobmanager_with_another_program_is_refused_and_deposes_nobody() -> None:
    store = MemoryStore(SystemClock())
    reign = begin(store, graph("one"), "first")
    with pytest.raises(IncompatibleState, match="started with another program: its graph had fingerprint one"):
        begin(store, graph("two"), "second")
    reign.journal.append(IdsReserved(reign.journal.state.ids_below + 1))
