"""What the operator deletes with no job running: never what is needed, never by halves, whenever it dies."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import AlreadyExists, NotFound
from penstock.base.ids import CheckpointId, JobId
from penstock.checkpoint.journal_state import Finished, FromCheckpoint, FromSavepoint
from penstock.storage import MemoryStore, open_store
from penstock.storage.objects import Entry, ObjectStore
from penstock.storage.settings import S3Settings
from penstock.testing.services import Minio
from penstock.testing.stored_jobs import StoredJob, is_whole
from penstock_operator.clients.inventory import retained, savepoints
from penstock_operator.clients.journal import Journal
from penstock_operator.clients.objects import Address, AlreadyThere, Files, Found, Objects
from penstock_operator.clients.removal import Removed, Remover
from penstock_operator.clients.s3 import Bucketed, S3Access
from penstock_operator.errors import Missing, Rejected

JOB = JobId("0123456789abcdef" * 2)
OTHER = JobId("0123456789abcde0" * 2)


class Died(BaseException):
    """The process is gone."""


class Mortal:
    """Objects whose user dies at the n-th write, before or after it; deletions are counted one by one."""

    def __init__(self, objects: Objects, lives: Iterator[int], end: int) -> None:
        self.objects = objects
        self.lives = lives
        self.end = end
        self.uri = objects.uri

    def step(self, work: Callable[[], Any]) -> None:
        before = next(self.lives)
        if before >= self.end:
            raise Died
        work()
        if next(self.lives) >= self.end:
            raise Died

    def read(self, path: str) -> bytes:
        return self.objects.read(path)

    def create(self, path: str, data: bytes) -> None:
        self.step(lambda: self.objects.create(path, data))

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.step(lambda path=path: self.objects.delete([path]))  # type: ignore[misc]

    def list(self, prefix: str) -> list[Found]:
        return self.objects.list(prefix)

    def abandon(self, prefix: str) -> None:
        self.objects.abandon(prefix)


class World:
    """A store, opened by the engine and by the operator."""

    def __init__(self, root: str, settings: S3Settings, access: S3Access) -> None:
        self.root = root
        self.settings = settings
        self.access = access
        self.opened: dict[str, ObjectStore] = {}

    def open_root(self, uri: str) -> ObjectStore:
        if uri not in self.opened:
            self.opened[uri] = open_store(uri, self.settings)
        return self.opened[uri]

    def open_at(self, address: Address) -> Objects:
        if address.bucket:
            return Bucketed(address.bucket, address.path, self.access)
        return Files(Path(address.path))

    def job(self, job: JobId = JOB) -> StoredJob:
        return StoredJob(self.open_root, f"{self.root}/checkpoints", job)

    def remover(self, *, end: int | None = None) -> Remover:
        lives = count()

        def open_at(address: Address) -> Objects:
            objects = self.open_at(address)
            return objects if end is None else Mortal(objects, lives, end)

        journal = Journal(open_at(Address.of(f"{self.root}/checkpoints")), JOB)
        return Remover(journal, open_at)

    def everything(self) -> set[str]:
        return {found.path for found in self.open_at(Address.of(self.root)).list("")}


class InMemory:
    """The engine's store in memory, seen by the operator."""

    def __init__(self, store: MemoryStore, uri: str, prefix: str) -> None:
        self.store = store
        self.uri = uri
        self.prefix = prefix

    def read(self, path: str) -> bytes:
        try:
            return self.store.read(self.prefix + path)
        except NotFound as error:
            raise Missing(str(error)) from error

    def create(self, path: str, data: bytes) -> None:
        try:
            self.store.create(self.prefix + path, data)
        except AlreadyExists as error:
            raise AlreadyThere(str(error)) from error

    def delete(self, paths: Iterable[str]) -> None:
        self.store.delete_many([self.prefix + path for path in paths])

    def list(self, prefix: str) -> list[Found]:
        entries = self.store.list(self.prefix + prefix)
        return [Found(e.path.removeprefix(self.prefix), e.size, e.modified_ms) for e in entries]

    def abandon(self, prefix: str) -> None:
        """Nothing is ever written by halves in here."""


