"""What the overlay holds of one key's map or list: live objects, and what of them RocksDB has not got yet.

A cell belongs to a key and, where there are any, a namespace; `prefix` is where its entries begin. Cells load lazily
and are drained by their store, never by themselves. A value with a namespace is an entry of a map from namespace.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, final

from penstock.records.keys import encode_key
from penstock.state.rocksdb.database import Family
from penstock.state.rocksdb.layout import BASE_CHUNK, CHUNK_BYTES, decode_map_key

CACHED_ENTRIES_MAX: Final = 1_024
"""A map iterated in full stays in memory if it has no more entries than this."""
CHUNKS_MAX: Final = 16
"""A list read from more chunks than this is written anew as one."""
ATOMS: Final = frozenset((type(None), bool, int, float, str, bytes))
"""Types of values that cannot be changed in place."""


@final
class Absent:
    """Stands for an entry that is known not to exist."""


ABSENT: Final = Absent()


@final
class Load:
    """How many entries all lazy cells of a backend hold; a bound on it bounds the overlay."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries = 0


@final
class MapCell:
    """Entries of one map, by map key. `touched`: those that may differ from what RocksDB has."""

    __slots__ = ("_cleared", "_decode", "_family", "_load", "complete", "entries", "prefix", "touched", "written")

    def __init__(self, prefix: bytes, family: Family, decode: Callable[[bytes], Any], load: Load) -> None:
        self.prefix = prefix
        self.entries: dict[Any, Any] = {}
        self.written: dict[Any, Any] = {}
        """What RocksDB has, as far as it is known."""
        self.touched: set[Any] = set()
        self.complete = False
        """Whether RocksDB has no entry that is not here."""
        self._cleared = False
        self._family = family
        self._decode = decode
        self._load = load

    def get(self, key: Any) -> Any:
        """The value, or None."""
        value = self.entries.get(key, _MISS)
        if value is _MISS:
            if self.complete:
                return None
            value = self._fetch(key)
        if type(value) not in ATOMS:
            if value is ABSENT:
                return None
            self.touched.add(key)
        return value

    def contains(self, key: Any) -> bool:
        value = self.entries.get(key, _MISS)
        if value is _MISS:
            value = ABSENT if self.complete else self._fetch(key)
        return value is not ABSENT

    def put(self, key: Any, value: Any) -> None:
        if key not in self.entries:
            encode_key(key)  # Refused here, in the user's own line, rather than when it is written.
            self._load.entries += 1
        self.entries[key] = value
        self.touched.add(key)

    def remove(self, key: Any) -> None:
        self.put(key, ABSENT)

    def clear(self) -> None:
        self._load.entries -= len(self.entries)
        self.entries.clear()
        self.written.clear()
        self.touched.clear()
        self.complete = True
        self._cleared = True

    def items(self) -> list[tuple[Any, Any]]:
        """All entries, in no particular order."""
        if not self.complete:
            self._read_all()
        if self.complete:
            self.touched.update(key for key, value in self.entries.items() if type(value) not in ATOMS)
            return [(key, value) for key, value in self.entries.items() if value is not ABSENT]
        mine = self.entries
        stored = [(key, value) for key, value in self._stored() if key not in mine]
        return [(key, value) for key, value in mine.items() if value is not ABSENT] + stored

    def is_empty(self) -> bool:
        if any(value is not ABSENT for value in self.entries.values()):
            return False
        if self.complete:
            return True
        return all(key in self.entries for key, _ in self._stored())

    def drain(self, batch: Any, encode: Callable[[Any], bytes]) -> None:
        """Put into `batch` whatever RocksDB has not got."""
        handle, prefix = self._family.handle, self.prefix
        if self._cleared:
            for stored, _ in self._family.scan_prefix(prefix):
                batch.delete(stored, handle)
            self._cleared = False
        entries, written = self.entries, self.written
        for key in self.touched:
            value = entries[key]
            before = written.get(key, ABSENT)
            if value is ABSENT:
                # Not known to be written is not known to be absent.
                if before is not ABSENT or not self.complete:
                    batch.delete(prefix + encode_key(key), handle)
                written.pop(key, None)
            elif value is not before or type(value) not in ATOMS:
                batch.put(prefix + encode_key(key), encode(value), handle)
                written[key] = value
            if value is ABSENT and self.complete:
                del entries[key]
                self._load.entries -= 1
        self.touched.clear()

    def _fetch(self, key: Any) -> Any:
        data = self._family.get(self.prefix + encode_key(key))
        value = ABSENT if data is None else self._decode(data)
        self.entries[key] = value
        self._load.entries += 1
        if value is not ABSENT:
            self.written[key] = value
        return value

    def _read_all(self) -> None:
        """Take all entries into memory if they are few."""
        found = []
        for pair in self._stored():
            found.append(pair)
            if len(found) > CACHED_ENTRIES_MAX:
                return
        for key, value in found:
            if key not in self.entries:
                self.entries[key] = value
                self.written[key] = value
                self._load.entries += 1
        self.complete = True

    def _stored(self) -> Iterator[tuple[Any, Any]]:
        """What RocksDB has."""
        at = len(self.prefix)
        for stored, data in self._family.scan_prefix(self.prefix):
            yield decode_map_key(stored[at:]), self._decode(data)


