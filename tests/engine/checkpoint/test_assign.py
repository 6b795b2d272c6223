"""State placed on the subtasks of a new graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import IncompatibleState
from penstock.base.ids import CheckpointId, OperatorUid
from penstock.checkpoint.assign import OperatorTarget, assign
from penstock.checkpoint.handles import FileHandle, KeyedHandle, ListMode, OperatorListHandle, OperatorStateHandle
from penstock.checkpoint.metadata import OperatorState, SubtaskState
from penstock.graph.uids import uid_hash
from penstock.records.key_groups import range_for

UID = OperatorUid("count")


def target(
    parallelism: int, max_parallelism: int = 128, *, given: bool = True, uid: OperatorUid = UID
) -> OperatorTarget:
    return OperatorTarget(uid, "Count", parallelism, max_parallelism, given)


def listed(subtask: int, mode: ListMode, elements: int) -> OperatorStateHandle:
    file = FileHandle(f"j/{subtask}", elements, "c")
    return OperatorStateHandle({"n": OperatorListHandle(mode, file, tuple((i, 1) for i in range(elements)))})


def state(parallelism: int, mode: ListMode | None = None, elements: int = 3, *, keyed: bool = True) -> OperatorState:
    subtasks = []
    for index in range(parallelism):
        own = range_for(128, parallelism, index)
        handles = (KeyedHandle("hashmap", (own.first, own.last)),) if keyed else ()
        subtasks.append(SubtaskState(index, handles, listed(index, mode, elements) if mode else None))
    return OperatorState(UID, parallelism, 128, tuple(subtasks), "Count")


def dealt(old: OperatorState, parallelism: int) -> list[list[tuple[str, int]]]:
    """Per new subtask, its elements as (file, offset)."""
    found = assign(CheckpointId(1), [old], [target(parallelism)], allow_unclaimed=False).operators[UID]
    return [
        [(s.file.path, at) for handle in sub.operator for s in handle.states.values() for at, _ in s.partitions]
        for sub in found.subtasks
    ]


@given(st.integers(1, 128), st.integers(1, 128))
def test_every_key_group_reaches_its_new_owner_whatever_the_two_parallelisms(old: int, new: int) -> None:
    found = assign(CheckpointId(1), [state(old)], [target(new)], allow_unclaimed=False).operators[UID]
    for index, subtask in enumerate(found.subtasks):
        own = range_for(128, new, index)
        given_groups = {g for h in subtask.keyed for g in range(h.key_groups[0], h.key_groups[1] + 1)}
        assert set(own.groups()) <= given_groups
        assert all(h.key_groups[0] <= own.last and own.first <= h.key_groups[1] for h in subtask.keyed)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 7))
def test_split_elements_are_dealt_once_each_in_even_shares(old: int, new: int, elements: int) -> None:
    shares = dealt(state(old, "split", elements), new)
    assert sorted(e for share in shares for e in share) == [
        (f"j/{i}", at) for i in range(old) for at in range(elements)
    ]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("new", [1, 2, 3])
def test_union_elements_reach_every_subtask(new: int) -> None:
    assert dealt(state(2, "union", 1), new) == [[("j/0", 0), ("j/1", 0)]] * new


@pytest.mark.parametrize("new", [1, 2, 3])
def test_broadcast_state_reaches_every_subtask_once(new: int) -> None:
    assert dealt(state(2, "broadcast", 1), new) == [[(f"j/{i % 2}", 0)] for i in range(new)]


def test_a_subtask_that_had_ended_still_gets_the_broadcast_state() -> None:
    old = state(2, "broadcast", 1)
    ended = OperatorState(UID, 2, 128, (old.subtasks[0], SubtaskState(1, finished=True)))
    assert dealt(ended, 2) == [[("j/0", 0)], [("j/0", 0)]]


def test_max_parallelism_that_the_user_changed_is_refused() -> None:
    with pytest.raises(
        IncompatibleState, match="max parallelism of Count .* is 256, but its state was written with 128"
    ):
        assign(None, [state(2)], [target(2, 256)], allow_unclaimed=False)


def test_a_derived_max_parallelism_gives_way_to_that_of_the_state() -> None:
    found = assign(None, [state(2)], [target(2, 256, given=False)], allow_unclaimed=False)
    assert found.operators[UID].max_parallelism == 128


def test_more_subtasks_than_key_groups_are_refused() -> None:
    with pytest.raises(IncompatibleState, match="parallelism of Count .* is 129"):
        assign(None, [state(2)], [target(129, 256, given=False)], allow_unclaimed=False)


def test_state_that_no_operator_asks_for_is_refused_unless_allowed_and_always_named() -> None:
    other = target(1, uid=OperatorUid("other"))
    with pytest.raises(IncompatibleState, match=r"Count \(uid count\)"):
        assign(None, [state(1)], [other], allow_unclaimed=False)
    found = assign(None, [state(1)], [other], allow_unclaimed=True)
    assert [unclaimed.uid for unclaimed in found.unclaimed] == [UID]
    assert found.stateless == ("other",)


def test_an_operator_without_any_state_may_go() -> None:
    assert assign(None, [state(1, keyed=False)], [], allow_unclaimed=False).unclaimed == ()


def test_an_operator_that_had_finished_is_told_so() -> None:
    finished = OperatorState(UID, 1, 128, (SubtaskState(0, finished=True),))
    found = assign(None, [finished], [target(3)], allow_unclaimed=False)
    assert [subtask.finished for subtask in found.operators[UID].subtasks] == [True] * 3


def test_rs8_an_operator_that_is_new_has_any_parallelism_and_restored_ones_beside_it_keep_to_their_key_groups() -> None:
    new = OperatorUid("new")
    wide = target(200, 256, uid=new)
    found = assign(CheckpointId(1), [state(2)], [target(128), wide], allow_unclaimed=False)
    assert found.stateless == (new,)
    assert len(found.operators[UID].subtasks) == 128
    for parallelism, max_parallelism in ((129, 128), (2, 256)):
        with pytest.raises(IncompatibleState, match="Count .uid count."):
            assign(CheckpointId(1), [state(2)], [target(parallelism, max_parallelism), wide], allow_unclaimed=False)


def test_rs8_an_operator_some_of_whose_subtasks_had_ended_is_dealt_what_the_others_left() -> None:
    whole = state(3, "split", elements=2)
    partly = OperatorState(UID, 3, 128, (whole.subtasks[0], whole.subtasks[2]), "Count")
    assert sorted(element for elements in dealt(partly, 2) for element in elements) == [
        ("j/0", 0),
        ("j/0", 1),
        ("j/2", 0),
        ("j/2", 1),
    ]


@pytest.mark.parametrize(("written", "wanted"), [("counter", uid_hash("counter")), (uid_hash("counter"), "counter")])
def test_sp10_state_is_found_by_the_hash_that_follows_from_a_uid(written: str, wanted: str) -> None:
    state = OperatorState(OperatorUid(written), 1, 128, (SubtaskState(0, keyed=(KeyedHandle("hashmap", (0, 127)),)),))
    target = OperatorTarget(OperatorUid(wanted), "count", 1, 128, False)
    placed = assign(None, [state], [target], allow_unclaimed=False)
    assert placed.operators[OperatorUid(wanted)].subtasks[0].keyed == state.subtasks[0].keyed
    assert not placed.stateless
    with pytest.raises(IncompatibleState, match="state of operators that the program does not have"):
        assign(None, [state], [OperatorTarget(OperatorUid("other"), "x", 1, 128, False)], allow_unclaimed=False)
