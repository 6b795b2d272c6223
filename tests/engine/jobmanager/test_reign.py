"""How a JobManager begins to rule a job."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.base.clock import SystemClock
from penstock.base.errors import IncompatibleState, LeadershipLost
from penstock.base.ids import CheckpointId, Epoch, JobId, OperatorUid, SubtaskId, VertexId
from penstock.checkpoint.handles import FileHandle, KeyedHandle, OperatorSnapshot, StateFile, TaskSnapshot
from penstock.checkpoint.journal_state import (
    Completed,
    Finished,
    Forgotten,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    IdsReserved,
    SavepointStopped,
)
from penstock.checkpoint.metadata import Metadata, encode, gather
from penstock.checkpoint.publish import write_metadata
from penstock.checkpoint.retention import ExternalizedRetention
from penstock.common.typeinfo import Types
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.ending import finish_clean_up
from penstock.jobmanager.reign import GoOn, Reign, Start, StartOrder, begin_reign
from penstock.state.descriptors import ValueStateDescriptor
from penstock.storage import FileStore, MemoryStore, ObjectStore
from penstock.testing.savepoints import HandMade

JOB = JobId("0" * 32)


def graph(fingerprint: str) -> JobGraph:
    return JobGraph(
        name="job",
        vertices=(),
        edges=(),
        configuration={},
        prelude=b"",
        files=(),
        python_path=(),
        fingerprint=fingerprint,
    )


def begin(
    store: ObjectStore,
    program: JobGraph,
    owner: str,
    restore_path: str | None = None,
    *,
    job: JobId = JOB,
    claim: bool = False,
    pinned: tuple[str, ...] = (),
    start: Start = None,
    open_root: Callable[[str], ObjectStore] | None = None,
) -> Reign:
    return begin_reign(
        store,
        job,
        program,
        owner,
        open_root=open_root or (lambda _: store),
        restore_path=restore_path,
        claim=claim,
        allow_older=True,
        allow_unclaimed=False,
        retained_max=1,
        pinned=pinned,
        probe=True,
        clock=SystemClock(),
        rng=Random(),
        start=start,
    )


def completed(store: ObjectStore, reign: Reign, number: int) -> None:
    """A checkpoint without operators."""
    metadata = Metadata(
        job=JOB,
        checkpoint=CheckpointId(number),
        epoch=reign.journal.epoch,
        triggered_ms=0,
        fingerprint="one",
        operators=(),
    )
    reserved = CheckpointId(number + 4)
    reign.journal.append(Completed(CheckpointId(number), *write_metadata(store, metadata), reserved))


def test_a_jobmanager_with_another_program_is_refused_and_deposes_nobody() -> None:
    store = MemoryStore(SystemClock())
    reign = begin(store, graph("one"), "first")
    with pytest.raises(IncompatibleState, match="started with another program: its graph had fingerprint one"):
        begin(store, graph("two"), "second")
    reign.journal.append(IdsReserved(reign.journal.state.ids_below + 1))


@pytest.mark.parametrize(
    ("end", "kept"),
    [("FINISHED", False), ("CANCELED", False), ("FAILED", True)],
)
def test_a_successor_finishes_the_clean_up_of_a_job_that_has_ended(end: str, kept: bool) -> None:
    store = MemoryStore(SystemClock())
    reign = begin(store, graph("one"), "first")
    file = f"{JOB}/chk-1/e1-c1-of-a-task-0"
    left = f"{JOB}/chk-2/e1-c2-never-completed-0"
    for path in (file, left):
        store.create(path, b"x")
    state = KeyedHandle("hashmap", (0, 127), (StateFile("x", FileHandle(file, 1, "c"), shared=False),))
    task = SubtaskId(VertexId("task"), 0)
    snapshot = TaskSnapshot(task, 0, (OperatorSnapshot(OperatorUid("operator"), 0, 1, 128, (state,)),))
    operators = gather([snapshot], (), {})
    metadata = Metadata(
        job=JOB,
        job_name="job",
        fingerprint="one",
        checkpoint=CheckpointId(1),
        epoch=reign.journal.epoch,
        triggered_ms=0,
        operators=operators,
    )
    reign.journal.append(Completed(CheckpointId(1), *write_metadata(store, metadata), CheckpointId(3)))
    reign.journal.append(Finished(end))
    successor = begin(store, graph("one"), "second")
    assert successor.ended == end
    policy = ExternalizedRetention.DELETE_ON_CANCELLATION
    finish_clean_up(store, JOB, successor, policy, lambda _: store)
    found = {entry.path for entry in store.list(f"{JOB}/chk-")}
    assert found == ({file, f"{JOB}/chk-1/_metadata"} if kept else set())
    assert len(successor.journal.state.retained) == kept


def a_checkpoint(store: MemoryStore) -> str:
    """Of JOB, which has begun; where it is."""
    metadata = Metadata(
        job=JOB,
        checkpoint=CheckpointId(1),
        epoch=Epoch(1),
        triggered_ms=0,
        fingerprint="one",
        operators=(),
    )
    store.create("_metadata", encode(metadata))
    return f"/checkpoints/{JOB}/chk-1"


def test_claiming_a_checkpoint_ends_the_job_that_took_it() -> None:
    store = MemoryStore(SystemClock())
    first = begin(store, graph("one"), "first")
    path = a_checkpoint(store)
    begin(store, graph("one"), "second", path, job=JobId("c" * 32))
    first.journal.append(IdsReserved(CheckpointId(9)))  # Not claimed: it is the first one's still.
    claimed = begin(store, graph("one"), "second", path, job=JobId("d" * 32), claim=True)
    assert claimed.journal.state.owns_origin
    with pytest.raises(LeadershipLost):
        first.journal.append(IdsReserved(CheckpointId(12)))
    successor = begin(store, graph("one"), "third")
    assert successor.ended == "CANCELED"
    store.create(f"{JOB}/chk-1/e1-c1-x-0", b"x")
    finish_clean_up(store, JOB, successor, ExternalizedRetention.NO_EXTERNALIZED_CHECKPOINTS, lambda _: store)
    assert store.list(f"{JOB}/chk-1/"), "what lies there is another's now"
    again = begin(store, graph("one"), "second", path, job=JobId("e" * 32), claim=True)
    assert again.journal.state.owns_origin


def test_a_checkpoint_of_a_job_that_was_stopped_and_has_not_committed_yet_cannot_be_claimed() -> None:
    store = MemoryStore(SystemClock())
    first = begin(store, graph("one"), "first")
    path = a_checkpoint(store)
    first.journal.append(SavepointStopped(CheckpointId(2), "/savepoints/savepoint-1", "c"))
    with pytest.raises(IncompatibleState, match="was stopped with savepoint /savepoints/savepoint-1, and has not"):
        begin(store, graph("one"), "second", path, job=JobId("c" * 32), claim=True)


def test_ids_count_on_from_what_the_job_is_started_from_also_under_a_successor() -> None:
    store, old = (
        MemoryStore(SystemClock()),
        Metadata(
            kind="savepoint",
            job=JobId("b" * 32),
            checkpoint=CheckpointId(70),
            epoch=Epoch(1),
            triggered_ms=0,
            fingerprint="old",
            operators=(),
        ),
    )
    store.create("_metadata", encode(old))

    def started(owner: str) -> Reign:
        return begin(store, graph("one"), owner, restore_path="/savepoints/savepoint-bbbbbb-0")

    first = started("first")
    assert first.first_id == 71
    assert first.journal.state.ids_below > 71
    second = started("second")
    assert second.first_id >= first.journal.state.ids_below


def test_who_is_told_starts_another_program_from_the_newest_checkpoint() -> None:
    store = MemoryStore(SystemClock())
    first = begin(store, graph("one"), "rev-1")
    completed(store, first, 1)
    second = begin(store, graph("two"), "rev-2", start=StartOrder(id="a", kind="newest"))
    assert second.plan.origin == FromCheckpoint(CheckpointId(1))
    started = second.journal.state.started
    assert started is not None
    assert (started.start_id, started.fingerprint, second.journal.state.started_by) == ("a", "two", "rev-2")


def test_a_start_that_is_told_twice_is_gone_on_with_the_second_time() -> None:
    store = MemoryStore(SystemClock())
    order = StartOrder(id="a", kind="empty")
    first = begin(store, graph("one"), "rev-1", start=order)
    completed(store, first, 1)
    again = begin(store, graph("one"), "rev-1", start=order)
    assert again.plan.origin == FromCheckpoint(CheckpointId(1)), "it would have lost its state"
    anew = begin(store, graph("one"), "rev-1", start=StartOrder(id="b", kind="empty"))
    assert anew.plan.origin == FromEmpty()


def test_a_job_that_has_ended_is_started_anew_by_who_is_told() -> None:
    store = MemoryStore(SystemClock())
    begin(store, graph("one"), "rev-1").journal.append(Finished("FINISHED"))
    assert begin(store, graph("one"), "rev-1", start=GoOn()).ended == "FINISHED"
    assert begin(store, graph("one"), "rev-1", start=StartOrder(id="a", kind="empty")).ended is None


def test_nobody_goes_on_with_a_job_that_has_become_anothers() -> None:
    store = MemoryStore(SystemClock())
    begin(store, graph("one"), "rev-1", start=StartOrder(id="a", kind="empty"))
    second = begin(store, graph("one"), "rev-2", start=StartOrder(id="b", kind="newest"))
    with pytest.raises(LeadershipLost, match=f"job {JOB} is rev-2's since epoch 2: rev-1 does not go on with it"):
        begin(store, graph("one"), "rev-1", start=GoOn())
    second.journal.confirm()


def test_newest_means_nothing_where_nothing_was_ever_started() -> None:
    with pytest.raises(IncompatibleState, match="has never been started"):
        begin(MemoryStore(SystemClock()), graph("one"), "rev-1", start=StartOrder(id="a", kind="newest"))


def test_a_retained_checkpoint_of_the_job_stays_its_own_when_it_is_named_by_its_address(tmp_path: Path) -> None:
    store = FileStore(tmp_path)

    def started(owner: str, number: int) -> Reign:
        start = StartOrder(id=owner, kind="checkpoint", path=f"{tmp_path}/{JOB}/chk-{number}/_metadata")
        return begin(store, graph("one"), owner, start=start, open_root=lambda address: FileStore(Path(address)))

    first = begin(store, graph("one"), "rev-1", start=StartOrder(id="a", kind="empty"))
    completed(store, first, 1)
    completed(store, first, 2)
    second = started("rev-2", 1)
    assert second.plan.origin == FromCheckpoint(CheckpointId(1))
    assert [c.id for c in second.journal.state.abandoned] == [2]
    second.journal.append(Forgotten(CheckpointId(2)))
    with pytest.raises(IncompatibleState, match="is not retained any more"):
        started("rev-3", 2)


def test_what_the_start_was_allowed_to_leave_out_is_left_out_by_a_successor_too(tmp_path: Path) -> None:
    def fill(backend: Any, on: Any) -> None:
        state = backend.state(ValueStateDescriptor("n", Types.INT()))
        if on(7):
            state.update(1)

    store = MemoryStore(SystemClock())
    made = HandMade(tmp_path / "savepoint").keyed("nobody", fill, key_type=Types.LONG()).write()
    order = StartOrder(id="a", kind="savepoint", path=str(made), allow_unclaimed=True)

    def started(start: Start) -> Reign:
        return begin(store, graph("one"), "rev-1", start=start, open_root=lambda address: FileStore(Path(address)))

    with pytest.raises(IncompatibleState, match="nobody"):
        started(replace(order, allow_unclaimed=False))
    started(order)
    assert started(GoOn()).plan.origin == FromSavepoint(str(made))
