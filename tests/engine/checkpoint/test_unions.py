"""Flink's rule for union lists: all subtasks of an operator leave with one checkpoint."""

import pytest

from penstock.base.ids import OperatorUid, SubtaskId, VertexId
from penstock.checkpoint.handles import OperatorSnapshot, StateInfo, TaskSnapshot
from penstock.checkpoint.plan import TaskShape
from penstock.checkpoint.unions import torn_union

UID = OperatorUid("offsets")


def task(index: int, kind: str = "union", **ended: bool) -> TaskSnapshot:
    operator = OperatorSnapshot(UID, index, 2, 128, states=(StateInfo("names", kind),), name="Offsets")
    return TaskSnapshot(SubtaskId(VertexId("v"), index), 0, (operator,), **ended)


GONE = TaskShape(SubtaskId(VertexId("v"), 1), (UID,), 2, 128, frozenset())


@pytest.mark.parametrize("ended", [{}, {"data_ended": True}, {"finished": True}])
def test_a_checkpoint_completes_while_all_subtasks_are_there_or_all_leave(ended: dict[str, bool]) -> None:
    assert torn_union([task(0, **ended), task(1, **ended)], (), is_savepoint=False) is None


@pytest.mark.parametrize("ended", [{"data_ended": True}, {"finished": True}])
def test_no_subtask_leaves_before_the_others(ended: dict[str, bool]) -> None:
    reason = torn_union([task(0, **ended), task(1)], (), is_savepoint=False)
    assert reason == (
        "operator Offsets has union state 'names', and only some of its subtasks have had all their data: "
        "those wait for the others"
    )


def test_a_savepoint_holds_the_lists_of_those_that_wait_and_nobody_leaves_with_it() -> None:
    assert torn_union([task(0, data_ended=True), task(1)], (), is_savepoint=True) is None


@pytest.mark.parametrize("is_savepoint", [True, False])
def test_what_lacks_the_list_of_a_subtask_that_has_ended_is_given_up(is_savepoint: bool) -> None:
    reason = torn_union([task(0)], (GONE,), is_savepoint=is_savepoint)
    assert reason == "operator Offsets has union state 'names', and some of its subtasks have ended"


@pytest.mark.parametrize("kind", ["list", "broadcast", "value"])
def test_other_state_may_leave_subtask_by_subtask(kind: str) -> None:
    assert torn_union([task(0, kind, data_ended=True), task(1, kind)], (), is_savepoint=False) is None
    assert torn_union([task(0, kind)], (GONE,), is_savepoint=False) is None
