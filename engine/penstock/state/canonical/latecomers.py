"""Of rows that were kept beside a table for fear that they would change: those whose keys the table has not got.

Called in the writing thread, when both are written. Memory is bounded: keys are compared one range of key groups after
the other. Holds the GIL for some two milliseconds at a time.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from penstock.records.key_groups import KeyGroupRange
from penstock.state.canonical.handle import TableReader
from penstock.state.canonical.rows import RowDecoder
from penstock.state.canonical.writer import TableWriter

RANGE_ROWS: Final = 300_000
"""How many of the rows are looked at together; their keys take some 30 MB."""
_COLUMNS: Final = ("key_group", "key", "exact")
_PAUSE_S: Final = 0.000_05


def latecomers(table: TableWriter, late: TableWriter, key_groups: KeyGroupRange) -> TableWriter:
    """A finished table with those rows of `late` whose keys `table`, which is finished too, has not got."""
    if not table.rows_written or not late.rows_written:
        return late
    found = TableWriter(late.path.with_suffix(".new.parquet"), late.layout)
    decoder = RowDecoder(late.layout)
    with TableReader(table.path, "a table just written") as known, TableReader(late.path, "rows kept aside") as kept:
        for part in _parts(key_groups, 1 + late.rows_written // RANGE_ROWS):
            keys = {key for some in _keys(kept, part, decoder) for key in some}
            for some in _keys(known, part, decoder):
                keys.difference_update(some)
            for batch in kept.batches(part) if keys else ():
                found.add([batch.filter(pa.array([key in keys for key in decoder.keys(batch)], pa.bool_()))])
                time.sleep(_PAUSE_S)
    found.close()
    return found


def _parts(key_groups: KeyGroupRange, count: int) -> Iterator[KeyGroupRange]:
    step = max(1, len(key_groups) // count)
    for first in range(key_groups.first, key_groups.last + 1, step):
        yield KeyGroupRange(first, min(first + step - 1, key_groups.last))


def _keys(table: TableReader, part: KeyGroupRange, decoder: RowDecoder) -> Iterator[list[Any]]:
    for batch in table.batches(part, _COLUMNS):
        yield decoder.keys(batch)
        time.sleep(_PAUSE_S)
