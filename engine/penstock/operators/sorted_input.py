"""BATCH mode: all input first, then key by key, by time within a key.

Stands before keyed operators (`SortedInput`), or around one with two inputs or timers, which is told where a key ends
(`SortedAround`). Records are kept by key in memory; once there are too many they go to files by key group, and each
file is read back and sorted on its own.
"""

import pickle
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, Final, final

from penstock.base.ids import CheckpointId
from penstock.operators.emission import FLUSH_RECORDS
from penstock.operators.operator import Operator, OperatorContext, Output, SnapshotContext, StateContext, Steps
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP, Batch
from penstock.records.key_groups import KeyGroups

RECORDS_IN_MEMORY_MAX: Final = 1_000_000
_FILES: Final = 32

_Record = tuple[int, int, Any]
"""Timestamp, port, value."""


@final
class Gathered:
    """Records by key, in the order of first appearance; in files by key group when there are too many."""

    def __init__(self, folder: Path, max_parallelism: int, records_max: int) -> None:
        self._folder = folder
        self._records_max = records_max
        self._key_groups = KeyGroups(max_parallelism)
        self._by_key: dict[Any, list[_Record]] = {}
        self._count = 0
        self._files: dict[int, IO[bytes]] = {}

    def add(self, batch: Batch, port: int) -> None:
        assert batch.keys is not None, "sorted input is keyed"
        timestamps = batch.timestamps or [MIN_TIMESTAMP] * len(batch)
        by_key = self._by_key
        for key, timestamp, value in zip(batch.keys, timestamps, batch.values, strict=True):
            records = by_key.get(key)
            if records is None:
                by_key[key] = [(timestamp, port, value)]
            else:
                records.append((timestamp, port, value))
        self._count += len(batch)
        if self._count >= self._records_max:
            self._spill()

    def by_key(self) -> Iterator[tuple[Any, list[_Record]]]:
        """Each key with its records by time; those of equal time in the order they came."""
        if not self._files:
            yield from self._sorted()
            return
        self._spill()
        for part in sorted(self._files):
            file = self._files[part]
            file.seek(0)
            self._by_key = _read(file)
            file.close()
            yield from self._sorted()
        self._files.clear()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._by_key.clear()

    def _sorted(self) -> Iterator[tuple[Any, list[_Record]]]:
        by_key, self._by_key = self._by_key, {}
        for key, records in by_key.items():
            records.sort(key=itemgetter(0))
            yield key, records

    def _spill(self) -> None:
        parts: dict[int, dict[Any, list[_Record]]] = {}
        groups = self._key_groups.groups(list(self._by_key))
        for group, (key, records) in zip(groups, self._by_key.items(), strict=True):
            parts.setdefault(group % _FILES, {})[key] = records
        for part, by_key in parts.items():
            file = self._files.get(part)
            if file is None:
                file = self._files[part] = (self._folder / f"sorted-{id(self)}-{part}").open("w+b")
            pickle.dump(by_key, file, protocol=5)
        self._by_key = {}
        self._count = 0


def _read(file: IO[bytes]) -> dict[Any, list[_Record]]:
    """All pieces of one file, joined by key."""
    joined: dict[Any, list[_Record]] = {}
    while True:
        try:
            piece = pickle.load(file)
        except EOFError:
            return joined
        for key, records in piece.items():
            joined.setdefault(key, []).extend(records)


@final
class SortedInput(Operator):
    """Gathers keyed records until event time ends, then emits them key by key."""

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._gathered = Gathered(context.directory, context.max_parallelism, RECORDS_IN_MEMORY_MAX)
        self._emitted = False

    def process(self, batch: Batch, port: int) -> None:
        self._gathered.add(batch, port)

    def watermark(self, timestamp_ms: int) -> Steps | None:
        """Only the end of event time passes, behind all records."""
        return self._emit(end=True) if timestamp_ms == MAX_WATERMARK else None

    def finish(self) -> Steps | None:
        return None if self._emitted else self._emit(end=False)

    def close(self) -> None:
        self._gathered.close()

    def _emit(self, *, end: bool) -> Iterator[None]:
        self._emitted = True
        values: list[Any] = []
        timestamps: list[int] = []
        keys: list[Any] = []
        for key, records in self._gathered.by_key():
            for timestamp, _, value in records:
                values.append(value)
                timestamps.append(timestamp)
                keys.append(key)
                if len(values) >= FLUSH_RECORDS:
                    self._flush(values, timestamps, keys)
                    values, timestamps, keys = [], [], []
                    yield
        self._flush(values, timestamps, keys)
        if end:
            self.output.watermark(MAX_WATERMARK)

    def _flush(self, values: list[Any], timestamps: list[int], keys: list[Any]) -> None:
        if values:
            known = max(timestamps) > MIN_TIMESTAMP
            self.output.batch(Batch(values, timestamps if known else None, keys))


@final
class SortedAround(Operator):
    """Stands around a keyed operator, gives it its inputs sorted together, and has its timers fire key by key."""

    def __init__(self, inner: Operator) -> None:
        self._inner = inner
        self._emitted = False

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._inner.setup(context, output)
        self._gathered = Gathered(context.directory, context.max_parallelism, RECORDS_IN_MEMORY_MAX)

    def initialize_state(self, state: StateContext) -> None:
        self._inner.initialize_state(state)

    def open(self) -> None:
        self._inner.open()

    def process(self, batch: Batch, port: int) -> None:
        if batch.keys is None:
            self._inner.process(batch, port)  # The broadcast side comes first and is not sorted.
        else:
            self._gathered.add(batch, port)

    def watermark(self, timestamp_ms: int) -> Steps | None:
        return self._feed(end=True) if timestamp_ms == MAX_WATERMARK else None

    def prepare_snapshot_pre_barrier(self, checkpoint: CheckpointId) -> None:
        self._inner.prepare_snapshot_pre_barrier(checkpoint)

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        self._inner.snapshot_state(snapshot)

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        self._inner.notify_checkpoint_complete(checkpoint)

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        self._inner.notify_checkpoint_aborted(checkpoint)

    def finish(self) -> Steps | None:
        return self._finish()

    def close(self) -> None:
        self._gathered.close()
        self._inner.close()

    def _finish(self) -> Iterator[None]:
        if not self._emitted:
            yield from self._feed(end=False)
        yield from self._inner.finish() or ()

    def _feed(self, *, end: bool) -> Iterator[None]:
        self._emitted = True
        for key, records in self._gathered.by_key():
            start = 0
            while start < len(records):
                stop, port = start + 1, records[start][1]
                while stop < len(records) and records[stop][1] == port and stop - start < FLUSH_RECORDS:
                    stop += 1
                piece = records[start:stop]
                timestamps = [timestamp for timestamp, _, _ in piece]
                known = max(timestamps) > MIN_TIMESTAMP
                values = [value for _, _, value in piece]
                self._inner.process(Batch(values, timestamps if known else None, [key] * len(piece)), port)
                start = stop
            yield from self._inner.key_ended() or ()
            yield
        if end:
            yield from self._inner.watermark(MAX_WATERMARK) or ()
