"""A job started anew from a checkpoint that is older than the newest: nothing is lost, each time emits all once."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.testing.cluster import DURABLE, FaultCluster, Job, Setup

Clusters = Callable[[Job, Setup], FaultCluster]


@pytest.mark.parametrize("setup", DURABLE, ids=str)
def test_a_job_goes_on_from_an_older_checkpoint_though_its_sinks_have_gone_further(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(numbers=1200, options={"execution.checkpointing.num-retained": "100"}), setup)
    cluster.start()
    cluster.wait_completed(6)
    cluster.cancel()
    older = f"{cluster.checkpoints}/{cluster.id}/chk-{cluster.journal().retained[1].id}"
    before = Counter(cluster.committed())
    with cluster.successor(tmp_path / "next", older) as other:
        other.start()
        other.end()
        times = Counter(int(line.split()[2]) for line in other.committed())
        expected = other.expectation().numbers
    # What was published after it is there, and comes again; files that grew on may have been written anew.
    assert times.keys() == expected.keys()
    assert max(times.values()) <= 2
    assert sum(before.values()) <= sum(times.values())