class MemoryWorld(World):
    """As fast as hundreds of deaths need."""

    def __init__(self, name: str = "jobs") -> None:
        super().__init__(f"s3://memory/{name}", S3Settings(), S3Access())
        self.store = MemoryStore(SystemClock())

    def open_root(self, uri: str) -> ObjectStore:
        return Below(self.store, Address.of(uri))

    def open_at(self, address: Address) -> Objects:
        return InMemory(self.store, address.uri, f"{address.path}/")


class Below:
    """A folder of a store in memory, as an engine's store."""

    def __init__(self, store: MemoryStore, address: Address) -> None:
        self.store = store
        self.prefix = f"{address.path}/"
        self.uri = address.uri

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self.store.read(self.prefix + path, offset=offset, length=length)

    def create(self, path: str, data: bytes | memoryview) -> None:
        self.store.create(self.prefix + path, data)

    def delete(self, path: str) -> None:
        self.store.delete(self.prefix + path)

    def delete_many(self, paths: Iterable[str]) -> None:
        self.store.delete_many([self.prefix + path for path in paths])

    def list(self, prefix: str) -> list[Entry]:
        found = self.store.list(self.prefix + prefix)
        return [Entry(e.path.removeprefix(self.prefix), e.size, e.modified_ms) for e in found]

    def probe(self) -> None:
        self.store.probe()

    def put_file(self, path: str, local_file: Path) -> None:
        self.store.put_file(self.prefix + path, local_file)

    def fetch_file(self, path: str, local_file: Path, *, unchanging: bool = False) -> None:
        self.store.fetch_file(self.prefix + path, local_file)


@pytest.fixture
def memory() -> World:
    return MemoryWorld()


