"""FH9 and FH12: nothing is left behind, and no room is left."""

import resource
from collections.abc import Callable

import pytest

from penstock.checkpoint.recovery import read_metadata
from penstock.testing.cluster import DURABLE, FaultCluster, Job, Setup
from penstock.testing.oracle import open_uploads_of

Clusters = Callable[[Job, Setup], FaultCluster]

pytestmark = pytest.mark.soak
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)

RESTARTS = 50


@durable
def test_fh9_fifty_restarts_leave_no_local_folders_and_no_files_in_the_store(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(numbers=4000, rate=100, options={"restart-strategy.fixed-delay.delay": "1 ms"}), setup)
    cluster.start()
    cluster.wait_completed()
    for restart in range(1, RESTARTS + 1):
        cluster.raise_once("numbers")
        cluster.wait_restarted(restart)
    cluster.wait_completed(3)

    assert sum(path.name.startswith("state-") for path in cluster.local_files()) <= cluster.job.parallelism
    cluster.finish()
    assert cluster.local_files() == []
    kept = [entry.path for entry in cluster.store.list(f"{cluster.id}/")]
    assert [path for path in kept if "/journal/" not in path] == []
    assert open_uploads_of(cluster.output, cluster.minio) == []


@durable
def test_fh9_a_running_job_keeps_only_the_files_that_its_checkpoints_need(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    for restart in (1, 2, 3):
        cluster.wait_completed(2)
        cluster.kill_worker()
        cluster.wait_restarted(restart)
    cluster.wait_completed(2)
    cluster.kill_host()
    cluster.start()
    cluster.wait_completed(3)
    cluster.kill_host()

    retained = cluster.journal().retained
    needed = set()
    for completed in retained:
        metadata = read_metadata(cluster.store, completed.path, completed.checksum)
        needed |= {completed.path} | metadata.paths(shared=True) | metadata.paths(shared=False)
    newest = max(completed.id for completed in retained)
    found = {entry.path for entry in cluster.store.list(f"{cluster.id}/") if "/journal/" not in entry.path}
    assert needed <= found
    # What the killed ones were about to write or delete; the next reign sweeps it away.
    assert len(found - needed) <= 40, f"beside checkpoint {newest}: {sorted(found - needed)}"
    cluster.start()
    cluster.finish()


@pytest.mark.parametrize("setup", [Setup("hashmap", "file")], ids=str)
def test_fh12_a_full_disk_costs_checkpoints_which_say_so_and_not_the_job(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)

    limit_files(cluster, 4096)
    view = cluster.wait("checkpoints fail", lambda view: len(view.failed) >= 2)
    assert "File too large" in view.failed[-1].failure
    assert view.restarts == 0
    limit_files(cluster, resource.RLIM_INFINITY)
    cluster.wait_completed(2)

    assert cluster.view().restarts == 0
    cluster.finish()


@pytest.mark.parametrize("setup", [s for s in DURABLE if s.backend != "hashmap" and s.storage == "file"], ids=str)
def test_fh12_rocksdb_recovers_when_there_is_room_again(clusters: Clusters, setup: Setup) -> None:
    cluster = clusters(Job(), setup)
    cluster.start()
    cluster.wait_completed(2)

    limit_files(cluster, 4096)
    cluster.wait("something fails", lambda view: len(view.failed) >= 2 or view.restarts > 0)
    limit_files(cluster, resource.RLIM_INFINITY)
    cluster.wait_completed(2)

    cluster.finish()


def limit_files(cluster: FaultCluster, size: int) -> None:
    """Let no worker write a file that is larger: what a full disk does to large files, without filling one."""
    for pid in cluster.workers():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
