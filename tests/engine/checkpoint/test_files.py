"""Snapshot files: never overwritten, small ones inline, read back verified."""

import itertools
from pathlib import Path

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import CheckpointFailed, DamagedData
from penstock.base.ids import CheckpointId, Epoch, JobId
from penstock.checkpoint.files import JobFolder, SavepointFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.handles import FileHandle
from penstock.checkpoint.layout import Provenance, checkpoint_of, is_shared, provenance_of, savepoint_folder_name
from penstock.storage import MemoryStore, ObjectStore

JOB = JobId("b" * 32)
MADE = Provenance(Epoch(3), CheckpointId(17))


def no_other_root(uri: str) -> ObjectStore:
    raise AssertionError(uri)


def files(store: MemoryStore | None, inline: int = 4) -> SnapshotFiles:
    serial = itertools.count()
    place = JobFolder(store, JOB, MADE)
    return SnapshotFiles(place, writer="count-3.1", inline_max_bytes=inline, random=lambda: f"{next(serial):04x}")


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(SystemClock())


@pytest.mark.parametrize("data", [b"", b"tiny", b"large enough"])
@pytest.mark.parametrize("from_file", [False, True])
def test_what_was_written_is_read_back(store: MemoryStore, data: bytes, from_file: bool, tmp_path: Path) -> None:
    writer, local = files(store), tmp_path / "in"
    local.write_bytes(data)
    handle = (
        writer.put_file("table", str(local), shared=True) if from_file else writer.write("table", data, shared=False)
    )
    assert (handle.inline is None) == (len(data) > 4)
    reader = SnapshotReading(store, open_root=no_other_root)
    assert reader.read(handle) == data
    reader.fetch(handle, str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data


def test_files_of_a_savepoint_lie_in_its_own_folder_under_the_path_that_they_were_given_if_any(
    store: MemoryStore, tmp_path: Path
) -> None:
    writer = SnapshotFiles(SavepointFolder(store, MADE), writer="count-3.1", inline_max_bytes=4, random=lambda: "0123")
    assert writer.write("table", b"tiny", shared=False).inline == b"tiny"
    assert writer.write("table", b"12345", shared=False).path == "e3-c17-count_3.1.table-0123"
    (tmp_path / "local").write_bytes(b"2")
    assert writer.write("words/count/0-63.parquet", b"1", shared=False).path == "words/count/0-63.parquet"
    assert writer.put_file("words/count/64-127.parquet", str(tmp_path / "local"), shared=False).inline is None
    assert store.read("words/count/64-127.parquet") == b"2"
    writer.discard()
    assert store.list("") == []


def test_a_path_tells_where_a_file_belongs(store: MemoryStore) -> None:
    writer = files(store)
    own, shared = writer.write("word count", b"12345", shared=False), writer.write("word/count", b"12345", shared=True)
    assert own.path == f"{JOB}/chk-17/e3-c17-count_3.1.word_count-0000"
    assert shared.path == f"{JOB}/shared/e3-c17-count_3.1.word_count-0001"
    assert provenance_of(own.path) == provenance_of(shared.path) == MADE
    assert (checkpoint_of(own.path), checkpoint_of(shared.path)) == (17, None)
    assert (is_shared(own.path), is_shared(shared.path)) == (False, True)
    assert provenance_of(f"{JOB}/chk-17/_metadata") is None
    assert savepoint_folder_name(JOB, "0" * 12) == "savepoint-bbbbbb-000000000000"


@pytest.mark.parametrize(
    ("damage", "text"),
    [(b"12x45", "checksum"), (b"1234", "has 4 bytes where 5"), (None, "is missing")],
)
def test_damage_is_found(store: MemoryStore, damage: bytes | None, text: str, tmp_path: Path) -> None:
    handle = files(store).write("table", b"12345", shared=False)
    store.delete(handle.path)
    if damage is not None:
        store.create(handle.path, damage)
    reader = SnapshotReading(store, open_root=no_other_root)
    with pytest.raises(DamagedData, match=text):
        reader.read(handle)
    with pytest.raises(DamagedData, match=text):
        reader.fetch(handle, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_storage_in_the_jobmanager_names_what_is_too_large() -> None:
    writer = files(None)
    assert writer.write("table", b"1234", shared=True).inline == b"1234"
    with pytest.raises(CheckpointFailed, match="has 5 bytes, at most 4"):
        writer.write("table", b"12345", shared=True)


def test_a_writer_takes_back_all_it_uploaded(store: MemoryStore) -> None:
    writer = files(store)
    writer.write("table", b"12345", shared=True)
    writer.discard()
    assert store.list("") == []


def test_a_handle_with_a_root_is_read_there(store: MemoryStore) -> None:
    handle = FileHandle("x", 1, "xxh3:0", root="file:///other")
    with pytest.raises(AssertionError, match="file:///other"):
        SnapshotReading(store, open_root=no_other_root).read(handle)
