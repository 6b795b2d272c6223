"""Which state each new subtask gets: operators matched by uid, keyed state by key groups, lists by their mode. Pure.

The JobManager asks before anything is started, and refuses or reports by the answer; so does `penstock check`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import msgspec

from penstock.base.errors import IncompatibleState
from penstock.base.ids import CheckpointId, OperatorUid
from penstock.checkpoint.handles import KeyedHandle, OperatorListHandle, OperatorStateHandle, StateInfo
from penstock.checkpoint.metadata import OperatorState, SubtaskState
from penstock.graph.uids import uid_hash
from penstock.records.key_groups import KeyGroupRange, range_for


@final
class OperatorTarget(msgspec.Struct, frozen=True):
    """An operator of the graph that is to start."""

    uid: OperatorUid
    name: str
    parallelism: int
    max_parallelism: int
    max_parallelism_given: bool
    """Whether the user chose it. A derived one gives way to that of the state: see `Assignment.max_parallelism`."""


@final
class SubtaskRestore(msgspec.Struct, frozen=True):
    """What one subtask of an operator gets."""

    keyed: tuple[KeyedHandle, ...] = ()
    """Handles whose key groups meet the subtask's own; it takes its own groups from each."""

    operator: tuple[OperatorStateHandle, ...] = ()
    """Elements of all these belong to it, in this order."""

    finished: bool = False
    """The whole operator had ended before: it has nothing to do again."""


@final
class OperatorRestored(msgspec.Struct, frozen=True):
    """What one operator gets."""

    subtasks: tuple[SubtaskRestore, ...]
    """By index of the new subtask."""

    states: tuple[StateInfo, ...]
    key_type: dict[str, Any] | None
    coordinator: bytes | None
    max_parallelism: int


@final
class Assignment(msgspec.Struct, frozen=True):
    """All state, placed."""

    checkpoint: CheckpointId | None
    operators: Mapping[OperatorUid, OperatorRestored]
    unclaimed: tuple[OperatorState, ...]
    """States that no operator of the graph asks for."""

    stateless: tuple[OperatorUid, ...]
    """Operators for which the checkpoint has nothing."""


def assign(
    checkpoint: CheckpointId | None,
    operators: Iterable[OperatorState],
    targets: Sequence[OperatorTarget],
    *,
    allow_unclaimed: bool,
) -> Assignment:
    """Place the state of a checkpoint. IncompatibleState when it does not fit the graph."""
    states = {operator.uid: operator for operator in operators}
    found = {target.uid: state for target in targets if (state := _state_of(target.uid, states)) is not None}
    claimed = {state.uid for state in found.values()}
    unclaimed = tuple(state for uid, state in sorted(states.items()) if uid not in claimed and not state.is_empty)
    if unclaimed and not allow_unclaimed:
        named = ", ".join(f"{state.name or 'an operator'} (uid {state.uid})" for state in unclaimed)
        raise IncompatibleState(
            f"the checkpoint holds state of operators that the program does not have: {named}; give the operators these"
            " uids, or drop the state with execution.state-recovery.ignore-unclaimed-state"
        )
    placed = {target.uid: _place(found[target.uid], target) for target in targets if target.uid in found}
    stateless = tuple(target.uid for target in targets if target.uid not in found)
    return Assignment(checkpoint, placed, unclaimed, stateless)


def _state_of(uid: OperatorUid, states: Mapping[OperatorUid, OperatorState]) -> OperatorState | None:
    """By uid; or where one side has a uid and the other the hash that follows from it."""
    exact = states.get(uid) or states.get(OperatorUid(uid_hash(uid)))
    return exact or next((state for known, state in states.items() if uid_hash(known) == uid), None)


def _place(state: OperatorState, target: OperatorTarget) -> OperatorRestored:
    max_parallelism = _agreed_max_parallelism(state, target)
    lists = _lists(state, target.parallelism)
    subtasks = tuple(
        SubtaskRestore(
            _keyed(state, range_for(max_parallelism, target.parallelism, index)), lists[index], state.finished
        )
        for index in range(target.parallelism)
    )
    return OperatorRestored(subtasks, state.states, state.key_type, state.coordinator, max_parallelism)


