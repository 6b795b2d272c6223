"""Removes expired entries from RocksDB, a few at a time, round and round; our binding has no compaction filter.

Keys in the overlay are left alone: their state expires when it is read.
"""

import time
from itertools import islice
from typing import Any, Final, final

from penstock.state.expiry import Expiry
from penstock.state.rocksdb.database import Database
from penstock.state.rocksdb.stores import Resident, Store

_BATCHES_BETWEEN: Final = 16
"""A look at RocksDB costs some 20 us however few the entries."""
_END: Final = b"\xff" * 8


@final
class RocksSweeper:
    """Of one state that expires. Never called while a snapshot restricts writing."""

    def __init__(self, store: Store, database: Database, resident: Resident, expiry: Expiry, entries: int) -> None:
        self._store = store
        self._database = database
        self._resident = resident
        self._expiry = expiry
        self._entries = entries
        self._at = b""
        self._batches = 0

    def step(self) -> None:
        """A batch is about to run."""
        self._batches += 1
        if self._batches >= _BATCHES_BETWEEN:
            self._batches = 0
            self._sweep()

    def idle(self, budget_s: float) -> bool:
        """Look at entries for about so long; True at the end of the state."""
        end = time.perf_counter() + budget_s
        while self._sweep():
            if time.perf_counter() >= end:
                return False
        return True

    def _sweep(self) -> bool:
        """Look at some entries; False at the end."""
        deadline_ms = self._expiry.deadline_ms()
        batch: Any = self._database.batch()
        found = list(islice(self._store.stored(self._at, _END), self._entries))
        for entry, key, _, _, values in found:
            if key not in self._resident and all(used_ms <= deadline_ms for _, used_ms in values):
                batch.delete(entry, self._store.family.handle)
        if len(batch):
            self._database.write(batch)
        self._at = found[-1][0] + b"\0" if found else b""
        return bool(found)
