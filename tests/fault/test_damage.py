"""FH11: a newest checkpoint that is damaged is passed over and reported; FH3: the store is away for a while."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.base.ids import OperatorUid
from penstock.checkpoint.layout import provenance_of
from penstock.checkpoint.recovery import read_metadata
from penstock.storage import ObjectStore
from penstock.testing.cluster import DURABLE, FaultCluster, Job, Setup
from penstock.testing.services import Minio
from penstock.testing.steps import Plan, Stop

Clusters = Callable[..., FaultCluster]
Damage = Callable[[ObjectStore, str], None]

pytestmark = pytest.mark.soak
durable = pytest.mark.parametrize("setup", DURABLE, ids=str)


def corrupt(store: ObjectStore, path: str) -> None:
    data = bytearray(store.read(path))
    data[len(data) // 2] ^= 0xFF
    store.delete(path)
    store.create(path, data)


def truncate(store: ObjectStore, path: str) -> None:
    data = store.read(path)
    store.delete(path)
    store.create(path, data[: len(data) // 2])


def remove(store: ObjectStore, path: str) -> None:
    store.delete(path)


@durable
@pytest.mark.parametrize("damage", [corrupt, truncate, remove])
@pytest.mark.parametrize("what", ["state", "metadata"])
def test_fh11_a_damaged_newest_checkpoint_is_passed_over_and_reported(
    clusters: Clusters, setup: Setup, tmp_path: Path, damage: Damage, what: str
) -> None:
    cluster = clusters(Job(), setup)
    # Its sinks have not committed it, so that the one before it is exact as well.
    cluster.start(Plan(tmp_path / "plan", Stop("journal.completed.written", nth=4))).wait()
    older, newest = sorted(cluster.journal().retained, key=lambda completed: completed.id)[-2:]
    metadata = read_metadata(cluster.store, newest.path, newest.checksum)
    mine = [f.file.path for f in metadata.files() if _checkpoint_of(f.file.path) == newest.id]
    damage(cluster.store, newest.path if what == "metadata" else mine[0])

    cluster.start()
    view = cluster.wait("it runs again", lambda view: view.status == "RUNNING" and view.restored == older.id)

    assert any("could not be used" in text for text in view.exceptions)
    cluster.wait_completed()
    cluster.finish()


def test_fh11_nothing_of_a_checkpoint_is_committed_before_all_tasks_could_read_it(
    clusters: Clusters, tmp_path: Path
) -> None:
    cluster = clusters(Job(), Setup("hashmap", "file"))
    cluster.start(Plan(tmp_path / "plan", Stop("journal.completed.written", nth=4))).wait()
    newest = max(cluster.journal().retained, key=lambda completed: completed.id)
    metadata = read_metadata(cluster.store, newest.path, newest.checksum)
    corrupt(cluster.store, next(f.file.path for f in metadata.files() if _checkpoint_of(f.file.path) == newest.id))
    before = cluster.committed()

    # One task finds out late; the others, one of which has output to commit, do not wait for it.
    restore = Plan(
        tmp_path / "restore", Stop("checkpoint.file.damaged", "hold"), Stop("task.initialized", "hold", times=3)
    )
    restore.release(1)
    cluster.start(restore)
    restore.wait(0)
    restore.wait(1, times=3)
    assert cluster.committed() == before

    restore.release(0)
    cluster.finish()


def test_fh11_nothing_of_a_checkpoint_is_committed_before_other_pipelines_could_read_it(
    clusters: Clusters, tmp_path: Path
) -> None:
    # Every sink fills whole files between two checkpoints, so each holds some to commit.
    job = Job("pipelines", numbers=20_000, rate=1_000, options={"execution.checkpointing.interval": "400 ms"})
    cluster = clusters(job, Setup("hashmap", "file"))
    cluster.start(Plan(tmp_path / "plan", Stop("journal.completed.written", nth=3)))
    cluster.wait_exit()
    older, newest = sorted(cluster.journal().retained, key=lambda completed: completed.id)[-2:]
    metadata = read_metadata(cluster.store, newest.path, newest.checksum)
    operators = {operator.uid: operator for operator in metadata.operators}
    sinks = (subtask.operator for subtask in operators[OperatorUid("sink-two")].subtasks)
    assert any(sink is not None and sink.states["_sink.committables"].partitions for sink in sinks)
    files = (f.file.path for f in operators[OperatorUid("count-one")].files())
    corrupt(cluster.store, next(path for path in files if _checkpoint_of(path) == newest.id))
    before = cluster.committed()

    restore = Plan(tmp_path / "restore", Stop("checkpoint.file.damaged", "hold"), Stop("journal.completed.before"))
    cluster.start(restore)
    restore.wait(0)
    cluster.wait("the other pipeline runs", lambda view: view.tasks.get("Source: two -> Map (0)") == "RUNNING")
    assert cluster.committed() == before

    # What was damaged falls back by itself; and all do so when the job dies before its next checkpoint completes.
    restore.release(0)
    restore.wait(1)
    cluster.wait_exit()
    view = cluster.view()
    assert view.restored == older.id
    assert (view.attempts["Source: one -> Map (0)"], view.attempts["Source: two -> Map (0)"]) == (1, 0)
    cluster.start()
    assert cluster.wait_running().restored == older.id
    cluster.finish()


@durable
def test_fh11_a_damaged_newest_checkpoint_is_not_passed_over_if_the_user_forbids_it(
    clusters: Clusters, setup: Setup, tmp_path: Path
) -> None:
    cluster = clusters(Job(options={"penstock.recovery.older-checkpoint": "false"}), setup)
    cluster.start(Plan(tmp_path / "plan", Stop("journal.completed.written", nth=4))).wait()
    newest = max(cluster.journal().retained, key=lambda completed: completed.id)
    remove(cluster.store, newest.path)

    cluster.start()

    assert cluster.wait_exit() != 0
    assert "falling back to an older one is not allowed" in cluster.log()


@pytest.mark.parametrize("setup", [setup for setup in DURABLE if setup.storage == "s3"], ids=str)
def test_fh3_a_store_that_is_away_for_a_while_costs_nothing(clusters: Clusters, setup: Setup, minio_own: Minio) -> None:
    # A MinIO that dies while it completes an upload may have lost the upload's parts: then no sink can commit there.
    cluster = clusters(Job(local_output=True), setup, minio_own)
    cluster.start()
    cluster.wait_completed(2)

    minio_own.kill()
    cluster.wait("something fails", lambda view: bool(view.failed) or view.restarts > 0)
    minio_own.start()
    cluster.wait_completed(2)

    cluster.finish()


def _checkpoint_of(path: str) -> int | None:
    found = provenance_of(path)
    return None if found is None else found.checkpoint
