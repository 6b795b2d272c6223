"""Entries in any order, given back by key group with one entry per key: of a state that somebody has changed.

They are kept in files, each of some key groups, and one file is in memory at a time.
"""

import pickle
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, final

from penstock.records.key_groups import KeyGroupRange, key_groups_of
from penstock.state.canonical.rows import Rows
from penstock.state.canonical.table import is_timers
from penstock.state.descriptors import StateKind
from penstock.state.edit import Entry
from penstock.state.entries import dumped_key
from penstock.state.spec import StateSpec

PARTITION_BYTES: Final = 4 << 20
PARTITIONS_MAX: Final = 256
_BUFFER: Final = 256
_ROWS: Final = 1 << 13


@final
class Resorting:
    """Takes entries with `add`; once `end` was called gives them back with `rows`, as often as asked."""

    def __init__(self, spec: StateSpec, max_parallelism: int, folder: Path, bytes_expected: int) -> None:
        wanted = -(-bytes_expected // PARTITION_BYTES)
        self._spec = spec
        self._max_parallelism = max_parallelism
        self._count = max(1, min(PARTITIONS_MAX, max_parallelism, wanted))
        folder.mkdir(parents=True)
        self._paths = [folder / str(number) for number in range(self._count)]
        self._stack = ExitStack()
        self._files: list[IO[Any]] = [self._stack.enter_context(path.open("wb")) for path in self._paths]
        self._buffers: list[list[Entry]] = [[] for _ in self._paths]
        self.entries = 0

    def add(self, entries: Sequence[Entry]) -> None:
        """Their key groups are computed here."""
        self.entries += len(entries)
        groups = key_groups_of([entry.key for entry in entries], self._max_parallelism)
        for entry, group in zip(entries, groups, strict=True):
            entry.key_group = group
            number = group * self._count // self._max_parallelism
            buffer = self._buffers[number]
            buffer.append(entry)
            if len(buffer) >= _BUFFER:
                self._write(number)

    def end(self) -> None:
        """No more will come."""
        for number in range(self._count):
            self._write(number)
        self._stack.close()

    def rows(self, key_groups: KeyGroupRange) -> Iterator[Rows]:
        """Of these key groups, in their order."""
        first = key_groups.first * self._count // self._max_parallelism
        last = key_groups.last * self._count // self._max_parallelism
        for path in self._paths[first : last + 1]:
            entries = self._sorted(entry for entry in _read(path) if entry.key_group in key_groups)
            for begin in range(0, len(entries), _ROWS):
                yield _rows_of(entries[begin : begin + _ROWS], self._spec)

    def _sorted(self, entries: Iterator[Entry]) -> list[Entry]:
        is_list = self._spec.kind is StateKind.LIST
        places: dict[Any, dict[Any, Entry]] = {}
        for number, entry in enumerate(entries):
            namespace = None if entry.namespace is None else dumped_key(entry.namespace)
            of_key = places.setdefault((entry.key_group, dumped_key(entry.key), namespace), {})
            of_key[number if is_list else None if entry.map_key is None else dumped_key(entry.map_key)] = entry
        by_group = sorted(places.items(), key=lambda item: item[0][0])
        return [entry for _, of_key in by_group for entry in of_key.values()]

    def _write(self, number: int) -> None:
        if self._buffers[number]:
            pickle.dump(self._buffers[number], self._files[number], 5)
            self._buffers[number] = []


def _read(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        while True:
            try:
                yield from pickle.load(file)
            except EOFError:
                return


def _rows_of(entries: Sequence[Entry], spec: StateSpec) -> Rows:
    return Rows(
        [entry.key_group for entry in entries],
        [entry.key for entry in entries],
        [entry.namespace for entry in entries] if spec.namespaced else None,
        [entry.map_key for entry in entries] if spec.kind is StateKind.MAP else None,
        None,
        None if is_timers(spec) else [entry.value for entry in entries],
        [entry.used_ms or 0 for entry in entries] if spec.timed else None,
    )
