"""The handle of a canonical snapshot: which tables there are, of which states, and how they come to lie in a store.

Both backends make it when they write, and read it when they restore; so do the tools that look at state or change it.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
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


def table_name(uid: str, spec: StateSpec, key_groups: KeyGroupRange) -> str:
    """Where a table lies below the savepoint's folder."""
    return f"{folder_of(uid, spec)}/{key_groups.first:05d}-{key_groups.last:05d}.parquet"


def put_tables(
    tables: Sequence[TableWriter], infos: Sequence[StateInfo], key_groups: KeyGroupRange, writer: SnapshotWriter
) -> KeyedHandle:
    """Make finished tables durable. States without any row are only described."""
    files = []
    for table in tables:
        layout = table.layout
        name = table_name(layout.uid, layout.spec, key_groups)
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

    def batches(self, key_groups: KeyGroupRange | None = None, rows: int = READ_ROWS) -> Iterator[Any]:
        """Record batches, without row groups that hold none of these key groups; others may hold more than these."""
        metadata = self._file.metadata
        wanted = [at for at in range(metadata.num_row_groups) if _meets(metadata.row_group(at), key_groups)]
        try:
            if wanted:
                yield from self._file.iter_batches(batch_size=rows, row_groups=wanted)
        except OSError as error:
            raise DamagedData(f"{self._where} cannot be read: {error}") from error

    def rows(self, key_groups: KeyGroupRange | None = None, *, pickled: bool = False) -> Iterator[Rows]:
        """Rows of these key groups only, as Python objects; undeclared ones as they were pickled, if so asked."""
        decoder = RowDecoder(self.layout(), pickled=pickled)
        for batch in self.batches(key_groups):
            rows = decoder.decode(batch)
            yield rows if key_groups is None else _only(rows, key_groups)


def _meets(row_group: Any, key_groups: KeyGroupRange | None) -> bool:
    statistics = row_group.column(0).statistics
    if key_groups is None or statistics is None or not statistics.has_min_max:
        return True
    found: bool = statistics.max >= key_groups.first and statistics.min <= key_groups.last
    return found


def _only(rows: Rows, key_groups: KeyGroupRange) -> Rows:
    first, last = key_groups.first, key_groups.last
    if first <= min(rows.groups, default=first) and max(rows.groups, default=last) <= last:
        return rows
    return rows.take([place for place, group in enumerate(rows.groups) if first <= group <= last])


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
    for spec, file in _tables_in(handle, operator_name, names):
        table = _opened(file, operator_name, reader, directory)
        yield spec, _each(table, lambda opened: opened.rows(only, pickled=pickled))


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
    for spec, file in _tables_in(handle, operator_name, names):
        table = _opened(file, operator_name, reader, directory)
        for batch in _each(table, lambda opened: opened.batches(only)):
            yield spec, batch if only is None else _of_groups(batch, only)


def _restriction(handle: KeyedHandle, key_groups: KeyGroupRange) -> KeyGroupRange | None:
    """None if all that the handle holds is wanted."""
    held = KeyGroupRange(*handle.key_groups)
    ours = key_groups.intersection(held)
    return None if ours == held else ours


def _tables_in(
    handle: KeyedHandle, operator_name: str, names: Collection[str] | None
) -> list[tuple[StateSpec, StateFile | None]]:
    specs = specs_in(handle, operator_name)
    files = {file.name: file for file in handle.files}
    unknown = sorted(files.keys() - specs.keys())
    if unknown:
        raise DamagedData(f"tables of operator {operator_name} belong to no state: {', '.join(unknown)}")
    return [(spec, files.get(name)) for name, spec in specs.items() if names is None or name in names]


@contextmanager
def _opened(
    file: StateFile | None, operator_name: str, reader: SnapshotReader, directory: Path
) -> Iterator[TableReader | None]:
    """None where a state has no rows."""
    if file is None:
        yield None
        return
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix="table-") as folder:
        local = Path(folder) / "table.parquet"
        reader.fetch(file.file, str(local))
        with TableReader(local, f"the table of state {file.name} of operator {operator_name}") as table:
            yield table


def _each(
    table: AbstractContextManager[TableReader | None], read: Callable[[TableReader], Iterator[Piece]]
) -> Iterator[Piece]:
    with table as opened:
        if opened is not None:
            yield from read(opened)


def _of_groups(batch: Any, key_groups: KeyGroupRange) -> Any:
    groups = batch.column(0)
    return batch.filter(pc.and_(pc.greater_equal(groups, key_groups.first), pc.less_equal(groups, key_groups.last)))
