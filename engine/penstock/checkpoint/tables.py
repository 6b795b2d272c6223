"""The states of a checkpoint or savepoint as tables: what there is, and their entries, in bounded memory.

The command line's `state` reads through this. One state of one operator is one table, over all its subtasks.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

import msgspec

from penstock.base.errors import DamagedData, StateError
from penstock.base.ids import OperatorUid
from penstock.checkpoint.handles import OperatorListHandle, StateInfo
from penstock.checkpoint.metadata import OperatorState
from penstock.checkpoint.opened import OpenedState
from penstock.records.key_groups import KeyGroupRange
from penstock.state.canonical.rows import Rows
from penstock.state.canonical.tables import keyed_rows
from penstock.state.entries import Entry
from penstock.state.judging import as_keyed

_decode_entry: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode


@final
@dataclass(frozen=True, slots=True)
class StateTable:
    """One state of one operator."""

    operator: OperatorState
    info: StateInfo
    sort: Literal["keyed", "operator"]

    @property
    def uid(self) -> OperatorUid:
        return self.operator.uid

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def kind(self) -> str:
        """value, list, map, reducing, aggregating, timers; or list, union, broadcast of operator state."""
        return "timers" if self.sort == "keyed" and is_timers(self.info) else self.info.kind

    def list_handles(self) -> Iterator[tuple[int, OperatorListHandle]]:
        """Of operator state, by subtask."""
        for subtask in self.operator.subtasks:
            if subtask.operator is not None and self.name in subtask.operator.states:
                yield subtask.index, subtask.operator.states[self.name]


def is_timers(info: StateInfo) -> bool:
    """Whether it is what an operator keeps its timers in."""
    return info.name.startswith("_") and info.name.endswith((".event-time", ".processing-time"))


def tables_of(operator: OperatorState) -> list[StateTable]:
    """Keyed states first."""
    lists = {name for sub in operator.subtasks if sub.operator is not None for name in sub.operator.states}
    keyed = any(sub.keyed for sub in operator.subtasks)
    found = [StateTable(operator, info, "operator" if info.name in lists else "keyed") for info in operator.states]
    # A state that was asked for and is empty everywhere is in no list; it is keyed where there are keys.
    if not keyed:
        found = [StateTable(operator, table.info, "operator") for table in found]
    return sorted(found, key=lambda table: (table.sort, table.name))


def keyed_pieces(
    operator: OperatorState,
    opened: OpenedState,
    directory: Path,
    *,
    names: Collection[str] | None = None,
    key_groups: KeyGroupRange | None = None,
    pickled: bool = False,
) -> Iterator[tuple[str, Rows]]:
    """Some rows of some state of an operator at a time, by name; see `state.canonical.tables.keyed_rows`."""
    rows = keyed_rows(
        [handle for subtask in operator.subtasks for handle in subtask.keyed],
        operator_name=operator.name or operator.uid,
        max_parallelism=operator.max_parallelism,
        reader=opened.reading,
        directory=directory,
        names=names,
        key_groups=key_groups,
        pickled=pickled,
    )
    return ((spec.name, piece) for spec, piece in rows)


def table_named(opened: OpenedState, operator: str, state: str) -> StateTable:
    """By uid or name of the operator; StateError, which names what there is, when there is none, or several."""
    candidates = operators_named(opened, operator)
    found = [table for candidate in candidates for table in tables_of(candidate) if table.name == state]
    if len(found) != 1:
        names = ", ".join(table.name for candidate in candidates for table in tables_of(candidate)) or "none"
        raise StateError(f"operator {operator} has no state {state}; it has {names}")
    return found[0]


def operators_named(opened: OpenedState, operator: str) -> list[OperatorState]:
    """By uid, else all of that name. StateError when there is none."""
    operators = opened.metadata.operators
    found = [o for o in operators if o.uid == operator] or [o for o in operators if o.name == operator]
    if not found:
        names = ", ".join(f"{o.name or 'unnamed'} (uid {o.uid})" for o in operators) or "none"
        raise StateError(f"{opened.address} has no operator {operator}; it has {names}")
    return found


def list_elements(table: StateTable, opened: OpenedState) -> Iterator[tuple[int, bytes]]:
    """Of operator state: (subtask, one element as it was serialised)."""
    for subtask, handle in table.list_handles():
        data = opened.reading.read(handle.file) if handle.partitions else b""
        for at, size in handle.partitions:
            yield subtask, data[at : at + size]


def list_entries(table: StateTable, opened: OpenedState) -> Iterator[Entry]:
    """Of operator state: one entry per element; its key is the subtask's index."""
    spec = as_keyed(table.info)
    for subtask, element in list_elements(table, opened):
        if table.info.kind != "broadcast":
            yield Entry(subtask, spec.value.loads(element))
            continue
        try:
            key, value = _decode_entry(element)
        except msgspec.MsgspecError as error:
            raise DamagedData(f"an entry of broadcast state {table.name} cannot be read: {error}") from error
        assert spec.map_key is not None
        yield Entry(subtask, spec.value.loads(value), map_key=spec.map_key.loads(key))
