"""How two tables differ, entry by entry, in memory that does not grow with them.

Entries are dealt by a hash of their key into partitions on disk, of both sides; then one partition after the other is
held in memory and compared. A list is compared as a whole: what differs is its key.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Literal, final

import msgspec
import xxhash

Change = Literal["added", "removed", "changed"]
PARTITION_BYTES: Final = 32 << 20
PARTITIONS_MAX: Final = 256
_WRITE_BYTES: Final = 1 << 16
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes]).decode

Packed = tuple[bytes, bytes]
"""What identifies an entry, and its value."""


@final
@dataclass(frozen=True, slots=True)
class Example:
    """One difference; the sides that there are."""

    change: Change
    identity: bytes
    before: bytes | None
    after: bytes | None


@final
@dataclass(slots=True)
class TableDifference:
    """What became of one state."""

    added: int = 0
    removed: int = 0
    changed: int = 0
    same: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.removed or self.changed)


def differ(
    before: Iterable[Packed],
    after: Iterable[Packed],
    *,
    bytes_expected: int,
    limit: int,
    equal: Callable[[bytes, bytes], bool],
    folder: Path | None = None,
) -> TableDifference:
    """Compare. Values with other bytes are the same if `equal` says so; at most `limit` examples of each change."""
    count = max(1, min(PARTITIONS_MAX, -(-bytes_expected // PARTITION_BYTES)))
    difference = TableDifference()
    if count == 1:
        _compare(before, after, difference, limit, equal)
        return difference
    with tempfile.TemporaryDirectory(prefix="penstock-diff-", dir=folder) as place:
        sides = [_deal(entries, Path(place) / name, count) for name, entries in (("before", before), ("after", after))]
        for number in range(count):
            _compare(_read(sides[0][number]), _read(sides[1][number]), difference, limit, equal)
    return difference


def _compare(
    before: Iterable[Packed],
    after: Iterable[Packed],
    difference: TableDifference,
    limit: int,
    equal: Callable[[bytes, bytes], bool],
) -> None:
    held = dict(before)
    for identity, value in after:
        old = held.pop(identity, None)
        if old is None:
            difference.added += 1
            _exemplify(difference, Example("added", identity, None, value), difference.added, limit)
        elif old == value or equal(old, value):
            difference.same += 1
        else:
            difference.changed += 1
            _exemplify(difference, Example("changed", identity, old, value), difference.changed, limit)
    for identity, value in held.items():
        difference.removed += 1
        _exemplify(difference, Example("removed", identity, value, None), difference.removed, limit)


def _exemplify(difference: TableDifference, example: Example, number: int, limit: int) -> None:
    if number <= limit:
        difference.examples.append(example)


def _deal(entries: Iterable[Packed], place: Path, count: int) -> list[Path]:
    place.mkdir()
    paths = [place / str(number) for number in range(count)]
    with ExitStack() as stack:
        files: list[IO[Any]] = [stack.enter_context(path.open("wb", _WRITE_BYTES)) for path in paths]
        for identity, value in entries:
            data = _encode((identity, value))
            files[xxhash.xxh3_64_intdigest(identity) % count].write(len(data).to_bytes(4, "big") + data)
    return paths


def _read(path: Path) -> Iterator[Packed]:
    with path.open("rb", 1 << 20) as file:
        while head := file.read(4):
            yield _decode(file.read(int.from_bytes(head, "big")))
