"""Builds tables from the files of a checkpoint: the base, then the changes on top of it, for our key groups only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from penstock.base.errors import DamagedData, IncompatibleState
from penstock.records.key_groups import KeyGroupRange, KeyGroups
from penstock.state.backend import SnapshotReader
from penstock.state.handles import KeyedHandle, StateFile, is_reusable
from penstock.state.hashmap.chunks import Table, apply_chunk, chunks_of
from penstock.state.spec import StateSpec, change_between, specs_of


@final
class Restore:
    """Gathers the state of several handles."""

    def __init__(self, operator_name: str, key_groups: KeyGroupRange, max_parallelism: int, directory: Path) -> None:
        """`directory` is where tables of canonical savepoints are read from."""
        self._operator = operator_name
        self._key_groups = key_groups
        self._directory = directory
        self._groups = KeyGroups(max_parallelism)
        self.tables: list[Table] = []

    def take(self, handle: KeyedHandle, reader: SnapshotReader) -> None:
        """Read one handle; in memory at once: the files of one handle, one after the other."""
        range_of = KeyGroupRange(*handle.key_groups)
        if not len(self._key_groups.intersection(range_of)):
            return
        if handle.backend == "canonical":
            self._take_tables(handle, reader)
            return
        is_partial = not (self._key_groups.first <= range_of.first and range_of.last <= self._key_groups.last)
        tables = [self._table(spec) for spec in specs_of(handle, self._operator)]
        # A key lies in one handle only, so what this one deletes can only be its own.
        for number, file in enumerate(handle.files):
            for keys, columns in chunks_of(reader.read(file.file)):
                wanted = self._wanted(keys) if is_partial else None
                try:
                    apply_chunk(keys, columns, tables, wanted, replaces=number > 0)
                except (IndexError, ValueError, TypeError) as error:
                    where = f"state of operator {self._operator} in {file.name}"
                    raise DamagedData(f"{where} cannot be read: {error}") from error

    def _take_tables(self, handle: KeyedHandle, reader: SnapshotReader) -> None:
        from penstock.state.canonical.handle import restored_rows
        from penstock.state.hashmap.table_rows import take_rows

        found = restored_rows(
            handle, self._key_groups, operator_name=self._operator, reader=reader, directory=self._directory
        )
        for spec, all_rows in found:
            table = self._table(spec)
            for rows in all_rows:
                take_rows(spec, rows, table.cells)

    def _wanted(self, keys: list[Any]) -> list[bool]:
        first, last = self._key_groups.first, self._key_groups.last
        return [first <= group <= last for group in self._groups.groups(keys)]

    def _table(self, spec: StateSpec) -> Table:
        found = next((table for table in self.tables if table.spec.name == spec.name), None)
        if found is None:
            found = Table(spec, {})
            self.tables.append(found)
        elif not change_between(found.spec, spec, self._operator).is_nothing:
            raise IncompatibleState(f"state {spec.name} of operator {self._operator} has two types in one checkpoint")
        return found


def reusable_files(handles: Sequence[KeyedHandle], key_groups: KeyGroupRange) -> tuple[StateFile, ...]:
    """The files that the first checkpoint may build on: those of the one handle that is exactly ours."""
    if len(handles) != 1:
        return ()
    handle = handles[0]
    if handle.backend != "hashmap":
        return ()
    is_ours = handle.key_groups == (key_groups.first, key_groups.last)
    return handle.files if is_ours and all(map(is_reusable, handle.files)) else ()
