"""A canonical snapshot of the hashmap backend: tables of what keys had at the barrier, while the stream goes on.

As `snapshot.HeapSnapshot`: slices between batches, and what a batch is about to change is saved before it. But a table
must hold each row once, so it has to be known whether a slice has been at a key already. Therefore slices go by key
group: a table's keys are first sorted into their groups (as references; 8 bytes a key), and a key that a batch changes
is saved if its group is still to come. So tables come out by key group too, but for what was saved early.

Rows are made Arrow batches here, on the task's thread, and compressed and written in a thread of the snapshot's own.
Measured (CPython 3.11, str keys and LONG values): 0.4 us per key to sort, 0.4 us to gather.
"""

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

from penstock.base.errors import CheckpointFailed
from penstock.base.ids import CheckpointId
from penstock.records.key_groups import KeyGroupRange, key_groups_of
from penstock.records.key_types import OPEN, KeyType
from penstock.state.backend import SnapshotWriter
from penstock.state.canonical.handle import put_tables
from penstock.state.canonical.rows import RowEncoder, kinds_of
from penstock.state.canonical.table import TableLayout
from penstock.state.canonical.writer import GROUP_BYTES, GROUP_ROWS, Spool, TableWriter
from penstock.state.handles import KeyedHandle
from penstock.state.hashmap.chunks import Table
from penstock.state.hashmap.pieces import pieces_of, sets_of
from penstock.state.hashmap.snapshot import RunningSnapshot
from penstock.state.hashmap.sweep import live_cell
from penstock.state.hashmap.table_rows import rows_of
from penstock.state.hashmap.touched import Touched

SLICE_KEYS: Final = 1_024


@final
class CanonicalHeapSnapshot:
    """See `penstock.state.backend.KeyedSnapshot`, and `penstock.state.hashmap.snapshot.RunningSnapshot`."""

    def __init__(
        self,
        checkpoint: CheckpointId,
        tables: Sequence[Table],
        *,
        uid: str,
        operator_name: str,
        key_type: KeyType | None,
        key_groups: KeyGroupRange,
        max_parallelism: int,
        directory: Path,
    ) -> None:
        self.checkpoint = checkpoint
        self.later: list[Touched] = []
        self.predecessor: RunningSnapshot | None = None
        self.is_serialised = False
        self._key_groups = key_groups
        self._max_parallelism = max_parallelism
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = Path(tempfile.mkdtemp(prefix=f"savepoint-{checkpoint}-", dir=directory))
        self._infos = tuple(table.spec.info() for table in tables)
        self._spool = Spool(f"savepoint-{checkpoint}")
        self._gathering = [
            _TableRows(table, uid, operator_name, key_type or OPEN, self._directory / f"{number}.parquet", self._spool)
            for number, table in enumerate(tables)
        ]
        self._at = 0
        """Which table slices are at."""
        self._passed = -1
        """The last key group of that table that slices are done with; -1 while its keys are still being sorted."""
        self._done: set[Any] = set()
        """Keys beyond that which slices are done with too."""
        self._discarded = False
        self._error: Exception | None = None
        self._rest = self._slices()

    def save(self, keys: set[Any]) -> None:
        """A batch will touch these keys, untouched since the newest barrier of all: gather what is still to come."""
        needed = keys.difference(*sets_of(self.later[:-1]))
        for number in range(self._at, len(self._gathering)):
            gathering = self._gathering[number]
            found = [key for key in needed if key in gathering.cells]
            if not found:
                continue
            groups = key_groups_of(found, self._max_parallelism)
            if number == self._at:
                pairs = zip(found, groups, strict=True)
                coming = [pair for pair in pairs if pair[1] > self._passed and pair[0] not in self._done]
                found, groups = [key for key, _ in coming], [group for _, group in coming]
            self._gather(gathering, found, groups)

    def advance(self, budget_s: float) -> bool:
        begun = time.perf_counter()
        if self.predecessor is not None and not self.predecessor.advance(budget_s):
            return False
        deadline = begun + budget_s
        while not self.is_serialised:
            if not self._spool.wait_for_room(deadline - time.perf_counter()):
                break
            if next(self._rest, None) is None:
                self._end()
            elif time.perf_counter() > deadline:
                break
        return self.is_serialised

    def write(self, writer: SnapshotWriter) -> KeyedHandle:
        assert self.is_serialised, "a snapshot is written once it is serialised"
        try:
            tables = self._spool.join()
            if self._error is not None:
                raise self._error
            if self._discarded:
                raise CheckpointFailed(f"savepoint {self.checkpoint} was given up")
            return put_tables(tables, self._infos, self._key_groups, writer)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def discard(self) -> None:
        self._discarded = True
        if not self.is_serialised:
            self._gathering = []
            self._end()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _end(self) -> None:
        for gathering in self._gathering:
            gathering.flush()
        self._spool.end()
        self.is_serialised = True
        self.predecessor = None
        self.later = []
        self._gathering = []
        self._done = set()
        self._rest = iter(())

    def _slices(self) -> Iterator[bool]:
        """One step at a time."""
        for number, gathering in enumerate(self._gathering):
            self._at = number
            self._passed, self._done = -1, set()
            by_group: defaultdict[int, list[Any]] = defaultdict(list)
            for piece in pieces_of(gathering.table):
                yield from self._sort(piece, by_group)
            for groups in _runs(by_group):
                # A key may have been listed twice.
                sorted_keys = {group: list(dict.fromkeys(by_group.pop(group))) for group in groups}
                keys = [key for group in groups for key in sorted_keys[group]]
                of_keys = [group for group in groups for _ in sorted_keys[group]]
                for begin in range(0, len(keys), SLICE_KEYS):
                    end = begin + SLICE_KEYS
                    self._gather_untouched(gathering, keys[begin:end], of_keys[begin:end])
                    yield True
                self._passed, self._done = groups[-1], set()
            gathering.flush()
        self._at = len(self._gathering)

    def _sort(self, keys: Sequence[Any], by_group: defaultdict[int, list[Any]]) -> Iterator[bool]:
        for begin in range(0, len(keys), SLICE_KEYS):
            part = keys[begin : begin + SLICE_KEYS]
            for key, group in zip(part, key_groups_of(part, self._max_parallelism), strict=True):
                by_group[group].append(key)
            yield True

    def _gather_untouched(self, gathering: "_TableRows", keys: Sequence[Any], groups: Sequence[int]) -> None:
        """The rest was saved before it was changed."""
        touched = [met for met in sets_of(self.later) if met and not met.isdisjoint(keys)]
        if touched:
            kept = [place for place, key in enumerate(keys) if not any(key in met for met in touched)]
            keys, groups = [keys[place] for place in kept], [groups[place] for place in kept]
        self._gather(gathering, keys, groups)
        self._done.update(keys)

    def _gather(self, gathering: "_TableRows", keys: Sequence[Any], groups: Sequence[int]) -> None:
        if self._error is not None or not keys:
            return
        try:
            gathering.gather(keys, groups)
        except Exception as error:
            # The savepoint fails, not the batch.
            self._error = error


