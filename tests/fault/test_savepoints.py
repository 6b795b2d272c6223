"""SP1-SP11: savepoints taken, stopped with, moved, claimed and disposed of, on jobs whose output is exact."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.testing.cluster import FaultCluster, Job, Setup

Clusters = Callable[[Job, Setup], FaultCluster]

HEAP = Setup("hashmap", "file")
ROCKS = Setup("rocksdb-incremental", "file")
BOTH = pytest.mark.parametrize("setup", [HEAP, ROCKS], ids=str)


@BOTH
def test_sp1_a_job_goes_on_exactly_from_a_savepoint_that_was_taken_while_it_ran(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed()
    savepoint = cluster.savepoint()
    completed = cluster.wait_completed()
    assert completed.status == "RUNNING"
    assert not cluster.files_below(f"{cluster.checkpoints}/{cluster.id}/savepoints")
    cluster.finish()
    # What it had done since is done again by the other; nothing that the first had committed is of use to it.
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.output = str(tmp_path / "next" / "output")
        other.start()
        other.wait("it is restored", lambda view: view.restored is not None)
        other.end()
        assert not other.expectation().losses([*cluster.committed(), *other.committed()])


@BOTH
def test_sp2_a_stop_with_savepoint_commits_all_that_is_before_it_and_emits_nothing_after_it(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    assert cluster.view().status == "FINISHED"
    assert cluster.journal().finished == "FINISHED"
    with cluster.successor(tmp_path / "next", savepoint) as other:
        other.start()
        other.finish()