@pytest.fixture(params=["file", "s3"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    if request.param == "file":
        return World(tmp_path.as_uri(), S3Settings(), S3Access())
    minio: Minio = request.getfixturevalue("minio")
    access = S3Access(minio.endpoint, minio.access_key, minio.secret_key, region="us-east-1")
    return World(f"{minio.new_bucket()}/jobs", minio.settings, access)


def lived(world: World) -> tuple[StoredJob, list[str]]:
    """A job with three checkpoints that share files, leftovers of deaths, and two savepoints."""
    job = world.job()
    job.start()
    base, delta = job.upload("base", 1, shared=True), job.upload("delta", 2, shared=True)
    job.complete((base,))
    job.complete((base, delta))
    job.complete((delta, job.upload("rewritten", 3, shared=True)))
    job.upload("lost", 4, shared=True)
    job.upload("lost", 4, shared=False)
    return job, [job.savepoint(f"{world.root}/savepoints/{name}") for name in "ab"]


def sound(world: World, job: StoredJob, savepoints: Iterable[str]) -> None:
    """Whatever is named is there."""
    job.recovery()
    missing = job.needed() - job.files()
    assert not missing
    for address in savepoints:
        is_whole(world.open_root, address)


def paths(job: StoredJob, *ids: int) -> list[str]:
    return [f"{job.root}/{JOB}/chk-{id}" for id in ids]


def test_old_checkpoints_go_with_what_only_they_need(world: World) -> None:
    job, points = lived(world)
    before = world.everything()
    removed = world.remover().dispose([*paths(job, 1), points[0]])
    gone = before - world.everything()
    assert {f"{world.root}/{path}" for path in gone} == set(removed.paths)
    assert removed.bytes > 0
    job.lead("second")
    assert [c.id for c in job.state.retained] == [2, 3]
    assert job.files() == job.needed()
    assert not is_whole(world.open_root, points[0]) and is_whole(world.open_root, points[1])
    assert world.remover().sweep() == Removed()


def deaths(world: World, remove: Callable[[Remover], Any], after: Callable[[], None], every: int = 1) -> int:
    """Do it again and again, and die some steps later each time; how often that was."""
    for end in count(0, every):
        try:
            remove(world.remover(end=end))
        except Died:
            after()
        else:
            return end // every
    raise AssertionError


def test_whoever_dies_while_disposing_leaves_only_what_the_next_one_removes() -> None:
    for number in count():
        world = MemoryWorld(f"death-{number}")
        job, points = lived(world)
        unwanted = [*paths(job, 1, 2), points[1]]
        died = True
        try:
            world.remover(end=number).dispose(unwanted)
            died = False
        except Died:
            job.lead("reader")
            sound(world, job, points)
        world.remover().dispose(unwanted)
        job.lead("second")
        assert [c.id for c in job.state.retained] == [3]
        assert job.files() == job.needed()
        assert world.open_at(Address.of(points[1])).list("") == []
        if not died:
            assert number > 20
            return


def test_repeated_deaths_are_survived_in_every_store(world: World) -> None:
    job, points = lived(world)
    unwanted = [*paths(job, 1, 2), points[1]]

    def after() -> None:
        job.lead("reader")
        sound(world, job, points)

    assert deaths(world, lambda remover: remover.dispose(unwanted), after, every=9) > 1
    job.lead("second")
    assert job.files() == job.needed()
    assert deaths(world, lambda remover: remover.purge(points), lambda: None, every=15) > 1
    assert world.everything() == set()


def test_the_engine_removes_what_an_operator_that_died_left() -> None:
    for number in count():
        world = MemoryWorld(f"death-{number}")
        job, points = lived(world)
        try:
            world.remover(end=number).dispose(paths(job, 1, 2))
        except Died:
            pass
        else:
            assert number > 10
            return
        job.lead("second")
        job.sweep()
        assert job.files() == job.needed()
        job.complete()
        sound(world, job, points)


def test_what_the_job_would_go_on_from_is_never_deleted(memory: World) -> None:
    job, points = lived(memory)
    before = memory.everything()
    with pytest.raises(Rejected, match="checkpoint 3 is not deleted: it is what job .* would go on from"):
        memory.remover().dispose(paths(job, 3))
    job.lead("again")
    stopped = job.savepoint(f"{memory.root}/savepoints/stop", stop=True)
    with pytest.raises(Rejected, match="is not deleted: it is what job .* would go on from"):
        memory.remover().dispose([stopped])
    assert before <= memory.everything()
    memory.remover().dispose([*paths(job, 1, 2, 3), *points])
    job.lead("last")
    plan = job.recovery()
    assert plan.origin == FromSavepoint(stopped)
    assert job.files() == job.needed() == set()


def test_a_savepoint_that_is_only_a_last_resort_is_forgotten_before_it_goes(memory: World) -> None:
    first = memory.job()
    first.start()
    origin = first.savepoint(f"{memory.root}/savepoints")
    first.start(FromSavepoint(origin))
    with pytest.raises(Rejected, match="would go on from"):
        memory.remover().dispose([origin])
    first.lead("again")
    first.start(FromSavepoint(origin))
    first.complete()
    memory.remover().dispose([origin])
    first.lead("last")
    assert first.state.origin_forgotten
    assert [c.origin for c in first.state.candidates()] == [FromCheckpoint(first.state.lineage[0].id)]


def test_what_the_job_has_claimed_is_its_own_to_delete(memory: World) -> None:
    job = memory.job()
    job.start()
    origin = job.savepoint(f"{memory.root}/savepoints")
    job.start(FromSavepoint(origin, claimed=True))
    job.complete()
    with pytest.raises(Rejected, match="has claimed it, and deletes it itself"):
        memory.remover().dispose([origin])
    assert is_whole(memory.open_root, origin)


def test_what_another_job_has_claimed_is_left_alone(memory: World) -> None:
    job, points = lived(memory)
    job.append(Finished("CANCELED", claimed=True))
    before = memory.everything()
    with pytest.raises(Rejected, match="another job has claimed what lies there"):
        memory.remover().dispose(paths(job, 1))
    memory.remover().sweep()
    memory.remover().purge(points[:1])
    assert not is_whole(memory.open_root, points[0])
    gone = before - memory.everything()
    assert gone and all(f"{memory.root}/{path}".startswith(points[0]) for path in gone)


def test_nothing_of_others_is_deleted(memory: World) -> None:
    job, _ = lived(memory)
    other = StoredJob(memory.open_root, job.root, OTHER)
    other.start()
    other.complete()
    other.complete()
    theirs = other.savepoint(f"{memory.root}/savepoints")
    before = memory.everything()
    for path in (f"{job.root}/{OTHER}/chk-1", f"{memory.root}/savepoints", "file:///etc", theirs, f"{job.root}/{JOB}"):
        with pytest.raises(Rejected, match="not deleted"):
            memory.remover().dispose([path])
    assert {path for path in before if "/journal/" not in path} <= memory.everything()
    memory.remover().purge([])
    assert other.needed() <= other.files()


def test_an_unreadable_checkpoint_keeps_every_shared_file(memory: World) -> None:
    job, _ = lived(memory)
    shared = {path for path in job.files() if "/shared/" in path}
    damaged = memory.open_at(Address.of(job.root))
    damaged.delete([f"{JOB}/chk-2/_metadata"])
    memory.remover().dispose(paths(job, 1))
    assert shared <= job.files()
    assert not any("chk-1/" in path for path in job.files())


def test_what_a_later_jobmanager_uploads_is_left_alone(memory: World) -> None:
    job, _ = lived(memory)
    remover = memory.remover()
    remover.sweep()
    job.lead("later")
    job.start(FromCheckpoint(CheckpointId(3)))
    mine = job.upload("mine", job.state.first_id, shared=True)
    below = job.state.first_id
    remover._delete(remover._objects, [])  # Whoever is slow has chosen before what to delete.
    assert mine.file.path in job.files() and below > 3
    job.complete((mine,))
    memory.remover().sweep()
    assert mine.file.path in job.files()


def test_a_purge_leaves_nothing_and_is_finished_by_whoever_comes_next() -> None:
    for number in count():
        world = MemoryWorld(f"death-{number}")
        job, points = lived(world)
        unfinished = job.savepoint(f"{world.root}/savepoints/c", noted=True, whole=False)
        other = StoredJob(world.open_root, job.root, OTHER)
        other.complete()
        kept = {path for path in world.everything() if OTHER in path}
        died = True
        try:
            world.remover(end=number).purge(points)
            died = False
        except Died:
            journal = Journal(world.open_at(Address.of(job.root)), JOB)
            if journal.read().slots and journal.state.finished is None and journal.state.stopped is None:
                sound(world, job, points)
        world.remover().purge(points)
        assert world.everything() == kept
        assert not world.open_at(Address.of(unfinished)).list("")
        again = world.job()
        again.start()
        assert again.complete() == 1
        if not died:
            assert number > 20
            return


def test_a_purge_leaves_savepoints_that_it_was_not_told_of(memory: World) -> None:
    job, points = lived(memory)
    noted = job.savepoint(f"{memory.root}/savepoints/c", noted=True)
    memory.remover().purge(points[:1])
    assert not is_whole(memory.open_root, points[0])
    assert is_whole(memory.open_root, points[1]) and is_whole(memory.open_root, noted)


def test_a_journal_that_is_damaged_does_not_hinder_a_purge(memory: World) -> None:
    job, points = lived(memory)
    objects = memory.open_at(Address.of(job.root))
    objects.delete([f"{JOB}/journal/{2:012d}"])
    objects.create(f"{JOB}/journal/{2:012d}", b"nonsense")
    memory.remover().purge(points)
    assert memory.everything() == set()


def test_what_is_gone_already_counts_as_removed(memory: World) -> None:
    job, points = lived(memory)
    for _ in range(2):
        memory.remover().dispose([*paths(job, 1), points[0]])
    memory.remover().purge(points)
    assert memory.remover().purge(points) == Removed()
    assert memory.remover().dispose([points[0]]) == Removed()


def test_retained_checkpoints_and_savepoints_are_listed(world: World) -> None:
    job, points = lived(world)
    journal = Journal(world.open_at(Address.of(job.root)), JOB)
    journal.read()
    found = retained(journal)
    assert [(kept.id, kept.time_ms, kept.needed) for kept in found] == [
        (3, 3000, True),
        (2, 2000, False),
        (1, 1000, False),
    ]
    assert [kept.path for kept in found] == paths(job, 3, 2, 1)
    assert all(kept.bytes > 0 and not kept.damaged for kept in found)
    listed = savepoints(journal, world.open_at, Address.of(world.root))
    assert {kept.path for kept in listed} == set(points)
    assert all(kept.bytes > 0 and not kept.needed and not kept.damaged for kept in listed)
