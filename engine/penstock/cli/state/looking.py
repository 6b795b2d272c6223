"""What the subcommands of `penstock state` have in common: opening what they are told, choosing and reading tables."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from penstock.base.errors import StateError
from penstock.checkpoint.metadata import OperatorState
from penstock.checkpoint.opened import OpenedState, open_state
from penstock.checkpoint.tables import StateTable, keyed_pieces, list_entries, operators_named, tables_of
from penstock.cli.configuring import cluster_configuration, flags
from penstock.cli.state import standins
from penstock.cli.texts import size as size_text
from penstock.records.key_groups import KeyGroupRange
from penstock.state.entries import Entry, dumped_key, entries_of
from penstock.state.judging import as_keyed
from penstock.storage import ObjectStore, Opening, S3Settings


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where states are looked for: with the credentials of this command."""

    opening: Opening

    def store(self, root: str) -> ObjectStore:
        return self.opening.store(root)

    def open(self, address: str) -> OpenedState:
        return open_state(address, self.store)


def place(definitions: Sequence[str], conf: str | None, *, stand_in: bool = True) -> Place:
    """By the flags of a command. `stand_in`: what is pickled may be of classes that are not at hand."""
    if stand_in:
        standins.install()
    configuration = cluster_configuration(conf).add_all(flags(definitions))
    return Place(Opening(S3Settings.from_configuration(configuration)))


def chosen(opened: OpenedState, operator: str | None, state: str | None) -> list[StateTable]:
    """The tables that `--operator` and `--state` leave; StateError if none."""
    operators = opened.metadata.operators if operator is None else operators_named(opened, operator)
    tables = [table for found in operators for table in tables_of(found)]
    wanted = [table for table in tables if state is None or table.name == state]
    if state is not None and not wanted:
        names = ", ".join(sorted({table.name for table in tables})) or "none"
        raise StateError(f"there is no state {state}; there are {names}")
    return wanted


def entries(
    tables: Sequence[StateTable], opened: OpenedState, key_groups: KeyGroupRange | None = None
) -> Iterator[tuple[StateTable, Iterator[Entry]]]:
    """All entries of these tables, a piece at a time; pieces of one operator's tables may take turns.

    Entries of one key of one state follow one another.
    """
    for operator in _operators(tables):
        of_it = {table.name: table for table in tables if table.uid == operator.uid}
        keyed = {name: table for name, table in of_it.items() if table.sort == "keyed"}
        if keyed:
            with tempfile.TemporaryDirectory(prefix="penstock-state-") as folder:
                for name, rows in keyed_pieces(
                    operator, opened, Path(folder), names=tuple(keyed), key_groups=key_groups
                ):
                    yield keyed[name], entries_of(rows)
        for table in of_it.values():
            if table.sort == "operator":
                yield table, list_entries(table, opened)


def sizes(table: StateTable) -> Callable[[Entry], int]:
    """How many bytes an entry has, its keys included, as it is serialised."""
    spec = as_keyed(table.info)
    value_of = spec.value.dumps
    of_timer = table.kind == "timers"

    def size(entry: Entry) -> int:
        key = len(dumped_key(entry.key))
        value = 0 if of_timer else len(value_of(entry.value))
        inner = 0 if entry.map_key is None else len(dumped_key(entry.map_key))
        return key + value + inner + (0 if entry.namespace is None else len(dumped_key(entry.namespace)))

    return size


def headline_of(found: dict[str, Any]) -> str:
    """The same in a line."""
    of = f"job {found['job-name'] or found['job']}, checkpoint {found['checkpoint']}, {found['triggered']}"
    return f"{found['kind']} {found['path']}: {of}, {size_text(found['bytes'])}"


def _operators(tables: Sequence[StateTable]) -> list[OperatorState]:
    return list({table.uid: table.operator for table in tables}.values())
