"""The handle of a canonical snapshot: which tables there are, of which states, and how they come to lie in a store.

Both backends make it when they write, and read it when they restore; so do the tools that look at state or change it.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, final

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penstock.base.errors import DamagedData, IncompatibleState
from penstock.records.key_groups import KeyGroupRange
from penstock.state.backend import SnapshotReader, SnapshotWriter
from penstock.state.canonical.rows import RowDecoder, Rows
from penstock.state.canonical.table import FORMAT, TableLayout, folder_of
from penstock.state.canonical.writer import TableWriter
from penstock.state.handles import KeyedHandle, StateFile, StateInfo
from penstock.state.spec import StateSpec, spec_from

BACKEND: Final = "canonical"
Piece = TypeVar("Piece")
READ_ROWS: Final = 1 << 14
"""How many rows are made Python objects at a time."""


def table_name(uid: str, spec: StateSpec, key_groups: KeyGroupRange, part: int) -> str:
    """Where a file of a table lies below the savepoint's folder."""
    number = f".{part}" if part else ""
    return f"{folder_of(uid, spec)}/{key_groups.first:05d}-{key_groups.last:05d}{number}.parquet"


def put_tables(
    tables: Sequence[TableWriter], infos: Sequence[StateInfo], key_groups: KeyGroupRange, writer: SnapshotWriter
) -> KeyedHandle:
    """Make finished tables durable. States without any row are only described; one may have its rows in two files."""
    files: list[StateFile] = []
    for table in tables:
        layout = table.layout
        part = sum(file.name == layout.spec.name for file in files)
        name = table_name(layout.uid, layout.spec, key_groups, part)
        files.append(StateFile(layout.spec.name, writer.put_file(name, str(table.path), shared=False)))
    meta = {"format": FORMAT, "states": msgspec.to_builtins(list(infos))}
    return KeyedHandle(BACKEND, (key_groups.first, key_groups.last), tuple(files), meta)


def specs_in(handle: KeyedHandle, operator_name: str) -> dict[str, StateSpec]:
    """The states that a canonical handle describes, those without rows included."""
    number = handle.meta.get("format")
    if not isinstance(number, int) or number > FORMAT:
        raise IncompatibleState(
            f"state of operator {operator_name} has canonical format {number!r}; "
            f"this Penstock reads up to format {FORMAT}"
        )
    try:
        infos = msgspec.convert(handle.meta["states"], list[StateInfo])
        return {info.name: spec_from(info) for info in infos}
    except (KeyError, msgspec.ValidationError) as error:
        raise DamagedData(f"what describes the state of operator {operator_name} cannot be read: {error}") from error


@final
class TableReader:
    """A table in a local file."""

    def __init__(self, path: Path, where: str) -> None:
        """`where` names the table in errors."""
        self._where = where
        try:
            self._file = pq.ParquetFile(str(path))
        except Exception as error:
            raise DamagedData(f"{where} cannot be read: {error}") from error
        self.schema = self._file.schema_arrow

    def __enter__(self) -> "TableReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def layout(self) -> TableLayout:
        """Needs the classes of the keys."""
        return TableLayout.of(self.schema, self._where)

    def batches(
        self,
        key_groups: KeyGroupRange | None = None,
        columns: Sequence[str] | None = None,
        *,
        rows_max: int = READ_ROWS,
    ) -> Iterator[Any]:
        """Record batches with rows of these key groups only; row groups that hold none are not read."""
        metadata = self._file.metadata
        wanted = [at for at in range(metadata.num_row_groups) if _meets(metadata.row_group(at), key_groups)]
        try:
            for batch in self._file.iter_batches(rows_max, wanted, columns) if wanted else ():
                yield batch if key_groups is None else _of_groups(batch, key_groups)
        except OSError as error:
            raise DamagedData(f"{self._where} cannot be read: {error}") from error

    def rows(self, key_groups: KeyGroupRange | None = None, *, pickled: bool = False) -> Iterator[Rows]:
        """Rows of these key groups only, as Python objects; undeclared ones as they were pickled, if so asked."""
        decoder = RowDecoder(self.layout(), pickled=pickled)
        for batch in self.batches(key_groups):
            if len(batch):
                yield decoder.decode(batch)


def _meets(row_group: Any, key_groups: KeyGroupRange | None) -> bool:
    statistics = row_group.column(0).statistics
    if key_groups is None or statistics is None or not statistics.has_min_max:
        return True
    found: bool = statistics.max >= key_groups.first and statistics.min <= key_groups.last
    return found


def restored_rows(
    handle: KeyedHandle,
    key_groups: KeyGroupRange,
    *,
    operator_name: str,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None = None,
    pickled: bool = False,
) -> Iterator[tuple[StateSpec, Iterator[Rows]]]:
    """Every state, one after the other, with its rows of these key groups."""
    only = _restriction(handle, key_groups)
    for spec, files in _tables_in(handle, operator_name, names):
        read = partial(TableReader.rows, key_groups=only, pickled=pickled)
        yield spec, _each(files, operator_name, reader, directory, read, again=only is not None)


def restored_batches(
    handle: KeyedHandle,
    key_groups: KeyGroupRange,
    *,
    operator_name: str,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None = None,
) -> Iterator[tuple[StateSpec, Any]]:
    """As record batches, for which no classes of the program are needed."""
    only = _restriction(handle, key_groups)
    for spec, files in _tables_in(handle, operator_name, names):
        read = partial(TableReader.batches, key_groups=only)
        for batch in _each(files, operator_name, reader, directory, read, again=only is not None):
            yield spec, batch


def _restriction(handle: KeyedHandle, key_groups: KeyGroupRange) -> KeyGroupRange | None:
    """None if all that the handle holds is wanted."""
    held = KeyGroupRange(*handle.key_groups)
    ours = key_groups.intersection(held)
    return None if ours == held else ours


def _tables_in(
    handle: KeyedHandle, operator_name: str, names: Collection[str] | None
) -> list[tuple[StateSpec, list[StateFile]]]:
    specs = specs_in(handle, operator_name)
    unknown = sorted({file.name for file in handle.files} - specs.keys())
    if unknown:
        raise DamagedData(f"tables of operator {operator_name} belong to no state: {', '.join(unknown)}")
    wanted = [spec for name, spec in specs.items() if names is None or name in names]
    return [(spec, [file for file in handle.files if file.name == spec.name]) for spec in wanted]


def _each(
    files: Sequence[StateFile],
    operator_name: str,
    reader: SnapshotReader,
    directory: Path,
    read: Callable[[TableReader], Iterator[Piece]],
    *,
    again: bool,
) -> Iterator[Piece]:
    """What is read of each file, one after the other, from a local copy. `again`: others need the rest of it."""
    for file in files:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix="table-") as folder:
            local = Path(folder) / "table.parquet"
            reader.fetch(file.file, str(local), unchanging=True, again=again)
            with TableReader(local, f"the table of state {file.name} of operator {operator_name}") as table:
                yield from read(table)


def _of_groups(batch: Any, key_groups: KeyGroupRange) -> Any:
    groups = batch.column(0)
    return batch.filter(pc.and_(pc.greater_equal(groups, key_groups.first), pc.less_equal(groups, key_groups.last)))
