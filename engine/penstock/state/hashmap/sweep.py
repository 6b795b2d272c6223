"""Removes expired entries a few keys at a time, round and round through a table."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, final

from penstock.state.expiry import live_part
from penstock.state.hashmap.chunks import Table

_LISTED: Final = 4_096
"""Keys listed at a time; about 0.1 ms, plus a walk to the place in the table."""
_PER_BATCH_MAX: Final = 512


@final
class Sweeper:
    """Of one table whose state expires."""

    __slots__ = ("_at", "_deadline_ms", "_keys", "_per_record", "_table", "_touch")

    def __init__(
        self,
        table: Table,
        deadline_ms: Callable[[], int],
        per_record: int,
        touch: Callable[[Sequence[Any]], None],
    ) -> None:
        """`touch` is told keys before they change."""
        self._table = table
        self._deadline_ms = deadline_ms
        self._per_record = per_record
        self._touch = touch
        self._at = 0
        self._keys: Iterator[Any] = iter(())

    def step(self, records: int) -> None:
        """A batch of so many records is about to run."""
        self._sweep(min(records * self._per_record, _PER_BATCH_MAX))

    def idle(self, budget_s: float) -> bool:
        """Look at keys for about so long; True at the end of the table."""
        end = time.perf_counter() + budget_s
        while self._sweep(_PER_BATCH_MAX):
            if time.perf_counter() >= end:
                return False
        return True

    def _sweep(self, count: int) -> bool:
        """Look at up to `count` keys; False at the end of the table."""
        keys = list(islice(self._keys, count))
        if not keys:
            listed = list(islice(self._table.cells, self._at, self._at + _LISTED))
            self._at = self._at + _LISTED if listed else 0
            self._keys = iter(listed)
            return bool(listed)
        deadline_ms = self._deadline_ms()
        changed = []
        for key in keys:
            cell = self._table.cells.get(key)
            if cell is None:
                continue
            live = live_cell(cell, self._table, deadline_ms)
            if live is not cell:
                changed.append((key, live))
        if changed:
            self._touch([key for key, _ in changed])
            for key, live in changed:
                self._put(key, live)
        return True

    def _put(self, key: Any, live: Any) -> None:
        if live is None:
            del self._table.cells[key]
            self._table.removals.count += 1
        else:
            self._table.cells[key] = live


def live_cell(cell: Any, table: Table, deadline_ms: int) -> Any:
    """What has not expired of all that a key has in a table; the cell itself if nothing has; None if all has."""
    kind = table.spec.kind.value
    if not table.spec.namespaced:
        return live_part(cell, kind, deadline_ms)
    live = {namespace: part for namespace, inner in cell.items() if (part := live_part(inner, kind, deadline_ms))}
    if len(live) == len(cell) and all(live[namespace] is inner for namespace, inner in cell.items()):
        return cell
    return live or None
