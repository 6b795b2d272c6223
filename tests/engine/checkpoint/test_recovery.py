"""From what a job goes on."""

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import DamagedData, LeadershipLost, StoreUnavailable
from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.handles import FileHandle, KeyedHandle, StateFile
from penstock.checkpoint.journal_state import (
    Completed,
    Entry,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    JournalState,
    SavepointStopped,
    Started,
)
from penstock.checkpoint.layout import metadata_path
from penstock.checkpoint.metadata import Metadata, OperatorState, SubtaskState, encode
from penstock.checkpoint.recovery import Recovery, retained_of
from penstock.storage import MemoryStore

JOB = JobId("e" * 32)


class World:
    def __init__(self) -> None:
        self.store = MemoryStore(SystemClock())
        self.others: dict[str, MemoryStore] = {}
        self.state = JournalState(ids_below=CheckpointId(99)).after(Started(FromEmpty(), "f"))

    def metadata(self, id: int, *, kind: str = "checkpoint", path: str | None = None) -> Metadata:
        file = StateFile("t", FileHandle(path or f"{JOB}/chk-{id}/e1-c{id}-t-0", 4, checksum_of(b"data")))
        operator = OperatorState(OperatorUid("u"), 1, 8, (SubtaskState(0, (KeyedHandle("b", (0, 7), (file,)),)),))
        return Metadata(
            kind=kind,  # type: ignore[arg-type]
            job=JOB,
            checkpoint=CheckpointId(id),
            epoch=Epoch(1),
            triggered_ms=0,
            fingerprint="f",
            operators=(operator,),
        )

    def complete(self, id: int) -> None:
        metadata = self.metadata(id)
        data, path = encode(metadata), metadata_path(JOB, CheckpointId(id))
        self.store.create(path, data)
        self.store.create(next(metadata.files()).file.path, b"data")
        self.append(Completed(CheckpointId(id), path, checksum_of(data), CheckpointId(99)))

    def append(self, entry: Entry) -> None:
        self.state = self.state.after(entry)

    def recovery(self, *, allow_older: bool = False, **more: object) -> Recovery:
        return Recovery(self.store, JOB, self.others.__getitem__, allow_older, lambda: None, **more)  # type: ignore[arg-type]

    def replace(self, path: str, data: bytes | None) -> None:
        self.store.delete(path)
        if data is not None:
            self.store.create(path, data)


@pytest.fixture
def world() -> World:
    found = World()
    found.complete(1)
    found.complete(2)
    return found


def test_the_newest_completed_checkpoint_is_chosen(world: World) -> None:
    plan = world.recovery().plan(world.state)
    assert (plan.checkpoint, plan.passed_over) == (2, ())
    assert plan.metadata == world.metadata(2)


def test_a_job_that_never_started_begins_without_state(world: World) -> None:
    assert world.recovery().plan(JournalState()).origin == FromEmpty()


@pytest.mark.parametrize("name", ["_metadata", "e1-c2-t-0"])
@pytest.mark.parametrize("damage", [b"dat", None])
def test_a_damaged_newest_is_refused_or_where_allowed_passed_over_and_reported(
    world: World, name: str, damage: bytes | None
) -> None:
    world.replace(f"{JOB}/chk-2/{name}", damage)
    with pytest.raises(DamagedData, match=r"the newest checkpoint .* falling back .* not allowed.*chk-2"):
        world.recovery().plan(world.state)
    plan = world.recovery(allow_older=True).plan(world.state)
    assert plan.checkpoint == 1
    assert [item.origin for item in plan.passed_over] == [FromCheckpoint(CheckpointId(2))]


def test_damage_that_tasks_met_on_reading_excludes_a_checkpoint(world: World) -> None:
    excluded = {FromCheckpoint(CheckpointId(2)): "chk-2/x is damaged"}
    plan = world.recovery(allow_older=True, excluded=excluded).plan(world.state)
    assert plan.checkpoint == 1
    assert plan.passed_over[0].reason == "chk-2/x is damaged"


def test_damage_never_makes_a_job_begin_without_state(world: World) -> None:
    for id in (1, 2):
        world.replace(f"{JOB}/chk-{id}/_metadata", None)
    with pytest.raises(DamagedData, match="no checkpoint of job"):
        world.recovery(allow_older=True).plan(world.state)


def test_metadata_that_is_whole_but_not_the_one_the_journal_knows_is_damage(world: World) -> None:
    world.replace(f"{JOB}/chk-2/_metadata", encode(world.metadata(1)))
    with pytest.raises(DamagedData, match="not what the journal says"):
        world.recovery().plan(world.state)


def test_a_store_that_cannot_be_reached_is_not_damage(world: World) -> None:
    class Down(MemoryStore):  # type: ignore[misc]
        def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
            raise StoreUnavailable("down")

    world.store = Down(SystemClock())
    with pytest.raises(StoreUnavailable):
        world.recovery(allow_older=True).plan(world.state)


def test_a_deposed_jobmanager_does_not_take_its_successors_deletions_for_damage(world: World) -> None:
    def confirm() -> None:
        raise LeadershipLost("led by another")

    world.replace(f"{JOB}/chk-2/_metadata", None)
    with pytest.raises(LeadershipLost):
        Recovery(world.store, JOB, world.others.__getitem__, True, confirm).plan(world.state)


def test_a_savepoint_is_restored_from_wherever_it_lies(world: World) -> None:
    savepoint = world.others["file:///moved/sp"] = MemoryStore(SystemClock())
    data = encode(world.metadata(3, kind="savepoint", path="e1-c3-t-0"))
    savepoint.create("_metadata", data)
    savepoint.create("e1-c3-t-0", b"data")
    world.append(SavepointStopped(CheckpointId(3), "file:///moved/sp", checksum_of(data)))
    plan = world.recovery().plan(world.state)
    assert plan.origin == FromSavepoint("file:///moved/sp")
    assert plan.metadata is not None
    assert [file.file.root for file in plan.metadata.files()] == ["file:///moved/sp"]


def test_a_retained_checkpoint_of_another_job_is_read_from_its_own_root(world: World) -> None:
    folder = MemoryStore(SystemClock())
    folder.create("_metadata", world.store.read(f"{JOB}/chk-2/_metadata"))
    world.others = {f"s3://b/c/{JOB}/chk-2": folder, "s3://b/c": world.store}
    plan = world.recovery().of(FromSavepoint(f"s3://b/c/{JOB}/chk-2"))
    assert plan.checkpoint is None
    assert plan.metadata is not None
    assert {file.file.root for file in plan.metadata.files()} == {"s3://b/c"}


def test_what_is_retained_is_known_with_its_files_or_known_to_be_unknown(world: World) -> None:
    world.replace(f"{JOB}/chk-1/_metadata", b"{}")
    first, second = retained_of(world.store, world.state)
    assert first.shared is None
    assert second.exclusive == {f"{JOB}/chk-2/_metadata", f"{JOB}/chk-2/e1-c2-t-0"}
