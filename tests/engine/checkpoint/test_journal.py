"""The journal: contiguous slots, one writer, every outcome known."""

from random import Random

import pytest

from penstock.base.clock import SystemClock
from penstock.base.errors import (
    DamagedData,
    IncompatibleState,
    LeadershipLost,
    StoreRefused,
    StoreUnavailable,
)
from penstock.base.ids import CheckpointId, JobId
from penstock.checkpoint.journal import Journal, last_true
from penstock.checkpoint.journal_state import (
    Completed,
    Finished,
    Forgotten,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    JournalState,
    OriginForgotten,
    SavepointStopped,
    Started,
    folded,
)
from penstock.checkpoint.layout import journal_slot
from penstock.storage import MemoryStore

JOB = JobId("a" * 32)


class FlakyStore(MemoryStore):  # type: ignore[misc]
    """Answers that get lost, before or after the write."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.faults: list[str] = []

    def create(self, path: str, data: bytes | memoryview) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lost request":
            raise StoreUnavailable("lost")
        if fault == "refused":
            raise StoreRefused("full")
        super().create(path, data)
        if fault == "lost answer":
            raise StoreUnavailable("lost")


def journal(store: MemoryStore, owner: str = "a", seed: int = 1) -> Journal:
    return Journal(store, JOB, owner, clock=SystemClock(), rng=Random(f"{owner}{seed}"))


def reigning(store: MemoryStore, owner: str = "a") -> Journal:
    found = journal(store, owner)
    found.take_epoch()
    return found


def completed(id: int) -> Completed:
    return Completed(CheckpointId(id), f"{JOB}/chk-{id}/_metadata", "xxh3:0", CheckpointId(id + 5))


def test_the_first_reign_begins_with_epoch_one_and_checkpoint_one() -> None:
    journal = reigning(MemoryStore(SystemClock()))
    assert journal.epoch == 1
    assert journal.state.first_id == 1


def test_a_successor_reads_what_was_appended_and_uses_no_id_again() -> None:
    store = MemoryStore(SystemClock())
    first = reigning(store)
    first.append(Started(FromEmpty(), "f"))
    first.append(completed(1))
    second = reigning(store, "b")
    assert second.epoch == 2
    assert second.state.candidates()[0].origin == FromCheckpoint(CheckpointId(1))
    assert second.state.first_id == first.state.ids_below


def test_a_deposed_jobmanager_appends_nothing_ever_again() -> None:
    store = MemoryStore(SystemClock())
    first = reigning(store)
    reigning(store, "b")
    for _ in range(2):
        with pytest.raises(LeadershipLost, match="led by b since epoch 2"):
            first.append(completed(1))
    assert len(store.list("")) == 2


def test_reading_on_does_not_let_a_deposed_jobmanager_append_after_its_successor() -> None:
    store = MemoryStore(SystemClock())
    first = reigning(store)
    reigning(store, "b")
    first.open()
    with pytest.raises(LeadershipLost):
        first.append(completed(1))


@pytest.mark.parametrize("fault", ["lost request", "lost answer"])
def test_an_entry_whose_outcome_was_unknown_is_appended_once(fault: str) -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = [fault]
    with pytest.raises(StoreUnavailable):
        first.append(completed(1))
    assert not first.settled
    assert first.append(completed(1)).lineage == (completed(1),)
    assert first.settled
    assert journal(store, "reader").open().slots == 2


@pytest.mark.parametrize("fault", ["lost request", "lost answer"])
def test_another_entry_settles_the_doubtful_one_before_it(fault: str) -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = [fault]
    with pytest.raises(StoreUnavailable):
        first.append(completed(1))
    assert first.append(completed(2)).lineage == (completed(1), completed(2))


@pytest.mark.parametrize("fault", ["lost request", "lost answer"])
def test_an_epoch_whose_outcome_was_unknown_is_taken_once(fault: str) -> None:
    store = FlakyStore()
    store.faults = [fault]
    first = journal(store)
    with pytest.raises(StoreUnavailable):
        first.take_epoch()
    assert first.take_epoch() == 1
    assert first.append(completed(1)).slots == 2


def test_after_a_lost_request_a_successor_wins_and_the_old_one_learns_it() -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = ["lost request"]
    with pytest.raises(StoreUnavailable):
        first.append(completed(1))
    assert reigning(store, "b").state.retained == ()
    with pytest.raises(LeadershipLost):
        first.append(completed(1))


def test_an_entry_in_doubt_that_was_met_while_reading_is_appended_once() -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = ["lost answer"]
    with pytest.raises(StoreUnavailable):
        first.append(completed(1))
    first.confirm()
    assert first.append(completed(1)).lineage == (completed(1),)
    assert first.append(completed(2)).lineage == (completed(1), completed(2))


def test_an_entry_refused_for_good_is_not_in_doubt() -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = ["refused"]
    with pytest.raises(StoreRefused):
        first.append(completed(1))
    assert first.settled
    assert first.append(completed(2)).lineage == (completed(2),)


def test_an_entry_refused_after_a_lost_answer_stays_in_doubt_and_is_found() -> None:
    store = FlakyStore()
    first = reigning(store)
    store.faults = ["lost answer", "refused"]
    with pytest.raises(StoreUnavailable):
        first.append(completed(1))
    with pytest.raises(StoreRefused):
        first.append(completed(1))
    assert not first.settled
    assert first.append(completed(1)).lineage == (completed(1),)


def test_a_long_journal_is_opened_by_few_reads() -> None:
    class Counting(MemoryStore):  # type: ignore[misc]
        reads = 0

        def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
            self.reads += 1
            return super().read(path, offset=offset, length=length)

    store = Counting(SystemClock())
    first = reigning(store)
    first.append(Started(FromEmpty(), "f"))
    for id in range(1, 1001):
        first.append(completed(id))
        first.append(Forgotten(CheckpointId(id - 1)))
    store.reads = 0
    again = journal(store, "b")
    assert again.open() == first.state
    assert store.reads < 90


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 100])
def test_the_end_is_found_by_doubling_and_halving(count: int) -> None:
    assert last_true(lambda n: n < count) == count - 1


def test_a_damaged_slot_is_named() -> None:
    store = MemoryStore(SystemClock())
    store.create(journal_slot(JOB, 0), b'{"format": 1, "nonce": ')
    with pytest.raises(DamagedData, match="journal/000000000000 is damaged"):
        journal(store).open()


def test_a_slot_of_a_newer_format_is_refused() -> None:
    store = MemoryStore(SystemClock())
    store.create(journal_slot(JOB, 0), b'{"format": 2, "what": []}')
    with pytest.raises(IncompatibleState, match="has format 2"):
        journal(store).open()


# What entries amount to.


def state(*entries: object) -> JournalState:
    base = JournalState(ids_below=CheckpointId(100))
    for entry in entries:
        base = base.after(entry)  # type: ignore[arg-type]
    return base


def origins(state: JournalState) -> list[object]:
    return [candidate.origin for candidate in state.candidates()]


def checkpoint(id: int) -> FromCheckpoint:
    return FromCheckpoint(CheckpointId(id))


def test_recovery_begins_from_the_newest_completed_then_the_one_before_then_where_it_started() -> None:
    found = state(Started(FromSavepoint("s"), "f"), completed(1), completed(2))
    assert origins(found) == [checkpoint(2), checkpoint(1), FromSavepoint("s")]


def test_nothing_before_a_fresh_start_is_recovered_from_but_it_is_still_retained() -> None:
    found = state(Started(FromEmpty(), "f"), completed(1), Started(FromEmpty(), "f"))
    assert origins(found) == [FromEmpty()]
    assert [c.id for c in found.retained] == [1]


def test_a_start_from_an_older_checkpoint_turns_away_from_the_newer_one() -> None:
    found = state(Started(FromEmpty(), "f"), completed(1), completed(2), Started(checkpoint(1), "f"), completed(3))
    assert origins(found) == [checkpoint(3), checkpoint(1), FromEmpty()]
    assert [c.id for c in found.retained] == [1, 2, 3]


def test_one_can_turn_back_to_what_was_turned_away_from() -> None:
    found = state(completed(1), completed(2), Started(checkpoint(1), "f"), Started(checkpoint(2), "f"))
    assert origins(found)[0] == checkpoint(2)
    assert [c.id for c in found.abandoned] == [1]


def test_a_forgotten_checkpoint_is_not_recovered_from() -> None:
    assert origins(state(completed(1), completed(2), Forgotten(CheckpointId(1)))) == [checkpoint(2)]


def test_the_savepoint_a_job_was_stopped_with_stands_for_all_it_did() -> None:
    found = state(Started(FromEmpty(), "f"), completed(1), SavepointStopped(CheckpointId(2), "sp", "c"))
    assert not found.terminal, "what its sinks prepared may still have to be committed"
    assert origins(found) == [FromSavepoint("sp")], "there is no way back to what was before it"
    assert found.after(Finished("FINISHED")).terminal


def test_a_claimed_origin_is_the_jobs_until_it_is_forgotten_and_is_not_recovered_from_then() -> None:
    claimed = FromSavepoint("sp", claimed=True)
    started = state(Started(claimed, "f"), completed(1))
    assert started.owns_origin
    assert origins(started) == [checkpoint(1), claimed]
    forgotten = started.after(OriginForgotten())
    assert not forgotten.owns_origin
    assert origins(forgotten) == [checkpoint(1)]
    assert origins(forgotten.after(Started(checkpoint(1), "f"))) == [checkpoint(1)]
    assert forgotten.after(Started(claimed, "f")).owns_origin
    assert not state(Started(FromSavepoint("sp"), "f")).owns_origin


def test_a_finished_job_is_not_run_again_unless_started_anew() -> None:
    finished = state(Started(FromEmpty(), "f"), Finished("FINISHED"))
    assert finished.terminal
    assert not finished.after(Started(FromEmpty(), "f")).terminal


def test_a_checkpoint_id_that_goes_back_is_damage() -> None:
    with pytest.raises(DamagedData, match="checkpoint 1 follows 2"):
        state(completed(2), completed(1))
    with pytest.raises(DamagedData, match="started from checkpoint 9"):
        folded([Started(checkpoint(9), "f")])


def test_a_slot_that_is_left_of_a_deleted_journal_is_never_taken_for_ones_own() -> None:
    store = MemoryStore(SystemClock())
    left = reigning(store, "sleeper")
    left.append(Started(FromEmpty(), "f"))
    left.append(Forgotten(CheckpointId(1)))
    for slot in (0, 1):
        store.delete(journal_slot(JOB, slot))
    new = reigning(store, "new")
    new.append(Started(FromEmpty(), "f"))
    with pytest.raises(LeadershipLost, match="was written by somebody who does not lead job"):
        new.append(Forgotten(CheckpointId(2)))


class CountingStore(MemoryStore):  # type: ignore[misc]
    """Notes what is read."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.reads: list[str] = []

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        self.reads.append(path)
        return super().read(path, offset=offset, length=length)


def test_who_opens_it_again_reads_on_from_where_it_was_read_to() -> None:
    store = CountingStore()
    ruling = reigning(store)
    ruling.append(Started(FromEmpty(), "p"))
    first = journal(store, "b")
    first.open()
    ruling.append(Finished("FINISHED"))
    store.reads.clear()
    second = Journal(store, JOB, "b", clock=SystemClock(), rng=Random(2), known=first.known)
    assert second.open() == ruling.state
    assert store.reads == [journal_slot(JOB, slot) for slot in (1, 2, 3)]


def test_what_was_known_of_a_journal_that_is_another_by_now_counts_no_more() -> None:
    store = MemoryStore(SystemClock())
    ruling = reigning(store)
    ruling.append(Started(FromEmpty(), "p"))
    known = ruling.known
    store.delete_many(entry.path for entry in store.list(""))
    for again in ([], [Started(FromEmpty(), "q"), Finished("FINISHED")]):
        if again:
            anew = reigning(store, "c")
            for entry in again:
                anew.append(entry)
        found = Journal(store, JOB, "b", clock=SystemClock(), rng=Random(2), known=known).open()
        assert found == (anew.state if again else JournalState())
