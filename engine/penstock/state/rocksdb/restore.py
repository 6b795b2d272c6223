"""Makes the local database of a subtask from the files of a checkpoint.

The handle that overlaps most is opened as it is and cut to our key groups; of the others, our entries are taken over.
Called in a thread before the task runs, or before it is even deployed.
"""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

from penstock.base.errors import IncompatibleState
from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import SnapshotReader
from penstock.state.handles import KeyedHandle, StateFile
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.layout import group_span
from penstock.state.rocksdb.memory import RocksMemory
from penstock.state.settings import StateSettings
from penstock.state.spec import StateSpec, change_between, specs_of


@final
@dataclass(frozen=True, slots=True)
class Restored:
    """A database and what is known of it."""

    database: Database
    directory: Path
    """The database's, and nobody else's."""
    specs: tuple[StateSpec, ...]
    files: tuple[StateFile, ...]
    """Files of the checkpoint that the database still consists of."""
    last_chunk: int

    def close(self) -> None:
        """Nobody needs it."""
        self.database.close()
        shutil.rmtree(self.directory, ignore_errors=True)


@final
@dataclass(frozen=True, slots=True)
class RocksRestore:
    """Restores one operator's subtask."""

    operator_name: str
    key_groups: KeyGroupRange
    directory: Path
    reader: SnapshotReader
    memory: RocksMemory
    settings: StateSettings

    def run(self, handles: Sequence[KeyedHandle]) -> Restored:
        """An empty database if no handle holds any of our key groups."""
        ours = sorted((handle for handle in handles if self._overlap(handle)), key=self._overlap, reverse=True)
        path = self.directory / "db"
        if not ours:
            return Restored(Database(path, self.memory, self.settings), self.directory, (), (), 0)
        if any(handle.backend == "canonical" for handle in ours):
            return self._from_tables(ours, path)
        self._download(ours[0], path)
        database = Database(path, self.memory, self.settings)
        try:
            specs = {spec.name: spec for spec in specs_of(ours[0], self.operator_name)}
            span = KeyGroupRange(*ours[0].key_groups)
            if not (self.key_groups.first <= span.first and span.last <= self.key_groups.last):
                database.keep_only(*group_span(self.key_groups))
            for number, handle in enumerate(ours[1:]):
                self._merge_specs(specs, handle)
                self._copy(handle, database, self.directory / f"other-{number}")
        except BaseException:
            database.close()
            raise
        files = ours[0].files if self.settings.build_on_restored else ()
        last_chunk = max(int(handle.meta.get("chunk", 0)) for handle in ours)
        return Restored(database, self.directory, tuple(specs.values()), files, last_chunk)

    def _from_tables(self, handles: Sequence[KeyedHandle], path: Path) -> Restored:
        from penstock.state.canonical.handle import restored_rows
        from penstock.state.rocksdb.table_rows import RowImport

        database = Database(path, self.memory, self.settings)
        try:
            specs: dict[str, StateSpec] = {}
            into = RowImport(database)
            for handle in handles:
                found = restored_rows(
                    handle,
                    self.key_groups,
                    operator_name=self.operator_name,
                    reader=self.reader,
                    directory=self.directory,
                )
                for spec, all_rows in found:
                    self._merge_spec(specs, spec)
                    for rows in all_rows:
                        into.put(spec, rows)
        except BaseException:
            database.close()
            raise
        return Restored(database, self.directory, tuple(specs.values()), (), into.last_chunk)

    def _overlap(self, handle: KeyedHandle) -> int:
        return len(self.key_groups.intersection(KeyGroupRange(*handle.key_groups)))

    def _merge_specs(self, specs: dict[str, StateSpec], handle: KeyedHandle) -> None:
        for spec in specs_of(handle, self.operator_name):
            self._merge_spec(specs, spec)

    def _merge_spec(self, specs: dict[str, StateSpec], spec: StateSpec) -> None:
        held = specs.setdefault(spec.name, spec)
        if not change_between(held, spec, self.operator_name).is_nothing:
            raise IncompatibleState(
                f"state {spec.name} of operator {self.operator_name} has two types in one checkpoint"
            )

    def _download(self, handle: KeyedHandle, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        with ThreadPoolExecutor(self.settings.transfer_threads, thread_name_prefix="rocksdb-download") as pool:
            list(pool.map(lambda file: self._fetch(file, path), self._in_turn(handle)))

    def _in_turn(self, handle: KeyedHandle) -> Sequence[StateFile]:
        """Where several subtasks need a handle's files, each begins with others, which those beside it then have."""
        held = KeyGroupRange(*handle.key_groups)
        begin = len(handle.files) * max(0, self.key_groups.first - held.first) // len(held)
        return (*handle.files[begin:], *handle.files[:begin])

    def _fetch(self, file: StateFile, folder: Path) -> None:
        # RocksDB never changes a table file; what else there is it writes on.
        is_table = file.name.endswith(".sst")
        self.reader.fetch(file.file, str(folder / file.name), unchanging=is_table, again=is_table)

    def _copy(self, handle: KeyedHandle, target: Database, path: Path) -> None:
        """Our part of another subtask's state."""
        self._download(handle, path)
        source = Database(path, self.memory, self.settings, read_only=True)
        try:
            begin, end = group_span(self.key_groups.intersection(KeyGroupRange(*handle.key_groups)))
            for number, family in enumerate(source.families.values()):
                target.take_over(family, begin, end, path.with_name(f"{path.name}-tables-{number}"))
        finally:
            source.close()
