"""What every object store promises, checked on memory, files and a real S3 server."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import AlreadyExists, NotFound, StoreRefused
from penstock.storage import MemoryStore, ObjectStore, S3Settings, open_store


@pytest.fixture(params=["memory", "files", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryStore(SystemClock())
        case "files":
            return open_store((tmp_path / "root" / "deep").as_uri(), S3Settings())
        case _:
            minio = request.getfixturevalue("minio")
            return open_store(f"{minio.new_bucket()}/some/prefix", minio.settings)


def test_what_was_created_is_read_whole_or_in_part(store: ObjectStore) -> None:
    store.create("a/b/c", b"0123456789")
    assert store.read("a/b/c") == b"0123456789"
    assert store.read("a/b/c", offset=3) == b"3456789"
    assert store.read("a/b/c", offset=3, length=4) == b"3456"
    assert store.read("a/b/c", length=0) == b""
    assert store.read("a/b/c", offset=8, length=100) == b"89"
    assert store.read("a/b/c", offset=10) == b""


def test_an_object_may_be_empty(store: ObjectStore) -> None:
    store.create("empty", b"")
    assert store.read("empty") == b""
    assert store.read("empty", offset=0, length=5) == b""


def test_a_memoryview_is_written_as_its_bytes(store: ObjectStore) -> None:
    store.create("view", memoryview(bytearray(b"abcdef"))[1:4])
    assert store.read("view") == b"bcd"


def test_reading_what_is_not_there_raises_not_found(store: ObjectStore, tmp_path: Path) -> None:
    store.create("folder/object", b"x")
    for path in ("nothing", "folder/nothing", "folder", "folder/object/below"):
        with pytest.raises(NotFound, match=path):
            store.read(path)
        with pytest.raises(NotFound, match=path):
            store.read(path, length=0)
    with pytest.raises(NotFound):
        store.fetch_file("nothing", tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_second_create_is_refused_and_changes_nothing(store: ObjectStore) -> None:
    store.create("once", b"first")
    with pytest.raises(AlreadyExists, match="once"):
        store.create("once", b"second")
    assert store.read("once") == b"first"


def test_of_many_threads_that_create_one_object_exactly_one_succeeds(store: ObjectStore) -> None:
    barrier = threading.Barrier(8)
    won: list[bytes] = []
    lost: list[AlreadyExists] = []

    def contend(value: bytes) -> None:
        barrier.wait()
        try:
            store.create("contended", value)
            won.append(value)
        except AlreadyExists as error:
            lost.append(error)

    threads = [threading.Thread(target=contend, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and len(lost) == 7
    assert store.read("contended") == won[0]


def test_a_file_is_put_and_fetched_as_it_is(store: ObjectStore, tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "local").write_bytes(content)
    store.put_file("files/one", tmp_path / "local")
    (tmp_path / "fetched").write_bytes(b"what was there before")
    store.fetch_file("files/one", tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content == store.read("files/one")
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == {"local", "fetched"}


def test_putting_a_file_over_an_object_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    store.create("taken", b"first")
    (tmp_path / "local").write_bytes(b"second")
    with pytest.raises(AlreadyExists, match="taken"):
        store.put_file("taken", tmp_path / "local")
    assert store.read("taken") == b"first"


def test_a_fetched_file_is_the_callers_own(store: ObjectStore, tmp_path: Path) -> None:
    store.create("shared", b"pristine")
    store.fetch_file("shared", tmp_path / "copy")
    with (tmp_path / "copy").open("r+b") as file:
        file.write(b"spoilt!!")
    assert store.read("shared") == b"pristine"


def test_listing_is_by_prefix_in_order_of_path(store: ObjectStore) -> None:
    for path in ("job/chk-2/b", "job/chk-2/a", "job/chk-10/a", "job/journal/1", "jobs/x", "z"):
        store.create(path, path.encode())
    assert [entry.path for entry in store.list("job/chk-")] == ["job/chk-10/a", "job/chk-2/a", "job/chk-2/b"]
    assert [entry.path for entry in store.list("job/")] == [
        "job/chk-10/a",
        "job/chk-2/a",
        "job/chk-2/b",
        "job/journal/1",
    ]
    assert [entry.path for entry in store.list("job")][-1] == "jobs/x"
    assert len(store.list("")) == 6
    assert store.list("nothing/") == []
    assert store.list("job/chk-2/a")[0].size == len("job/chk-2/a")


def test_a_listing_tells_size_and_time_of_change(store: ObjectStore) -> None:
    before_ms = SystemClock().now_ms()
    store.create("sized", b"12345")
    (entry,) = store.list("sized")
    assert entry.size == 5
    assert before_ms - 2000 <= entry.modified_ms <= SystemClock().now_ms() + 2000


def test_deleting_is_idempotent(store: ObjectStore) -> None:
    store.create("gone/soon", b"x")
    store.create("stays", b"y")
    store.delete("gone/soon")
    store.delete("gone/soon")
    store.delete("never/was")
    assert [entry.path for entry in store.list("")] == ["stays"]


def test_many_objects_are_deleted_at_once_even_where_some_are_gone(store: ObjectStore) -> None:
    for n in range(5):
        store.create(f"many/{n}", b"x")
    store.delete_many([f"many/{n}" for n in range(8)])
    store.delete_many([])
    assert store.list("") == []


def test_a_path_can_be_created_again_after_its_deletion(store: ObjectStore) -> None:
    store.create("again/and/again", b"1")
    store.delete("again/and/again")
    store.create("again/and/again", b"2")
    assert store.read("again/and/again") == b"2"


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "..", "a/../b", "a//b", "a/", "./a", "a\0b", "x" * 256, "y/" * 500, ".penstock-tmp-1"]
)
def test_a_path_that_names_no_object_below_the_root_is_refused(store: ObjectStore, path: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"")
    uses: list[Callable[[], object]] = [
        lambda: store.read(path),
        lambda: store.create(path, b""),
        lambda: store.put_file(path, tmp_path / "local"),
        lambda: store.fetch_file(path, tmp_path / "fetched"),
        lambda: store.delete(path),
        lambda: store.delete_many([path]),
    ]
    for use in uses:
        with pytest.raises(StoreRefused, match="no path within a store"):
            use()


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//"])
def test_a_prefix_outside_the_root_is_refused(store: ObjectStore, prefix: str) -> None:
    with pytest.raises(StoreRefused, match="within a store"):
        store.list(prefix)


def test_unusual_names_are_kept(store: ObjectStore) -> None:
    names = ["with space", "ümläut", "per%20cent", "plus+plus", "hash#tag", "quest?ion", "back\\slash", "'quoted'"]
    for name in names:
        store.create(f"names/{name}", name.encode())
    assert sorted(f"names/{name}" for name in names) == [entry.path for entry in store.list("names/")]
    for name in names:
        assert store.read(f"names/{name}") == name.encode()
    store.delete_many([f"names/{name}" for name in names])
    assert store.list("") == []


def test_the_probe_passes_and_leaves_nothing_behind(store: ObjectStore) -> None:
    store.probe()
    assert store.list("") == []
