"""One format, read and written twice: what the engine puts into a store, and what the operator makes of it and adds."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import SystemClock
from penstock.base.errors import AlreadyExists, DamagedData, LeadershipLost, NotFound
from penstock.base.ids import CheckpointId, JobId, VertexId
from penstock.checkpoint import journal as engine
from penstock.checkpoint import journal_state as entries
from penstock.checkpoint import metadata as engine_metadata
from penstock.checkpoint.layout import journal_slot
from penstock.storage import MemoryStore
from penstock.testing.stored_jobs import StoredJob
from penstock_operator.clients import journal_format as operator
from penstock_operator.clients import metadata_format
from penstock_operator.clients.journal import Journal, Reign
from penstock_operator.clients.objects import AlreadyThere, Found
from penstock_operator.errors import Conflict, Missing, Rejected

HERE = Path(__file__).parent / "stored_jobs"
JOB = JobId("0123456789abcdef" * 2)


class Shared:
    """The engine's store, seen by the operator."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.uri = store.uri

    def read(self, path: str) -> bytes:
        try:
            return bytes(self.store.read(path))
        except NotFound as error:
            raise Missing(str(error)) from error

    def create(self, path: str, data: bytes) -> None:
        try:
            self.store.create(path, data)
        except AlreadyExists as error:
            raise AlreadyThere(str(error)) from error

    def delete(self, paths: Iterable[str]) -> None:
        self.store.delete_many(paths)

    def list(self, prefix: str) -> list[Found]:
        return [Found(entry.path, entry.size, entry.modified_ms) for entry in self.store.list(prefix)]


def wire(value: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(value))


def of_engine(store: MemoryStore) -> entries.JournalState:
    return engine.Journal(store, JOB, "reader", clock=SystemClock(), rng=Random(0)).open()


ID = st.integers(1, 40).map(CheckpointId)
ENTRIES = st.one_of(
    st.builds(entries.EpochTaken, st.integers(1, 9), st.sampled_from(["first", "second"]), ID, ID),
    st.builds(
        entries.Started,
        st.one_of(
            st.just(entries.FromEmpty()),
            st.builds(entries.FromCheckpoint, ID),
            st.builds(entries.FromSavepoint, st.just("file:///s"), st.booleans()),
        ),
        st.just("f"),
        st.sampled_from(["", "s1", "s2"]),
    ),
    st.builds(entries.Completed, ID, st.just("p"), st.just("c"), ID),
    st.builds(entries.IdsReserved, ID),
    st.builds(entries.SavepointStopped, ID, st.just("file:///s"), st.just("c")),
    st.builds(entries.Forgotten, ID),
    st.just(entries.OriginForgotten()),
    st.builds(entries.Finished, st.sampled_from(["FINISHED", "CANCELED", "FAILED"]), st.booleans()),
    st.builds(entries.Rescaled, st.just({VertexId("v"): 2}), st.just({VertexId("v"): 1})),
    st.builds(
        entries.RequirementsSet,
        st.sampled_from([{}, {VertexId("v"): (1, 2)}]),
        st.just({VertexId("v"): 1}),
        st.sampled_from(["", "somebody"]),
    ),
)


@given(st.lists(ENTRIES, max_size=40))
def test_any_entries_amount_to_the_same_for_engine_and_operator(history: list[entries.Entry]) -> None:
    known, seen = entries.JournalState(), operator.JournalState()
    for number, entry in enumerate(history):
        data = engine.encode(engine.Record(1, "n", known.epoch, 0, entry, known if number % 3 == 0 else None))
        record = operator.decode(data, "slot")
        assert engine.decode(operator.encode(record), "slot") == engine.decode(data, "slot")
        try:
            known = known.after(entry)
        except DamagedData as error:
            with pytest.raises(operator.Damaged) as found:
                seen.after(record.entry)
            assert str(found.value) == str(error)
        else:
            seen = seen.after(record.entry)
        assert wire(seen) == wire(known)
        assert [wire(c) for c in seen.candidates] == [wire(c) for c in known.candidates()]
        assert [c.id for c in seen.retained] == [c.id for c in known.retained]


@given(st.lists(st.sampled_from(["complete", "forget", "lead", "start", "operator", "reserve"]), max_size=150))
def test_a_journal_that_both_write_is_one_journal(moves: list[str]) -> None:
    store = MemoryStore(SystemClock())
    job = StoredJob(lambda uri: store, "memory:", JOB)
    job.start()
    seen = Journal(Shared(store), JOB)
    for move in moves:
        oldest = next(iter(job.state.lineage), None)
        match move:
            case "complete":
                id = job.state.ids_below - 1
                job.append(entries.Completed(CheckpointId(id), "p", "c", CheckpointId(id + 9)))
            case "forget" if oldest is not None:
                job.append(entries.Forgotten(oldest.id))
            case "lead":
                job.lead("next")
            case "start":
                job.start()
            case "reserve":
                job.append(entries.IdsReserved(CheckpointId(job.state.ids_below + 2)))
            case "operator":
                rule(seen, job)
        assert wire(seen.read()) == wire(of_engine(store))


def rule(journal: Journal, job: StoredJob) -> None:
    """The operator takes over, forgets a checkpoint, and a JobManager follows."""
    reign = Reign(journal)
    before = reign.take()
    for completed in before.retained[:1]:
        reign.append(operator.Forgotten(completed.id))
    with pytest.raises(LeadershipLost, match="is led by operator since epoch"):
        job.append(entries.IdsReserved(CheckpointId(job.state.ids_below + 1)))
    after = job.lead("successor")
    assert (after.epoch, after.first_id) == (before.epoch + 1, before.ids_below)
    with pytest.raises(Conflict, match="is ruled by successor since epoch"):
        reign.append(operator.OriginForgotten())


