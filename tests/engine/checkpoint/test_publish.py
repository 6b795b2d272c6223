"""What the coordinator's commands do to the store."""

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import StoreRefused, StoreUnavailable
from penstock.base.ids import CheckpointId, Epoch, JobId
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.metadata import Metadata, decode
from penstock.checkpoint.publish import delete_files, job_files, write_metadata
from penstock.checkpoint.retention import Retained, Retention
from penstock.storage import MemoryStore

JOB = JobId("f" * 32)


def metadata(fingerprint: str = "f") -> Metadata:
    return Metadata(
        job=JOB, checkpoint=CheckpointId(3), epoch=Epoch(1), triggered_ms=0, fingerprint=fingerprint, operators=()
    )


def test_metadata_is_written_once_even_if_the_first_answer_was_lost() -> None:
    store = MemoryStore(SystemClock())
    first = write_metadata(store, metadata())
    assert write_metadata(store, metadata()) == first
    path, checksum = first
    assert checksum_of(store.read(path)) == checksum
    assert decode(store.read(path), path) == metadata()


def test_someone_elses_metadata_is_never_taken_for_ones_own() -> None:
    store = MemoryStore(SystemClock())
    write_metadata(store, metadata("another"))
    with pytest.raises(StoreRefused, match="not this checkpoint's"):
        write_metadata(store, metadata())


def test_a_deletion_that_fails_fails_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    class Down(MemoryStore):  # type: ignore[misc]
        def delete(self, path: str) -> None:
            raise StoreUnavailable("down")

    delete_files(Down(SystemClock()), ["x"])
    assert "could not be deleted" in caplog.text


def test_leftovers_of_an_older_reign_are_found_and_the_retained_are_spared() -> None:
    store = MemoryStore(SystemClock())
    for path in (
        "chk-2/e1-c2-x-0",
        "chk-3/_metadata",
        "shared/e1-c2-x-0",
        "shared/e1-c1-kept-0",
        "journal/000000000000",
    ):
        store.create(f"{JOB}/{path}", b"")
    kept = Retained(CheckpointId(3), frozenset({f"{JOB}/chk-3/_metadata"}), frozenset({f"{JOB}/shared/e1-c1-kept-0"}))
    retention = Retention(1, [kept], first_id=CheckpointId(8))
    found = retention.sweep(job_files(store, JOB), decided_below=CheckpointId(8), referred=())
    assert set(found) == {f"{JOB}/chk-2/e1-c2-x-0", f"{JOB}/shared/e1-c2-x-0"}
