"""Keyed state of any checkpoint or savepoint as tables, and tables as a savepoint: for tools, with no job at hand.

Whatever backend wrote it. Memory is bounded: canonical tables are read row group by row group, RocksDB's files through
RocksDB, and the heap's in as many passes over its key groups as its size demands.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import IncompatibleState, StateError
from penstock.records.key_groups import KeyGroupRange, key_groups_of
from penstock.records.key_types import OPEN, KeyType
from penstock.state.backend import SnapshotReader, SnapshotWriter
from penstock.state.canonical.handle import put_tables, restored_batches, restored_rows, specs_in
from penstock.state.canonical.rows import ElementIndexes, RowEncoder, Rows, Serialised, kinds_of
from penstock.state.canonical.table import TableLayout
from penstock.state.canonical.writer import TableWriter
from penstock.state.descriptors import StateKind
from penstock.state.handles import KeyedHandle, StateInfo
from penstock.state.spec import StateSpec, specs_of

ROWS_MAX: Final = 1 << 14
"""How many rows are given at a time."""
_EVERY_GROUP: Final = KeyGroupRange(0, (1 << 15) - 1)


def keyed_rows(
    handles: Sequence[KeyedHandle],
    *,
    operator_name: str,
    max_parallelism: int,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None = None,
    key_groups: KeyGroupRange | None = None,
    pickled: bool = False,
) -> Iterator[tuple[StateSpec, Rows]]:
    """Some rows of some state at a time; those of one key and namespace of a state follow one another.

    Args:
        directory: where files are kept while they are read.
        names: of these states only.
        key_groups: of these only.
        pickled: leave undeclared values as they were pickled, so that nobody needs their classes.
    """
    groups = _EVERY_GROUP if key_groups is None else key_groups
    directory.mkdir(parents=True, exist_ok=True)
    for handle in handles:
        if not len(groups.intersection(KeyGroupRange(*handle.key_groups))):
            continue
        if handle.backend == "canonical":
            found = restored_rows(
                handle,
                groups,
                operator_name=operator_name,
                reader=reader,
                directory=directory,
                names=names,
                pickled=pickled,
            )
            rows: Iterator[tuple[StateSpec, Rows]] = ((spec, each) for spec, pieces in found for each in pieces)
        elif handle.backend == "hashmap":
            from penstock.state.hashmap.reading import heap_rows

            rows = heap_rows(handle, groups, operator_name, max_parallelism, reader, directory, names)
        elif handle.backend == "rocksdb":
            from penstock.state.rocksdb.reading import rocks_rows

            rows = rocks_rows(handle, groups, operator_name, reader, directory, names)
        else:
            raise IncompatibleState(f"state of operator {operator_name} is of an unknown backend {handle.backend!r}")
        for spec, each in rows:
            if not pickled and isinstance(each.values, Serialised):
                each.values = list(map(spec.value.loads, each.values))
            for begin in range(0, len(each), ROWS_MAX):
                yield spec, each if len(each) <= ROWS_MAX else each.slice(begin, begin + ROWS_MAX)


def keyed_batches(
    handles: Sequence[KeyedHandle],
    *,
    uid: str,
    operator_name: str,
    max_parallelism: int,
    reader: SnapshotReader,
    directory: Path,
    names: Collection[str] | None = None,
    key_groups: KeyGroupRange | None = None,
) -> Iterator[tuple[StateSpec, Any]]:
    """The same as Arrow record batches, as they stand in a canonical table (see `table`), or would.

    Of one state all have one schema, unless subtasks saw keys or namespaces of different structure.
    """
    groups = _EVERY_GROUP if key_groups is None else key_groups
    encoders: dict[str, RowEncoder] = {}
    for handle in handles:
        if handle.backend == "canonical":
            yield from restored_batches(
                handle, groups, operator_name=operator_name, reader=reader, directory=directory, names=names
            )
            continue
        found = keyed_rows(
            [handle],
            operator_name=operator_name,
            max_parallelism=max_parallelism,
            reader=reader,
            directory=directory,
            names=names,
            key_groups=key_groups,
            pickled=True,
        )
        for spec, rows in found:
            encoder = encoders.get(spec.name)
            if encoder is None:
                layout = TableLayout(spec, kinds_of(spec, rows, OPEN), uid, operator_name)
                encoder = encoders[spec.name] = RowEncoder(layout)
            for batch in encoder.encode(rows):
                yield spec, batch


def states_in(handle: KeyedHandle, operator_name: str) -> dict[str, StateSpec]:
    """The states that a handle of any backend describes."""
    if handle.backend == "canonical":
        return specs_in(handle, operator_name)
    return {spec.name: spec for spec in specs_of(handle, operator_name)}


def write_tables(
    states: Iterable[tuple[StateSpec, Iterable[Rows]]],
    infos: Sequence[StateInfo],
    *,
    uid: str,
    operator_name: str,
    key_type: KeyType | None,
    key_groups: KeyGroupRange,
    max_parallelism: int,
    directory: Path,
    writer: SnapshotWriter,
) -> KeyedHandle:
    """A savepoint's keyed state of one operator, made of rows. A state may come again, with more of its rows.

    Key groups are computed from the keys, indexes of list elements from their order, in which those of one key and
    namespace stand together. Keys outside of `key_groups` are an error.
    """
    tables: dict[str, TableWriter] = {}
    numbering: dict[str, ElementIndexes] = {}
    for spec, pieces in states:
        table = tables.get(spec.name)
        indexes = numbering.setdefault(spec.name, ElementIndexes())
        for rows in pieces:
            if not len(rows):
                continue
            rows.groups = key_groups_of(rows.keys, max_parallelism)
            outside = next(
                (key for key, group in zip(rows.keys, rows.groups, strict=True) if group not in key_groups), None
            )
            if outside is not None:
                raise StateError(f"key {outside!r} of state {spec.name} is not of key groups {key_groups}")
            if spec.kind is StateKind.LIST:
                rows.indexes = indexes.of(rows)
            if table is None:
                layout = TableLayout(spec, kinds_of(spec, rows, key_type or OPEN), uid, operator_name)
                table = tables[spec.name] = TableWriter(directory / f"{len(tables)}.parquet", layout)
            table.write(rows)
    for table in tables.values():
        table.close()
    return put_tables(list(tables.values()), infos, key_groups, writer)
