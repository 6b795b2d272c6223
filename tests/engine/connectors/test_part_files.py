"""Which unfinished files an attempt may remove."""

from random import Random

import pytest

from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.connectors.part_files import Lineage

JOB, SINK = JobId("0" * 32), OperatorUid("sink")


def lineage(subtask: int, parallelism: int, restored: int | None, uid: OperatorUid = SINK) -> Lineage:
    checkpoint = None if restored is None else CheckpointId(restored)
    return Lineage(JOB, uid, subtask, parallelism, checkpoint, Random(subtask))


@pytest.mark.parametrize("old", [1, 2, 3, 7])
@pytest.mark.parametrize("new", [1, 3, 5])
def test_what_is_left_of_subtasks_before_a_rescaling_is_one_new_subtasks_to_remove(old: int, new: int) -> None:
    heirs = [lineage(index, new, 7) for index in range(new)]
    for subtask in range(old):
        begun = lineage(subtask, old, 5)
        before = begun.new_mark()
        begun.took_part_in(CheckpointId(7))
        after = begun.new_mark()
        assert [heir.is_leaving(before) for heir in heirs].count(True) == 0, "the checkpoint may refer to it"
        assert [heir.is_leaving(after) for heir in heirs].count(True) == 1


def test_nobody_removes_what_others_of_the_same_row_are_writing() -> None:
    row = [lineage(index, 4, 7) for index in range(4)]
    for mine in row:
        assert [other.is_leaving(mine.new_mark()) for other in row] == [other is mine for other in row]
    assert not any(other.is_leaving(lineage(1, 2, 7, OperatorUid("another")).new_mark()) for other in row)


def test_an_attempt_that_was_not_restored_finds_only_leavings_of_its_own_row() -> None:
    assert not lineage(0, 2, None).is_leaving(lineage(0, 3, 5).new_mark())
