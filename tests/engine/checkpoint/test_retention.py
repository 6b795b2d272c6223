"""What is kept and what goes."""

import pytest

from penstock.base.ids import CheckpointId
from penstock.checkpoint.retention import ExternalizedRetention, Retained, Retention

DELETE, RETAIN, NONE = (
    ExternalizedRetention.DELETE_ON_CANCELLATION,
    ExternalizedRetention.RETAIN_ON_CANCELLATION,
    ExternalizedRetention.NO_EXTERNALIZED_CHECKPOINTS,
)


def record(id: int, *shared: str, abandoned: bool = False) -> Retained:
    files = frozenset({f"j/chk-{id}/_metadata", f"j/chk-{id}/e1-c{id}-own-0"})
    return Retained(CheckpointId(id), files, frozenset(f"j/shared/{name}" for name in shared), abandoned)


def retention(count: int, *known: Retained, first_id: int = 1, pinned: tuple[int, ...] = ()) -> Retention:
    return Retention(count, known, first_id=CheckpointId(first_id), pinned=[CheckpointId(id) for id in pinned])


def test_only_so_many_are_kept_and_their_metadata_goes_first() -> None:
    kept = retention(1, record(1, "e1-c1-a-0"))
    assert kept.completed(record(2)) == (1,)
    assert kept.collect(bases=(), referred=()) == ()
    kept.forgotten(CheckpointId(1))
    gone = kept.collect(bases=(), referred=())
    assert gone == ("j/chk-1/_metadata", "j/chk-1/e1-c1-own-0", "j/shared/e1-c1-a-0")
    assert kept.collect(bases=(), referred=()) == ()


def test_another_number_is_heeded_at_once_and_abandoned_ones_stay_until_there_is_another() -> None:
    kept = retention(3, record(1), record(2), record(3), record(4, abandoned=True))
    assert kept.keep(2, ()) == (1,)
    kept.forgotten(CheckpointId(1))
    assert kept.keep(5, ()) == () and kept.retained_max == 5
    assert kept.completed(record(5)) == (4,)


def test_what_is_pinned_stays_beside_those_that_are_counted_until_it_is_unpinned() -> None:
    kept = retention(1, record(1, "e1-c1-a-0"), record(2), pinned=(1,))
    assert kept.completed(record(3)) == (2,)
    kept.forgotten(CheckpointId(2))
    assert "j/shared/e1-c1-a-0" not in kept.collect(bases=(), referred=())
    assert kept.completed(record(4, abandoned=True)) == (4,)
    kept.forgotten(CheckpointId(4))
    assert kept.ended("CANCELED", NONE) == (3,)
    assert kept.keep(1, [CheckpointId(3)]) == (), "the newest that is not pinned stays too"
    assert kept.completed(record(5)) == (1,)


def test_what_is_pinned_stays_when_the_job_turns_away_from_it() -> None:
    kept = retention(1, record(1), record(2), pinned=(2,))
    kept.turned_to(None)
    assert kept.completed(record(3)) == (1,)


def test_a_shared_file_stays_while_any_retained_checkpoint_needs_it() -> None:
    kept = retention(1, record(1, "e1-c1-a-0"), record(2, "e1-c1-a-0"))
    kept.forgotten(CheckpointId(1))
    assert "j/shared/e1-c1-a-0" not in kept.collect(bases=(), referred=())
    assert kept.is_live("j/shared/e1-c1-a-0")
    kept.forgotten(CheckpointId(2))
    assert "j/shared/e1-c1-a-0" in kept.collect(bases=(), referred=())
    assert not kept.is_live("j/shared/e1-c1-a-0")


def test_files_stay_while_a_checkpoint_under_way_builds_on_them() -> None:
    kept = retention(1, record(1, "e1-c1-a-0"))
    kept.completed(record(2))
    kept.forgotten(CheckpointId(1))
    assert kept.collect(bases=(CheckpointId(1),), referred=()) == ()
    assert len(kept.collect(bases=(), referred=())) == 3


def test_a_file_an_acknowledgement_refers_to_goes_once_that_checkpoint_is_aborted() -> None:
    kept = retention(1, record(1, "e1-c1-a-0"))
    kept.completed(record(2))
    kept.forgotten(CheckpointId(1))
    assert "j/shared/e1-c1-a-0" not in kept.collect(bases=(), referred={"j/shared/e1-c1-a-0"})
    assert kept.collect(bases=(), referred=()) == ("j/shared/e1-c1-a-0",)


def test_what_the_job_turned_away_from_goes_first() -> None:
    kept = retention(2, record(1), record(2))
    kept.turned_to(CheckpointId(1))
    assert kept.newest == 1
    assert kept.completed(record(3)) == (2,)


@pytest.mark.parametrize(
    ("policy", "kept_in"),
    [(NONE, set()), (DELETE, {"FAILED"}), (RETAIN, {"FAILED", "CANCELED"})],
)
def test_what_stays_at_the_end_is_what_was_asked_for(policy: ExternalizedRetention, kept_in: set[str]) -> None:
    for state in ("FINISHED", "CANCELED", "FAILED"):
        assert retention(1, record(1)).ended(state, policy) == (() if state in kept_in else (1,))  # type: ignore[arg-type]


FOUND = (
    "j/chk-3/e1-c3-left-0",
    "j/chk-3/_metadata",
    "j/chk-4/e1-c4-own-0",
    "j/chk-9/e2-c9-new-0",
    "j/shared/e1-c2-used-0",
    "j/shared/e1-c3-left-0",
    "j/shared/e2-c9-new-0",
    "j/shared/strange",
    "j/taskowned/e1-c3-x-0",
    "j/journal/000000000003",
)


def test_a_sweep_takes_what_older_reigns_left_and_nothing_else() -> None:
    kept = retention(1, record(4, "e1-c2-used-0"), first_id=9)
    assert kept.sweep(FOUND, decided_below=CheckpointId(9), referred=()) == (
        "j/chk-3/_metadata",
        "j/chk-3/e1-c3-left-0",
        "j/shared/e1-c3-left-0",
    )


def test_a_sweep_spares_shared_files_when_a_retained_checkpoint_cannot_be_read() -> None:
    unreadable = Retained(CheckpointId(4), frozenset(), None)
    kept = retention(1, unreadable, first_id=9)
    swept = kept.sweep(FOUND, decided_below=CheckpointId(9), referred=())
    assert swept == ("j/chk-3/_metadata", "j/chk-3/e1-c3-left-0")