@pytest.mark.parametrize("slots", [63, 64, 65, 128, 129, 200])
def test_the_operator_finds_the_end_of_a_long_journal_and_leaves_the_state_that_every_64th_slot_holds(
    slots: int,
) -> None:
    store = MemoryStore(SystemClock())
    job = StoredJob(lambda uri: store, "memory:", JOB)
    while job.state.slots < slots:
        job.append(entries.IdsReserved(CheckpointId(job.state.ids_below + 1)))
    reign = Reign(Journal(Shared(store), JOB))
    reign.take()
    for _ in range(3):
        reign.append(operator.OriginForgotten())
    found = of_engine(store)
    assert (found.slots, found.epoch, found.owner) == (slots + 4, 2, "operator")
    assert wire(found) == wire(reign.state)


@pytest.mark.parametrize("path", sorted(HERE.glob("journal-*.json")), ids=lambda path: path.stem)
def test_entries_of_every_release_are_read_by_both(path: Path) -> None:
    examples = json.loads(path.read_text())
    known, seen = entries.JournalState(), operator.JournalState()
    for example in examples["slots"]:
        data = json.dumps(example).encode()
        known = known.after(engine.decode(data, "example").entry)
        record = operator.decode(data, "example")
        seen = seen.after(record.entry)
        assert engine.decode(operator.encode(record), "example") == engine.decode(data, "example")
    assert wire(known) == wire(seen)
    last = {"format": 1, "nonce": "n", "epoch": 1, "at_ms": 0, "entry": {"type": "OriginForgotten"}}
    data = json.dumps(last | {"state": examples["state_at_64"]}).encode()
    state, found = engine.decode(data, "example").state, operator.decode(data, "example").state
    assert state is not None and found is not None and wire(state) == wire(found)
    assert (found.slots, found.unknown) == (64, ())


@pytest.mark.parametrize("path", sorted(HERE.glob("metadata-*.json")), ids=lambda path: path.stem)
def test_metadata_of_every_release_is_read_by_both(path: Path) -> None:
    data = path.read_bytes()
    same_metadata(engine_metadata.decode(data, "example"), metadata_format.decode(data, "example"))


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent / "savepoints").glob("*/*/_metadata")), ids=lambda path: path.parent.name
)
def test_released_savepoints_are_understood(path: Path) -> None:
    data = path.read_bytes()
    found = metadata_format.decode(data, str(path))
    same_metadata(engine_metadata.decode(data, str(path)), found)
    assert {name: (path.parent / name).stat().st_size for name in found.files} == found.files


def same_metadata(known: engine_metadata.Metadata, found: metadata_format.Metadata) -> None:
    assert (found.kind, found.job, found.checkpoint) == (known.kind, known.job, known.checkpoint)
    assert found.triggered_ms == known.triggered_ms
    assert found.own.keys() == known.paths(shared=False)
    assert found.shared.keys() == known.paths(shared=True)
    assert found.files == {f.file.path: f.file.size for f in known.files() if f.file.path and f.file.root is None}
    assert abs(found.state_bytes - known.state_bytes()) <= 2 * len(known.operators)


def put(store: MemoryStore, change: Callable[[Any], None]) -> None:
    """One more slot, as an engine that came later would write it."""
    slot = of_engine(store).slots
    record = json.loads(store.read(journal_slot(JOB, slot - 1)))
    change(record)
    store.create(journal_slot(JOB, slot), json.dumps(record).encode())


@pytest.fixture
def store() -> MemoryStore:
    found = MemoryStore(SystemClock())
    StoredJob(lambda uri: found, "memory:", JOB).start()
    return found


def test_an_entry_that_came_later_is_passed_over_but_nothing_is_written_beside_it(store: MemoryStore) -> None:
    put(store, lambda record: record.update(entry={"type": "Blessed", "by": "somebody"}))
    journal = Journal(Shared(store), JOB)
    assert (journal.read().slots, journal.state.owner, journal.state.unknown) == (3, "first", ("Blessed",))
    with pytest.raises(Rejected, match="holds Blessed, which this operator does not know: upgrade the operator"):
        Reign(journal).take()


def test_a_field_that_came_later_is_passed_over_but_a_state_that_holds_one_is_not_written_again() -> None:
    record = {"format": 1, "nonce": "n", "epoch": 1, "at_ms": 0, "mood": "good"}
    entry = {"type": "Completed", "id": 1, "path": "p", "checksum": "c", "ids_below": 5, "colour": "blue"}
    state = {"slots": 64, "epoch": 1, "blessings": 3}
    found = operator.decode(json.dumps(record | {"entry": entry, "state": state}).encode(), "slot")
    assert found.entry == operator.Completed(1, "p", "c", 5)
    assert found.state is not None and found.state.unknown == ("blessings",)


def test_a_later_format_is_refused_in_a_sentence(store: MemoryStore) -> None:
    put(store, lambda record: record.update(format=2))
    with pytest.raises(Rejected, match=r"has format 2; this operator reads up to format 1: upgrade it first"):
        Journal(Shared(store), JOB).read()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"\xff",
        b'{"format": 1}',
        b'{"format":1,"nonce":"n","epoch":1,"at_ms":0,"entry":{"type":"Forgotten"}}',
    ],
)
def test_a_slot_that_is_no_record_is_damage(data: bytes) -> None:
    with pytest.raises(operator.Damaged, match="slot is damaged"):
        operator.decode(data, "slot")
