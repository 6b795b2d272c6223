"""The operator deletes in the store of a job that runs nowhere, and the engine goes on from there, exactly."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from penstock.base.ids import Epoch
from penstock.checkpoint.metadata import decode
from penstock.testing.by_hand import ClusterByHand
from penstock.testing.revisions import Revision
from penstock.testing.steps import wait_until
from penstock_operator.clients.journal import OWNER
from penstock_operator.clients.store import Place, StoreClient
from penstock_operator.decide.facts import StoreFacts, Unknown

RETAINED = {
    "execution.checkpointing.num-retained": "3",
    "execution.checkpointing.incremental": "true",
    "state.backend.type": "rocksdb",
}


async def test_a_job_goes_on_after_the_operator_has_deleted_older_checkpoints(tmp_path: Path) -> None:
    store = StoreClient()
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
        removed = await store.dispose(place, older)
        assert {f"{path}/_metadata" for path in older} <= set(removed.paths) and removed.bytes > 0
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


def test_a_jobmanager_says_what_it_keeps_and_removes_what_is_not_needed(tmp_path: Path) -> None:
    options = {"execution.checkpointing.num-retained": "1000", "execution.checkpointing.interval": "400 ms"}
    with ClusterByHand(tmp_path, options) as cluster:
        revision = Revision(cluster, "rev-1")
        running = revision.up()
        revision.wait_prepared()
        revision.start("empty")
        revision.wait_completed(3)
        savepoints = f"{tmp_path}/savepoints"
        trigger = revision.rest.savepoint(cluster.id, trigger="a" * 32, directory=savepoints, format_type="NATIVE")
        done = awaited(lambda: revision.rest.savepoint_status(cluster.id, trigger))
        kept = revision.rest.kept(savepoints)
        (savepoint,) = kept["savepoints"]
        assert savepoint["path"] == done["location"]
        assert savepoint["stateSize"] > 0 and savepoint["age"] >= 0 and savepoint["needed"] is None
        newest, *older = kept["checkpoints"]
        assert newest["needed"] == "the job would be restored from it"
        assert len(older) >= 2 and all(each["needed"] is None and each["stateSize"] > 0 for each in older)
        unwanted = [older[-1]["path"], savepoint["path"]]
        for path in unwanted:
            trigger = revision.rest.dispose(path)
            assert "failure-cause" not in awaited(lambda t=trigger: revision.rest.disposal_status(t))  # type: ignore[misc]
        kept = revision.rest.kept(savepoints)
        assert not {each["path"] for each in (*kept["checkpoints"], *kept["savepoints"])} & set(unwanted)
        refused = revision.rest.dispose(kept["checkpoints"][0]["path"])
        refusal = awaited(lambda: revision.rest.disposal_status(refused)).get("failure-cause", {"stack-trace": "newer"})
        assert "would be restored from it" in refusal["stack-trace"] or refusal["stack-trace"] == "newer"
        revision.finish(*running)


def awaited(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What came of something that was asked for."""
    found: list[dict[str, Any]] = []

    def over() -> bool:
        found[:] = [look()]
        return found[0]["operation"] is not None

    wait_until(over, 30, lambda: str(found))
    return dict(found[0]["operation"])


async def test_a_jobmanager_that_lives_is_deposed_and_ends_without_writing(tmp_path: Path) -> None:
    store = StoreClient()
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
