"""What is told of a job's store, and what is not: facts, never guesses."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.base.ids import CheckpointId, JobId
from penstock.checkpoint.journal_state import Completed, Finished, FromCheckpoint, FromSavepoint
from penstock.storage import open_store
from penstock.storage.settings import S3Settings
from penstock.testing.services import Minio
from penstock.testing.stored_jobs import StoredJob
from penstock_operator.clients.s3 import S3Access
from penstock_operator.clients.store import Place, StoreClient
from penstock_operator.decide.facts import StoreFacts, Unknown
from penstock_operator.errors import Rejected
from penstock_operator.telemetry.masking import MASK, masked

JOB = JobId("0123456789abcdef" * 2)


@pytest.fixture
def store() -> Iterator[StoreClient]:
    found = StoreClient()
    yield found
    found.close()


@pytest.fixture
def job(tmp_path: Path) -> StoredJob:
    return StoredJob(lambda uri: open_store(uri, S3Settings()), (tmp_path / "checkpoints").as_uri(), JOB, "rev-1")


def place(job: StoredJob) -> Place:
    return Place(JOB, job.root)


async def facts(store: StoreClient, job: StoredJob) -> StoreFacts:
    found = await store.facts(place(job))
    assert isinstance(found, StoreFacts), found
    return found


async def test_a_job_that_was_never_there_has_nothing(store: StoreClient, tmp_path: Path) -> None:
    nothing = StoreFacts(exists=False, recoverable=False)
    assert await store.facts(Place(JOB, f"{tmp_path}/nowhere")) == nothing
    assert await store.facts(Place(JOB, None)) == nothing


async def test_a_job_that_has_begun_and_completed_nothing_is_not_recoverable(
    store: StoreClient, job: StoredJob
) -> None:
    job.start()
    found = await facts(store, job)
    assert (found.exists, found.recoverable, found.started_from, found.ruling_revision) == (
        True,
        False,
        "empty",
        "rev-1",
    )
    assert (found.completed_in_reign, found.newest_path, found.damaged) == (0, None, "")


async def test_the_newest_checkpoint_is_told_and_read_on_from(store: StoreClient, job: StoredJob) -> None:
    job.start()
    for id in (1, 2, 3):
        job.complete(max_parallelism=64)
        found = await facts(store, job)
        assert (found.newest_id, found.newest_time_ms, found.max_parallelism) == (id, id * 1000, 64)
        assert found.newest_path == f"{job.root}/{JOB}/chk-{id}"
        assert found.completed_in_reign == id


@pytest.mark.parametrize("damage", ["_metadata", "own"])
async def test_a_damaged_newest_gives_way_to_the_one_before_it_and_is_told(
    store: StoreClient, job: StoredJob, damage: str
) -> None:
    job.start()
    job.complete()
    job.complete()
    folder = Path(job.root.removeprefix("file://")) / JOB / "chk-2"
    victim = next(path for path in folder.iterdir() if damage in path.name)
    victim.write_bytes(b"")
    found = await facts(store, job)
    assert found.recoverable and found.newest_id == 1
    assert "chk-2" in found.damaged
    victim.unlink()
    assert "is missing" in (await facts(store, job)).damaged


async def test_damage_of_everything_is_no_reason_to_begin_without_state(store: StoreClient, job: StoredJob) -> None:
    job.start()
    job.complete()
    (Path(job.root.removeprefix("file://")) / JOB / "chk-1" / "_metadata").unlink()
    found = await facts(store, job)
    assert (found.exists, found.recoverable) == (True, False) and found.damaged
    (Path(job.root.removeprefix("file://")) / JOB / "journal" / f"{0:012d}").write_bytes(b"{")
    found = await StoreClient().facts(place(job))
    assert isinstance(found, StoreFacts)
    assert (found.exists, found.recoverable) == (True, False) and "is damaged" in found.damaged


async def test_a_stop_is_the_last_word_until_the_job_starts_anew(store: StoreClient, job: StoredJob) -> None:
    job.start()
    job.complete()
    path = job.savepoint(f"{job.root}/savepoints/1", stop=True)
    found = await facts(store, job)
    assert (found.stopped_path, found.newest_path, found.ended) == (path, path, None)
    job.append(Finished("FINISHED"))
    assert (await facts(store, job)).ended == "FINISHED"
    job.lead("rev-2")
    job.start(FromSavepoint(path))
    found = await facts(store, job)
    assert (found.stopped_path, found.ended, found.started_from) == (None, None, path)
    assert (found.ruling_revision, found.completed_in_reign, found.newest_path) == ("rev-2", 0, path)


async def test_checkpoints_count_from_when_a_revision_took_the_job_whatever_was_restarted(
    store: StoreClient, job: StoredJob
) -> None:
    job.start()
    job.complete()
    job.complete()
    job.lead("rev-2")
    assert (await facts(store, job)).completed_in_reign == 0
    job.start(FromCheckpoint(CheckpointId(2)))
    third = job.complete()
    job.lead("rev-2")
    job.start(FromCheckpoint(CheckpointId(third)))
    assert (await facts(store, job)).completed_in_reign == 1
    job.complete()
    assert (await facts(store, job)).completed_in_reign == 2
    await store.dispose(place(job), ())
    found = await facts(store, job)
    assert (found.ruling_revision, found.completed_in_reign) == ("rev-2", 2)


async def test_a_journal_that_was_purged_and_begun_anew_is_read_anew(store: StoreClient, job: StoredJob) -> None:
    job.start()
    for _ in range(3):
        job.complete()
    assert (await facts(store, job)).newest_id == 3
    await store.purge(place(job), ())
    assert not (await facts(store, job)).exists
    again = StoredJob(lambda uri: open_store(uri, S3Settings()), job.root, JOB, "rev-9")
    again.start()
    again.complete()
    found = await facts(store, job)
    assert (found.newest_id, found.ruling_revision) == (1, "rev-9")


def table_of(folder: Path) -> Path:
    return next(folder.rglob("*.parquet"))


async def test_a_savepoint_is_judged_by_journal_metadata_and_sizes(store: StoreClient, job: StoredJob) -> None:
    job.start()
    path = job.savepoint(f"{job.root}/savepoints/1", stop=True)
    found = await store.verified(place(job), f"{job.root}/savepoints/1")
    assert not isinstance(found, Unknown) and (found.path, found.sound) == (path, True) and found.size > 0
    assert await store.verified(place(job), path) == found
    folder = Path(path.removeprefix("file://"))
    table_of(folder).write_bytes(b"")
    found = await store.verified(place(job), f"{job.root}/savepoints/1")
    assert not isinstance(found, Unknown) and not found.sound and "has 0 bytes where" in found.finding
    other = Path(job.savepoint(f"{job.root}/savepoints/2").removeprefix("file://"))
    (folder / "_metadata").write_bytes((other / "_metadata").read_bytes())
    found = await store.verified(place(job), f"{job.root}/savepoints/1")
    assert not isinstance(found, Unknown) and "not what the journal says" in found.finding
    found = await store.verified(place(job), f"{job.root}/savepoints/3")
    assert not isinstance(found, Unknown) and (found.path, found.sound) == ("", False) and found.finding
    job.lead("rev-2")
    job.start(FromSavepoint(path))
    found = await store.verified(place(job), f"{job.root}/savepoints")
    assert not isinstance(found, Unknown) and "there are 2 savepoints" in found.finding


async def test_an_unfinished_savepoint_is_none(store: StoreClient, job: StoredJob) -> None:
    job.start()
    job.savepoint(f"{job.root}/savepoints/1", whole=False)
    found = await store.verified(place(job), f"{job.root}/savepoints/1")
    assert not isinstance(found, Unknown) and (found.path, found.sound) == ("", False)


async def test_folders_of_other_machines_are_not_taken_for_empty_ones(store: StoreClient) -> None:
    found = await store.facts(Place(JOB, "file:///never-mounted-here/checkpoints"))
    assert isinstance(found, Unknown) and "which the operator does not see" in found.reason


@pytest.mark.parametrize("uri", ["relative/folder", "gopher://x", "s3://", "file://host/x", "/a/../b"])
async def test_an_address_that_is_none_is_told(store: StoreClient, uri: str) -> None:
    found = await store.facts(Place(JOB, uri))
    assert isinstance(found, Unknown) and uri in found.reason
    with pytest.raises(Rejected):
        await store.dispose(Place(JOB, uri), ())


async def test_a_bucket_that_cannot_be_had_is_unknown_and_shows_no_secret(store: StoreClient, minio: Minio) -> None:
    wrong = S3Access(minio.endpoint, minio.access_key, "not-the-secret", region="us-east-1")
    found = await store.facts(Place(JOB, minio.new_bucket(), wrong))
    assert isinstance(found, Unknown) and "SignatureDoesNotMatch" in found.reason
    assert "not-the-secret" not in found.reason + repr(wrong)
    assert masked("it is not-the-secret") == f"it is {MASK}"
    right = S3Access(minio.endpoint, minio.access_key, minio.secret_key, region="us-east-1")
    found = await store.facts(Place(JOB, "s3://no-such-bucket-here", right))
    assert isinstance(found, Unknown) and "NoSuchBucket" in found.reason
    nobody = S3Access("http://127.0.0.1:9", "a", "bbbb", region="us-east-1", attempts=1)
    found = await store.facts(Place(JOB, "s3://bucket", nobody))
    assert isinstance(found, Unknown) and "127.0.0.1:9" in found.reason


@pytest.fixture
def silent_endpoint() -> Iterator[str]:
    """Takes connections, and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=256) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_an_endpoint_that_is_silent_holds_up_nobody_else(
    store: StoreClient, job: StoredJob, silent_endpoint: str
) -> None:
    job.start()
    silent = S3Access(silent_endpoint, "key", "secret", region="us-east-1", read_timeout_s=1.0, attempts=1)
    waiting = [asyncio.create_task(store.facts(Place(f"{number:032x}", "s3://bucket", silent))) for number in range(24)]
    await asyncio.sleep(0)
    assert (await facts(store, job)).exists
    first = await waiting[0]
    assert isinstance(first, Unknown) and silent_endpoint in first.reason
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_later_entry_does_not_hide_what_came_before(store: StoreClient, job: StoredJob) -> None:
    job.start()
    job.complete()
    job.append(Completed(CheckpointId(2), f"{JOB}/chk-2/_metadata", "xxh3:0", CheckpointId(9)))
    found = await facts(store, job)
    assert (found.newest_id, found.recoverable) == (1, True) and "chk-2" in found.damaged