@final
class ListCell:
    """Elements of one list. What is added is written as a chunk of its own, without reading the rest."""

    __slots__ = ("_chunks", "_decode", "_family", "_load", "_replaced", "added", "elements", "prefix")

    def __init__(self, prefix: bytes, family: Family, decode: Callable[[bytes], list[Any]], load: Load) -> None:
        self.prefix = prefix
        self.added: list[Any] = []
        """Behind what RocksDB has."""
        self.elements: list[Any] | None = None
        """All of it, with what was added; None: not read yet."""
        self._chunks: list[bytes] | None = None
        """Chunks in RocksDB, as far as they are known."""
        self._replaced = False
        self._family = family
        self._decode = decode
        self._load = load

    def get(self) -> list[Any]:
        """A list of the caller's own."""
        if self.elements is None:
            self._read()
        assert self.elements is not None
        return self.elements[:]

    def add_all(self, values: Sequence[Any]) -> None:
        self.added.extend(values)
        if self.elements is not None:
            self.elements.extend(values)
        self._load.entries += len(values)

    def replace(self, values: list[Any]) -> None:
        self._load.entries += len(values) - len(self.elements or self.added)
        self.elements = values
        self.added = []
        self._replaced = True

    def drain(self, batch: Any, encode: Callable[[Sequence[Any]], bytes], next_chunk: Callable[[], bytes]) -> None:
        """Put into `batch` whatever RocksDB has not got."""
        handle = self._family.handle
        if self._replaced:
            assert self.elements is not None
            for chunk in self._chunks if self._chunks is not None else self._stored_chunks():
                batch.delete(self.prefix + chunk, handle)
            self._chunks = [BASE_CHUNK] if self.elements else []
            if self.elements:
                batch.put(self.prefix + BASE_CHUNK, encode(self.elements), handle)
        elif self.added:
            chunk = next_chunk()
            batch.put(self.prefix + chunk, encode(self.added), handle)
            if self._chunks is not None:
                self._chunks.append(chunk)
        self._replaced = False
        self.added = []

    def _read(self) -> None:
        elements: list[Any] = []
        chunks = []
        at = len(self.prefix)
        for stored, data in self._family.scan_prefix(self.prefix):
            elements.extend(self._decode(data))
            chunks.append(stored[at:])
        self._load.entries += len(elements)
        elements.extend(self.added)
        self.elements = elements
        self._chunks = chunks
        if len(chunks) > CHUNKS_MAX:
            self._replaced = True

    def _stored_chunks(self) -> list[bytes]:
        at = len(self.prefix)
        return [stored[at : at + CHUNK_BYTES] for stored, _ in self._family.scan_prefix(self.prefix)]


_MISS: Final = object()
