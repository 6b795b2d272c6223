"""Files that the workers of one TaskManager fetch together: once, and for no longer than somebody restores."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.base.errors import DamagedData
from penstock.base.ids import CheckpointId, Epoch, JobId
from penstock.checkpoint.fetched import FetchedFiles
from penstock.checkpoint.files import JobFolder, SnapshotFiles, SnapshotReading
from penstock.checkpoint.handles import FileHandle
from penstock.checkpoint.layout import Provenance
from penstock.storage.files import FileStore

HANDLE = FileHandle("job/shared/table", 5, "xxh3:1")


class Remote:
    """Where files come from, and how often they were asked for."""

    def __init__(self) -> None:
        self.downloads = 0

    def __call__(self, local: Path) -> None:
        self.downloads += 1
        local.write_bytes(b"table")


@pytest.fixture
def workers(tmp_path: Path) -> list[FetchedFiles]:
    """Two of one TaskManager."""
    return [FetchedFiles(tmp_path / "fetched") for _ in range(2)]


def kept(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "fetched").iterdir() if path.name != ".holders"]


def test_what_two_workers_need_is_fetched_once(workers: list[FetchedFiles], tmp_path: Path) -> None:
    remote = Remote()
    for number, worker in enumerate(workers):
        worker.hold("task")
        worker.fetch(HANDLE, tmp_path / str(number), remote)
    assert remote.downloads == 1
    assert [(tmp_path / str(number)).read_bytes() for number in range(2)] == [b"table", b"table"]


def test_who_comes_while_a_file_is_on_its_way_waits_for_it(workers: list[FetchedFiles], tmp_path: Path) -> None:
    remote, under_way, go_on = Remote(), threading.Event(), threading.Event()

    def slowly(local: Path) -> None:
        under_way.set()
        go_on.wait()
        remote(local)

    for worker in workers:
        worker.hold("task")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(workers[0].fetch, HANDLE, tmp_path / "first", slowly)
        under_way.wait()
        second = pool.submit(workers[1].fetch, HANDLE, tmp_path / "second", remote)
        go_on.set()
        first.result()
        second.result()
    assert remote.downloads == 1


def test_the_last_that_lets_go_leaves_nothing_behind(workers: list[FetchedFiles], tmp_path: Path) -> None:
    remote = Remote()
    workers[0].hold("a")
    workers[0].hold("b")
    workers[1].hold("a")
    workers[0].fetch(HANDLE, tmp_path / "file", remote)
    workers[0].let_go("a")
    workers[0].let_go("a")
    assert kept(tmp_path), "b is still being restored"
    workers[0].let_go("b")
    assert kept(tmp_path), "another worker is still restoring"
    workers[1].let_go("a")
    assert kept(tmp_path) == []
    assert (tmp_path / "file").read_bytes() == b"table"


def test_another_file_of_the_same_name_is_another_file(workers: list[FetchedFiles], tmp_path: Path) -> None:
    workers[0].hold("task")
    workers[0].fetch(HANDLE, tmp_path / "one", Remote())
    other = FileHandle(HANDLE.path, 5, "xxh3:2", root="file:///elsewhere")
    remote = Remote()
    workers[0].fetch(other, tmp_path / "two", remote)
    assert remote.downloads == 1


def fetching(tmp_path: Path, damage: Callable[[Path], None]) -> tuple[SnapshotReading, FileHandle]:
    store = FileStore(tmp_path / "store")
    place = JobFolder(store, JobId("j" * 32), Provenance(Epoch(1), CheckpointId(1)))
    files = SnapshotFiles(place, writer="w", inline_max_bytes=0, random=lambda: "r")
    handle = files.write("table", b"table", shared=True)
    damage(tmp_path / "store" / handle.path)
    return SnapshotReading(store, open_root=FileStore, fetched=FetchedFiles(tmp_path / "fetched")), handle


def damaged(path: Path) -> None:
    path.write_bytes(b"tablE")


def test_a_damaged_file_is_kept_for_nobody(tmp_path: Path) -> None:
    reading, handle = fetching(tmp_path, damaged)
    reading.hold("task")
    for _ in range(2):
        with pytest.raises(DamagedData):
            reading.fetch(handle, str(tmp_path / "file"), unchanging=True, again=True)
    assert not [path for path in kept(tmp_path) if path.suffix != ".lock"]
    assert not (tmp_path / "file").exists()


def test_a_file_outlives_the_store_it_was_fetched_from(tmp_path: Path) -> None:
    reading, handle = fetching(tmp_path, lambda path: None)
    reading.hold("task")
    reading.fetch(handle, str(tmp_path / "first"), unchanging=True, again=True)
    (tmp_path / "store" / handle.path).unlink()
    reading.fetch(handle, str(tmp_path / "second"), unchanging=True, again=True)
    assert (tmp_path / "second").read_bytes() == b"table"