def _agreed_max_parallelism(state: OperatorState, target: OperatorTarget) -> int:
    named = f"{target.name} (uid {target.uid})"
    if not any(subtask.keyed for subtask in state.subtasks):
        return target.max_parallelism
    if target.max_parallelism_given and target.max_parallelism != state.max_parallelism:
        raise IncompatibleState(
            f"max parallelism of {named} is {target.max_parallelism}, but its state was written with"
            f" {state.max_parallelism}, which cannot be changed"
        )
    if target.parallelism > state.max_parallelism:
        raise IncompatibleState(
            f"parallelism of {named} is {target.parallelism}, but its state was written with max parallelism"
            f" {state.max_parallelism}, beyond which it cannot be scaled"
        )
    return state.max_parallelism


def _keyed(state: OperatorState, own: KeyGroupRange) -> tuple[KeyedHandle, ...]:
    handles = (handle for subtask in state.subtasks for handle in subtask.keyed)
    return tuple(handle for handle in handles if len(own.intersection(KeyGroupRange(*handle.key_groups))))


def _lists(state: OperatorState, parallelism: int) -> list[tuple[OperatorStateHandle, ...]]:
    if parallelism == state.parallelism:
        return _unchanged(state)
    old = [subtask.operator.states for subtask in state.subtasks if subtask.operator is not None]
    dealt: list[list[OperatorStateHandle]] = [[] for _ in range(parallelism)]
    for name in sorted({name for states in old for name in states}):
        for index, handles in enumerate(_redistributed([s[name] for s in old if name in s], parallelism)):
            dealt[index] += [OperatorStateHandle({name: handle}) for handle in handles]
    return [tuple(handles) for handles in dealt]


def _unchanged(state: OperatorState) -> list[tuple[OperatorStateHandle, ...]]:
    """Every subtask gets back its own; of union states the others' too. One that had ended needs the broadcast."""
    by_index: dict[int, SubtaskState] = {subtask.index: subtask for subtask in state.subtasks}
    everything = [(s.index, s.operator.states) for s in state.subtasks if s.operator is not None]
    unions = [
        (index, OperatorStateHandle({name: handle}))
        for index, states in everything
        for name, handle in sorted(states.items())
        if handle.mode == "union"
    ]
    broadcast = {n: handle for _, states in everything for n, handle in states.items() if handle.mode == "broadcast"}
    dealt = []
    for index in range(state.parallelism):
        mine = by_index.get(index)
        own = broadcast | (mine.operator.states if mine is not None and mine.operator is not None else {})
        kept = OperatorStateHandle({name: handle for name, handle in own.items() if handle.mode != "union"})
        dealt.append((*((kept,) if kept.states else ()), *(handle for _, handle in unions)))
    return dealt


def _redistributed(handles: Sequence[OperatorListHandle], parallelism: int) -> list[list[OperatorListHandle]]:
    mode = handles[0].mode
    if mode == "union":
        return [list(handles) for _ in range(parallelism)]
    if mode == "broadcast":
        return [[handles[index % len(handles)]] for index in range(parallelism)]
    return _split(handles, parallelism)


def _split(handles: Sequence[OperatorListHandle], parallelism: int) -> list[list[OperatorListHandle]]:
    """Even shares of all elements in their order, so that a new subtask reads few files; as Flink deals them."""
    total = sum(len(handle.partitions) for handle in handles)
    share, extra = divmod(total, parallelism)
    bounds = [0]
    for index in range(parallelism):
        bounds.append(bounds[-1] + share + (1 if index < extra else 0))
    dealt: list[list[OperatorListHandle]] = [[] for _ in range(parallelism)]
    for index in range(parallelism):
        at = 0
        for handle in handles:
            first, last = max(bounds[index] - at, 0), min(bounds[index + 1] - at, len(handle.partitions))
            if first < last:
                dealt[index].append(msgspec.structs.replace(handle, partitions=handle.partitions[first:last]))
            at += len(handle.partitions)
    return dealt
