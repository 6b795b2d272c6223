"""Of rows that were kept beside a table for fear that they would change: those whose keys the table has not got.

Called in the writing thread, when both are written. Memory is bounded: keys are compared one range of key groups after
the other. For common types of keys Arrow does it, without the GIL.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from penstock.records.key_groups import KeyGroupRange
from penstock.state.canonical.handle import TableReader
from penstock.state.canonical.rows import RowDecoder
from penstock.state.canonical.writer import GROUP_ROWS, TableWriter

RANGE_ROWS: Final = 500_000
"""How many rows' keys are held together; they take some 20 MB."""
_COLUMNS: Final = ("key_group", "key", "exact")
_COMPARED_BY_ARROW: Final = (pa.string(), pa.int64(), pa.binary())
_PAUSE_S: Final = 0.000_05


def latecomers(table: TableWriter, late: TableWriter, key_groups: KeyGroupRange) -> TableWriter:
    """A finished table with those rows of `late` whose keys `table`, which is finished too, has not got."""
    if not table.rows_written or not late.rows_written:
        return late
    found = TableWriter(late.path.with_suffix(".new.parquet"), late.layout)
    decoder = RowDecoder(late.layout)
    parts = _parts(key_groups, 1 + max(table.rows_written, late.rows_written) // RANGE_ROWS)
    with TableReader(table.path, "a table just written") as known, TableReader(late.path, "rows kept aside") as kept:
        for part in parts:
            rows = pa.Table.from_batches(kept.batches(part, rows_max=GROUP_ROWS), late.layout.schema)
            if not len(rows):
                continue
            held = known.batches(part, _COLUMNS, rows_max=GROUP_ROWS)
            keys = pa.Table.from_batches(held, _key_schema(late.layout.schema))
            new = _new_by_arrow(rows, keys) if _is_plain(rows) and _is_plain(keys) else _new(rows, keys, decoder)
            found.add(rows.filter(new).to_batches())
    found.close()
    return found


def _key_schema(schema: Any) -> Any:
    return pa.schema([schema.field(name) for name in _COLUMNS], metadata=schema.metadata)


def _parts(key_groups: KeyGroupRange, count: int) -> Iterator[KeyGroupRange]:
    step = max(1, len(key_groups) // count)
    for first in range(key_groups.first, key_groups.last + 1, step):
        yield KeyGroupRange(first, min(first + step - 1, key_groups.last))


def _is_plain(table: Any) -> bool:
    key = table.column("key")
    return key.type in _COMPARED_BY_ARROW and not key.null_count


def _new_by_arrow(rows: Any, known: Any) -> Any:
    return pc.invert(pc.is_in(rows.column("key"), value_set=known.column("key").combine_chunks()))


def _new(rows: Any, known: Any, decoder: RowDecoder) -> Any:
    keys = {key for some in _keys(rows, decoder) for key in some}
    for some in _keys(known, decoder):
        keys.difference_update(some)
    return pa.array([key in keys for some in _keys(rows, decoder) for key in some], pa.bool_())


def _keys(table: Any, decoder: RowDecoder) -> Iterator[list[Any]]:
    for batch in table.to_batches(max_chunksize=4_096):
        yield decoder.keys(batch)
        time.sleep(_PAUSE_S)
