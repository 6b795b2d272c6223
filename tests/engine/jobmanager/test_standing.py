"""What a JobManager in standby does with what its journal says and with what it is told."""

import pytest

from penstock.base.ids import CheckpointId, Epoch
from penstock.checkpoint.journal_state import (
    Completed,
    Entry,
    EpochTaken,
    Finished,
    FromCheckpoint,
    FromEmpty,
    JournalState,
    SavepointStopped,
    Started,
    folded,
)
from penstock.jobmanager.standing import Standing, Verdict, Word, word_of

STOPPED = SavepointStopped(CheckpointId(1), "/savepoints/a", "sum")


def epoch(number: int, owner: str) -> EpochTaken:
    return EpochTaken(Epoch(number), owner, CheckpointId(number * 4), CheckpointId(number * 4 + 4))


def began(start_id: str = "") -> Started:
    return Started(FromEmpty(), "program", start_id)


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ([], "wait"),
        ([epoch(1, "ours")], "wait"),
        ([epoch(1, "ours"), began()], "go-on"),
        ([epoch(1, "theirs"), began()], "wait"),
        ([epoch(1, "ours"), began(), epoch(2, "theirs")], "wait"),
        ([epoch(1, "theirs"), began(), epoch(2, "ours")], "wait"),
        ([epoch(1, "ours"), began(), epoch(2, "theirs"), began()], "wait"),
        ([epoch(1, "theirs"), began(), STOPPED, Finished("FINISHED"), epoch(2, "ours"), began()], "go-on"),
        ([epoch(1, "ours"), began(), STOPPED], "go-on"),
        ([epoch(1, "ours"), began(), Finished("FAILED")], "ended"),
        ([epoch(1, "ours"), began(), Finished("FAILED"), epoch(2, "theirs")], "ended"),
        ([epoch(1, "ours"), began(), Finished("FAILED"), epoch(2, "theirs"), began()], "wait"),
    ],
)
def test_a_revision_goes_on_only_with_a_job_that_it_began_and_that_nobody_has_taken_since(
    entries: list[Entry], word: Word
) -> None:
    assert word_of(folded(entries), "ours") == word


def test_the_id_of_a_start_outlives_recoveries_of_its_owner_and_nobody_elses() -> None:
    told = [epoch(1, "ours"), began("a"), Completed(CheckpointId(4), "p", "s", CheckpointId(9))]
    recovery = Started(FromCheckpoint(CheckpointId(4)), "program")
    ours = folded([*told, epoch(3, "ours"), recovery]).started
    theirs = folded([*told, epoch(3, "theirs"), recovery]).started
    assert ours is not None and theirs is not None
    assert (ours.start_id, theirs.start_id) == ("a", "")


def test_one_that_was_deposed_leaves_the_job_to_whoever_drives_it_now() -> None:
    driven, over = [epoch(1, "ours"), began("a")], [epoch(1, "ours"), began("a"), Finished("FINISHED")]
    assert Standing("ours").loaded(folded(driven), deposed=True).state == "WAITING"
    assert Standing("ours").loaded(folded(over), deposed=True).state == "ENDED"


WAITING = Standing("ours").loaded(JournalState())
STARTING = WAITING.told("a")
STARTED = STARTING.began()


@pytest.mark.parametrize(
    ("standing", "start_id", "verdict"),
    [
        (Standing("ours"), "a", "not-loaded"),
        (Standing("ours").not_loaded("it raises"), "a", "cannot"),
        (WAITING, "a", "begin"),
        (STARTING, "a", "known"),
        (STARTING, "b", "started"),
        (STARTED, "a", "known"),
        (STARTED, "b", "started"),
        (STARTING.refused("damaged"), "a", "known"),
        (STARTING.refused("damaged"), "b", "begin"),
        (STARTED.over("FINISHED"), "a", "known"),
        (STARTED.over("FINISHED"), "b", "begin"),
    ],
)
def test_a_start_is_begun_once_under_its_id(standing: Standing, start_id: str, verdict: Verdict) -> None:
    assert standing.verdict(start_id) == verdict


def test_a_process_that_comes_up_again_knows_what_it_was_told() -> None:
    runs = Standing("ours").loaded(folded([epoch(1, "ours"), began("a")]))
    assert (runs.state, runs.verdict("a"), runs.verdict("b")) == ("STARTING", "known", "started")
    ended = Standing("ours").loaded(folded([epoch(1, "ours"), began("a"), Finished("CANCELED")]))
    assert (ended.state, ended.ended, ended.verdict("a"), ended.verdict("b")) == ("ENDED", "CANCELED", "known", "begin")


def test_what_keeps_it_waiting_is_said_until_it_gets_on() -> None:
    delayed = STARTING.delayed("the store does not answer")
    assert (delayed.state, delayed.error) == ("STARTING", "the store does not answer")
    assert delayed.began().error is None
