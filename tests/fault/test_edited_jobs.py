"""SP9 and SP10: jobs go on from a savepoint in another form, with output that is exact, each step's state with it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.checkpoint.metadata import decode
from penstock.graph.uids import uid_hash
from penstock.testing import edited_jobs
from penstock.testing.cluster import MATRIX, FaultCluster, Job, Setup

Clusters = Callable[[Job, Setup], FaultCluster]

in_files = pytest.mark.parametrize("setup", [s for s in MATRIX if s.storage == "file"], ids=str)
ALLOWED = {"execution.state-recovery.ignore-unclaimed-state": "true"}
NAMES = ("numbers", "hold", "first", "second", "sink")


def form(steps: str, *more: str) -> Job:
    return Job("edited", numbers=1200, script=str(edited_jobs.__file__), arguments=("--steps", steps, *more))


def stopped(cluster: FaultCluster) -> str:
    """Where the savepoint is that it was stopped with, amid its work."""
    cluster.start()
    cluster.wait_completed(2)
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    return savepoint


def successor(cluster: FaultCluster, folder: Path, savepoint: str, job: Job, parallelism: int = 2) -> FaultCluster:
    other = cluster.successor(folder, savepoint)
    other.job = replace(job, options={**job.options, **other.job.options}, parallelism=parallelism)
    return other


@in_files
def test_sp9_an_added_operator_begins_without_state_and_the_others_keep_theirs(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(form("hold,first,second"), setup)
    savepoint = stopped(cluster)
    added = form("hold,new,first,newer,second", "--fresh", "new,newer")
    with successor(cluster, tmp_path / "next", savepoint, added, parallelism=3) as other:
        other.start()
        other.finish()


@in_files
def test_sp9_a_removed_operator_is_refused_by_name_and_dropped_when_that_is_allowed(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(form("hold,first,second,third"), setup)
    savepoint = stopped(cluster)
    fewer = form("hold,first,third")
    with successor(cluster, tmp_path / "refused", savepoint, fewer) as other:
        other.start()
        assert other.wait_exit() != 0
        assert "state of operators that the program does not have: second (uid second)" in other.log()
    with successor(cluster, tmp_path / "allowed", savepoint, replace(fewer, options=ALLOWED)) as other:
        other.start()
        again = stopped_again(other)
    # What was dropped is not in what is written from then on: no permission is needed any more.
    with successor(cluster, tmp_path / "again", again, fewer) as other:
        other.start()
        other.finish()


def stopped_again(cluster: FaultCluster) -> str:
    cluster.wait_completed()
    savepoint = cluster.savepoint(stop="suspend")
    assert cluster.wait_exit() == 0
    return savepoint


@in_files
def test_sp9_operators_in_another_order_keep_their_own_state(clusters: Clusters, setup: Setup, tmp_path: Path) -> None:
    cluster = clusters(form("hold,first,second,third"), setup)
    savepoint = stopped(cluster)
    with successor(cluster, tmp_path / "next", savepoint, form("hold,third,first,second")) as other:
        other.start()
        other.finish()


@in_files
def test_sp9_operators_in_other_chains_slots_and_parallelism_keep_their_state(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(form("hold,first,second", "--apart", "first"), setup)
    savepoint = stopped(cluster)
    with successor(cluster, tmp_path / "next", savepoint, form("hold,first,second", "--apart", "second")) as other:
        other.start()
        other.finish()


@in_files
def test_sp10_state_written_without_uids_is_found_by_the_hashes_that_the_savepoint_tells(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(form("hold,first,second", "--nameless"), setup)
    savepoint = stopped(cluster)
    with successor(cluster, tmp_path / "refused", savepoint, form("hold,first,second")) as other:
        other.start()
        assert other.wait_exit() != 0
        assert "state of operators that the program does not have" in other.log()
    held = decode(cluster.open(savepoint).read("_metadata"), savepoint).operators
    uids = {operator.name.rpartition(": ")[2]: operator.uid for operator in held}
    hashes = ",".join(f"{name}={uids[name]}" for name in NAMES)
    # Where they stand no longer says who they are, nor what they are called.
    told = form("hold,new,second,first", "--fresh", "new", "--hashes", hashes)
    with successor(cluster, tmp_path / "next", savepoint, told) as other:
        other.start()
        other.finish()


@in_files
def test_sp10_state_written_under_a_uid_is_found_by_the_hash_that_follows_from_it(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(form("hold,first,second"), setup)
    savepoint = stopped(cluster)
    hashes = ",".join(f"{name}={uid_hash(name)}" for name in NAMES)
    told = form("hold,second,first", "--nameless", "--hashes", hashes)
    with successor(cluster, tmp_path / "next", savepoint, told) as other:
        other.start()
        again = stopped_again(other)
    # And the other way: what was written under a hash is found by the uid.
    with successor(cluster, tmp_path / "again", again, form("hold,first,second")) as other:
        other.start()
        other.finish()
