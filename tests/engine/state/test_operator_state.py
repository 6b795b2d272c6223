"""State of a subtask: lists, union lists and broadcast maps."""

import pytest

from penstock.base.errors import IncompatibleState, StateError
from penstock.base.ids import CheckpointId
from penstock.common.time import Time
from penstock.common.typeinfo import Types
from penstock.state.descriptors import ListStateDescriptor, MapStateDescriptor
from penstock.state.handles import OperatorStateHandle
from penstock.state.operator_state import OperatorStateBackend
from penstock.state.ttl_config import StateTtlConfig
from penstock.testing.snapshots import MemoryFiles

OFFSETS = ListStateDescriptor("offsets", Types.LONG())
RULES = MapStateDescriptor("rules", Types.STRING(), Types.LONG())


def opened(
    files: MemoryFiles, restore: list[OperatorStateHandle], like: OperatorStateBackend | None = None
) -> OperatorStateBackend:
    infos = () if like is None else like.infos()
    return OperatorStateBackend(operator_name="source", uid="source", restore=restore, infos=infos, reader=files)


def test_what_was_there_at_the_barrier_comes_back() -> None:
    files = MemoryFiles()
    backend = opened(files, [])
    offsets, rules = backend.get_list_state(OFFSETS), backend.get_broadcast_state(RULES)
    union = backend.get_union_list_state(ListStateDescriptor("seen"))
    offsets.add_all([1, 2])
    rules.put_all({"a": 1})
    union.add({"any": ["object"]})
    snapshot = backend.snapshot(CheckpointId(1))
    offsets.update([9])
    rules.remove("a")
    union.clear()
    handle = snapshot.write(files)
    assert {name: state.mode for name, state in handle.states.items()} == {
        "offsets": "split",
        "rules": "broadcast",
        "seen": "union",
    }
    again = opened(files, [handle], backend)
    assert list(again.get_list_state(OFFSETS)) == [1, 2]
    assert dict(again.get_broadcast_state(RULES).items()) == {"a": 1}
    assert list(again.get_union_list_state(ListStateDescriptor("seen"))) == [{"any": ["object"]}]


def test_elements_of_several_subtasks_come_together() -> None:
    files = MemoryFiles()
    handles = []
    for number in range(2):
        backend = opened(files, [])
        backend.get_list_state(OFFSETS).add_all([number, number + 10])
        handles.append(backend.snapshot(CheckpointId(1)).write(files))
    assert sorted(opened(files, handles, backend).get_list_state(OFFSETS)) == [0, 1, 10, 11]


def test_the_same_state_asked_for_again_is_the_same() -> None:
    backend = opened(MemoryFiles(), [])
    assert backend.get_list_state(OFFSETS) is backend.get_list_state(OFFSETS)


def test_state_not_asked_for_is_carried_along() -> None:
    files = MemoryFiles()
    backend = opened(files, [])
    backend.get_list_state(OFFSETS).add(1)
    handle = backend.snapshot(CheckpointId(1)).write(files)
    again = opened(files, [handle], backend)
    handle = again.snapshot(CheckpointId(2)).write(files)
    assert list(opened(files, [handle], again).get_list_state(OFFSETS)) == [1]


def test_a_name_with_two_types_or_modes_is_refused() -> None:
    backend = opened(MemoryFiles(), [])
    backend.get_list_state(OFFSETS)
    with pytest.raises(StateError, match="asked for as union state and is list state"):
        backend.get_union_list_state(OFFSETS)
    with pytest.raises(StateError, match="offsets of operator source"):
        backend.get_list_state(ListStateDescriptor("offsets", Types.STRING()))


def test_a_type_that_does_not_fit_the_checkpoint_is_refused() -> None:
    files = MemoryFiles()
    backend = opened(files, [])
    backend.get_list_state(OFFSETS).add(1)
    handle = backend.snapshot(CheckpointId(1)).write(files)
    with pytest.raises(IncompatibleState, match="state offsets of operator source"):
        opened(files, [handle], backend).get_list_state(ListStateDescriptor("offsets", Types.STRING()))


def test_operator_state_cannot_expire() -> None:
    descriptor = ListStateDescriptor("l")
    descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.seconds(1)).build())
    with pytest.raises(StateError, match="cannot expire"):
        opened(MemoryFiles(), []).get_list_state(descriptor)


def test_a_value_that_cannot_be_stored_names_its_state() -> None:
    backend = opened(MemoryFiles(), [])
    backend.get_list_state(ListStateDescriptor("handlers")).add(lambda: None)
    with pytest.raises(StateError, match="handlers"):
        backend.snapshot(CheckpointId(1))


@pytest.mark.parametrize(
    ("call", "given"),
    [("get_list_state", RULES), ("get_union_list_state", "offsets"), ("get_broadcast_state", OFFSETS)],
)
def test_a_state_is_asked_for_with_its_own_descriptor(call: str, given: object) -> None:
    backend = opened(MemoryFiles(), [])
    with pytest.raises(TypeError, match=rf"{call}\(\) takes a \w+StateDescriptor, not "):
        getattr(backend, call)(given)
