"""FH10: a JobManager that slept through its succession publishes nothing, and its tasks commit nothing."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.cli.ending import DEPOSED
from penstock.testing.cluster import DURABLE, Job, Setup
from penstock.testing.processes import kill_and_wait
from penstock.testing.spread import SpreadCluster
from penstock.testing.steps import Plan, Stop, wait_until

Spread = Callable[[Job, Setup], SpreadCluster]
LOCKED_S = 45.0
"""So long, and no longer, MinIO keeps others from an object that somebody began to write who then says nothing: who was
put to sleep between the headers and the body of an entry of the journal."""


@pytest.mark.soak
@pytest.mark.parametrize("setup", DURABLE, ids=str)
@pytest.mark.parametrize(
    "step", ["checkpoint.trigger", "checkpoint.metadata.before", "journal.completed.before", "checkpoint.notify"]
)
def test_fh10_a_stale_jobmanager_publishes_nothing_and_ends(
    spread: Spread, setup: Setup, tmp_path: Path, step: str
) -> None:
    cluster = spread(Job(rate=300), setup)
    plan = Plan(tmp_path / "plan", Stop(step, "stop", nth=4))
    stale = cluster.start(plan)
    stale_taskmanagers = list(cluster.taskmanagers)
    plan.wait()

    cluster.start_apart()
    cluster.wait("it is succeeded", lambda view: view.status == "RUNNING", LOCKED_S)
    cluster.wait_completed(2)
    epoch = cluster.journal().epoch
    os.kill(stale.pid, signal.SIGCONT)
    wait_until(lambda: stale.poll() is not None, 20.0, lambda: "the stale JobManager goes on")

    assert stale.returncode == DEPOSED
    assert cluster.journal().epoch == epoch
    for process in stale_taskmanagers:
        kill_and_wait(process.pid)
    cluster.finish()
