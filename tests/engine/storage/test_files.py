"""What is particular to files: no leftovers, full and read-only disks, links instead of copies."""

import os
import resource
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.base.errors import AlreadyExists, StoreRefused
from penstock.storage import FileStore
from penstock.storage import files as files_module


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "root")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_privileges() -> Iterator[None]:
    """Permissions mean nothing to root, who may be running the tests."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def every_file(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_disk_without_room_is_refused_and_leaves_nothing(store: FileStore, tmp_path: Path) -> None:
    with largest_file(1 << 20), pytest.raises(StoreRefused, match="cannot create big in file://.*too large"):
        store.create("big", bytes(2 << 20))
    assert store.list("") == []
    assert every_file(tmp_path / "root") == []


@pytest.mark.parametrize("kind", ["pipe", "device", "socket"])
def test_what_is_no_file_is_refused_at_once(store: FileStore, tmp_path: Path, kind: str) -> None:
    place = tmp_path / "root" / "_metadata"
    place.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        os.mknod(place, stat.S_IFSOCK | 0o600)
    for read in (store.read, lambda path: store.fetch_file(path, tmp_path / "copy")):
        with pytest.raises(StoreRefused, match="cannot read _metadata in file://.*: (it is not a file|No such device)"):
            read("_metadata")
    assert every_file(tmp_path) == ["root", "root/_metadata"]


def test_a_folder_that_may_not_be_written_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        with no_privileges(), pytest.raises(StoreRefused, match="cannot create .* in file://.*Permission denied"):
            FileStore(folder).probe()
        with no_privileges(), pytest.raises(StoreRefused, match="Permission denied"):
            FileStore(folder / "below").create("x", b"")


def test_a_file_in_the_place_of_a_folder_is_refused(store: FileStore) -> None:
    store.create("object", b"x")
    with pytest.raises(StoreRefused, match="cannot create object/below"):
        store.create("object/below", b"y")


def test_a_root_that_depends_on_the_working_folder_is_refused() -> None:
    with pytest.raises(StoreRefused, match="not absolute"):
        FileStore(Path("checkpoints"))


def test_a_local_file_is_linked_where_it_can_be(store: FileStore, tmp_path: Path) -> None:
    local = tmp_path / "000123.sst"
    local.write_bytes(b"immutable")
    store.put_file("shared/000123.sst", local)
    assert local.samefile(tmp_path / "root/shared/000123.sst")


def test_a_local_file_is_copied_where_it_cannot_be_linked(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        local = Path(elsewhere) / "000123.sst"
        local.write_bytes(b"immutable" * 100_000)
        store = FileStore(tmp_path / "root")
        store.put_file("shared/000123.sst", local)
        assert store.read("shared/000123.sst") == local.read_bytes()
        with pytest.raises(AlreadyExists):
            store.put_file("shared/000123.sst", local)


def test_folders_that_deletion_has_emptied_vanish_but_never_the_root(store: FileStore, tmp_path: Path) -> None:
    store.create("a/b/c/one", b"")
    store.create("a/two", b"")
    store.delete("a/b/c/one")
    assert every_file(tmp_path / "root") == ["a", "a/two"]
    store.delete("a/two")
    assert every_file(tmp_path) == ["root"]


def test_creating_and_deleting_in_one_folder_at_once_never_fails(store: FileStore) -> None:
    failures: list[BaseException] = []

    def churn(name: str) -> None:
        try:
            for n in range(60):
                store.create(f"folder/deep/{name}-{n}", b"x")
                store.delete(f"folder/deep/{name}-{n}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.list("") == []


def test_a_file_system_without_nameless_files_keeps_the_promises(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "_NAMELESS", os.O_CREAT | os.O_DIRECTORY | os.O_WRONLY)  # What open refuses.
    store.create("a", b"1")
    with pytest.raises(AlreadyExists):
        store.create("a", b"2")
    assert store.read("a") == b"1"
    with largest_file(1 << 20), pytest.raises(StoreRefused):
        store.create("big", bytes(2 << 20))
    assert every_file(tmp_path / "root") == ["a"]


def test_what_a_crash_left_half_written_is_not_listed(store: FileStore, tmp_path: Path) -> None:
    store.create("a", b"1")
    (tmp_path / "root" / f"{files_module.TEMPORARY_PREFIX}0123").write_bytes(b"half")
    assert [entry.path for entry in store.list("")] == ["a"]
