"""Pieces of files that one reader works through at a time, and where it stands in them. Pure values.

The enumerator makes splits, readers take them up at their position, checkpoints keep them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, final

import msgspec

SPLIT_BYTES_MIN: Final = 1 << 20
SPLIT_BYTES_MAX: Final = 32 << 20
_SPLITS_PER_READER: Final = 4
"""So that a reader that is done early finds something left to do."""


@final
@dataclass(frozen=True, slots=True, order=True)
class InputFile:
    """A file as a listing shows it."""

    path: str
    size: int
    modified_ms: int


@final
@dataclass(frozen=True, slots=True)
class Position:
    """Where to go on: `records` records after the one that begins at `offset`. What an offset counts, the format
    says."""

    offset: int
    records: int = 0


@final
@dataclass(frozen=True, slots=True)
class FileSplit:
    """The part of a file from `start` to `end`; the format says which records belong to it."""

    path: str
    start: int
    end: int | None
    """None: to the end of the file, however long it has become."""
    position: Position | None = None
    """None: from the beginning of the split."""

    @property
    def split_id(self) -> str:
        return f"{self.path}@{self.start}"

    def at(self, position: Position | None) -> "FileSplit":
        return replace(self, position=position)


def split_size(files: Iterable[InputFile], readers: int) -> int:
    """Big enough to be worth its hand-over, small enough that all readers get their share."""
    total = sum(file.size for file in files)
    return min(SPLIT_BYTES_MAX, max(SPLIT_BYTES_MIN, total // (readers * _SPLITS_PER_READER)))


def splits_of(file: InputFile, size: int) -> Iterator[FileSplit]:
    """The file in splits of about `size` bytes; the last one takes what is too little for a split of its own."""
    start = 0
    while file.size - start >= 2 * size:
        yield FileSplit(file.path, start, start + size)
        start += size
    yield FileSplit(file.path, start, None)


def encode_split(split: FileSplit) -> bytes:
    """For a checkpoint or the network."""
    return msgspec.msgpack.encode(split)


def decode_split(data: bytes) -> FileSplit:
    """What `encode_split` made."""
    return msgspec.msgpack.decode(data, type=FileSplit)
