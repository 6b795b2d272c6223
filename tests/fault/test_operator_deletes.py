"""The operator deletes in the store of a job that runs nowhere, and the engine goes on from there, exactly."""

import signal
from pathlib import Path

from penstock.base.ids import Epoch
from penstock.checkpoint.metadata import decode
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.revisions import Revision
from penstock_operator.clients.journal import OWNER
from penstock_operator.clients.store import Place, StoreClient
from penstock_operator.decide.facts import StoreFacts, Unknown

RETAINED = {
    "execution.checkpointing.num-retained": "3",
    "execution.checkpointing.incremental": "true",
    "state.backend.type": "rocksdb",
}


async def test_a_job_goes_on_after_the_operator_has_deleted_older_checkpoints(tmp_path: Path) -> None:
    store = StoreClient(sees_files=True)
    with ClusterByHand(tmp_path, RETAINED) as cluster:
        place = Place(cluster.id, cluster.checkpoints.as_uri())
        revision = Revision(cluster, "rev-1")
        running = revision.up()
        revision.wait_prepared()
        revision.start("empty")
        revision.wait_completed(4)
        for command in running:
            command.signal(signal.SIGKILL)
            command.wait()

        before = await facts(store, place)
        kept = await store.retained(place)
        assert not isinstance(kept, Unknown) and len(kept) >= 3 and kept[0].path == before.newest_path
        older = [each.path for each in kept if not each.needed]
        planned = await store.dispose(place, older, dry_run=True)
        removed = await store.dispose(place, older)
        assert set(planned.paths) <= set(removed.paths) and removed.bytes > 0
        after = await facts(store, place)
        assert (after.newest_path, after.ruling_revision) == (before.newest_path, "rev-1")
        assert after.completed_in_reign == before.completed_in_reign
        assert files_but_the_journal(cluster) == needed_by(cluster, before.newest_path or "")

        running = revision.up()
        assert revision.wait_prepared()["preflight"]["status"] == "COMPATIBLE"
        revision.start("newest")
        revision.wait_completed(2)
        ruled = await facts(store, place)
        assert (ruled.ruling_revision, ruled.damaged) == ("rev-1", "")
        revision.finish(*running)
        await store.purge(place, ())
        assert not list(cluster.checkpoints.rglob("*"))
    store.close()


async def test_a_jobmanager_that_lives_is_deposed_and_ends_without_writing(tmp_path: Path) -> None:
    store = StoreClient(sees_files=True)
    with ClusterByHand(tmp_path) as cluster:
        place = Place(cluster.id, cluster.checkpoints.as_uri())
        revision = Revision(cluster, "rev-1")
        jobmanager, taskmanager = revision.up()
        revision.wait_prepared()
        revision.start("empty")
        revision.wait_completed(1)
        await store.dispose(place, ())
        assert jobmanager.wait().code == 3
        assert f"is led by {OWNER} since epoch {Epoch(2)}" in jobmanager.errors
        jobmanager = revision.jobmanager()
        revision.wait_prepared()
        revision.start("newest")
        revision.wait_completed(1)
        revision.finish(jobmanager, taskmanager)
    store.close()


async def facts(store: StoreClient, place: Place) -> StoreFacts:
    found = await store.facts(place)
    assert isinstance(found, StoreFacts), found
    return found


def files_but_the_journal(cluster: ClusterByHand) -> set[Path]:
    return {path for path in cluster.checkpoints.rglob("*") if path.is_file() and path.parent.name != "journal"}


def needed_by(cluster: ClusterByHand, address: str) -> set[Path]:
    metadata = Path(address.removeprefix("file://")) / "_metadata"
    content = decode(metadata.read_bytes(), "retained")
    paths = content.paths(shared=True) | content.paths(shared=False)
    return {metadata} | {cluster.checkpoints / path for path in paths}