@final
class _TableRows:
    """Gathers the rows of one table."""

    def __init__(self, table: Table, uid: str, operator_name: str, key_type: KeyType, path: Path, spool: Spool) -> None:
        self.table = table
        self.cells = table.cells
        self._spec = table.spec
        self._uid = uid
        self._operator = operator_name
        self._key_type = key_type
        self._path = path
        self._spool = spool
        self._encoder: RowEncoder | None = None
        self._writer: TableWriter | None = None
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    def gather(self, keys: Sequence[Any], groups: Sequence[int]) -> None:
        """What these keys have now."""
        cells = list(map(self.cells.get, keys))
        expired_before_ms = self.table.expired_before_ms
        if expired_before_ms is not None:
            deadline_ms = expired_before_ms()
            cells = [None if cell is None else live_cell(cell, self.table, deadline_ms) for cell in cells]
        if None in cells:
            there = [place for place, cell in enumerate(cells) if cell is not None]
            keys, groups = [keys[place] for place in there], [groups[place] for place in there]
            cells = [cells[place] for place in there]
            if not cells:
                return
        rows = rows_of(self._spec, groups, keys, cells)
        encoder = self._encoder
        if encoder is None:
            kinds = kinds_of(self._spec, rows, self._key_type)
            layout = TableLayout(self._spec, kinds, self._uid, self._operator)
            encoder = self._encoder = RowEncoder(layout)
            self._writer = TableWriter(self._path, layout)
        batches = encoder.encode(rows)
        self._batches += batches
        self._rows += len(rows)
        self._bytes += sum(batch.nbytes for batch in batches)
        if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand over what was gathered."""
        if self._writer is not None and self._batches:
            self._spool.put(self._writer, self._batches)
        self._batches, self._rows, self._bytes = [], 0, 0


def _runs(by_group: dict[int, list[Any]]) -> list[list[int]]:
    """Key groups in order; small ones together, so that slices are not too small."""
    runs: list[list[int]] = []
    size = SLICE_KEYS
    for group in sorted(by_group):
        if size >= SLICE_KEYS or len(by_group[group]) >= SLICE_KEYS:
            runs.append([])
            size = 0
        runs[-1].append(group)
        size += len(by_group[group])
    return runs
