"""The overlay's part of one state: fetches what a batch needs, drains what RocksDB has not got, forgets the rest.

Plain single values are a dict that the heap's own handles work on: fetched together before a batch, compared when
drained. Maps, lists and values with namespaces are cells that load lazily.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, Protocol, final

from penstock.records.keys import encode_key
from penstock.state.descriptors import StateKind
from penstock.state.rocksdb.cells import ATOMS, ListCell, Load, MapCell
from penstock.state.rocksdb.database import Family
from penstock.state.rocksdb.layout import (
    chunk_decoder,
    chunk_encoder,
    decode_map_key,
    leaf_decoder,
    leaf_encoder,
    parse,
)
from penstock.state.spec import StateSpec

Resident = Mapping[Any, bytes]
"""Keys in the overlay, with where their entries begin."""


class Store(Protocol):
    """One state."""

    spec: StateSpec
    family: Family

    def fetch(self, keys: Sequence[Any], prefixes: Sequence[bytes]) -> None:
        """These keys have become resident."""

    def drain(self, keys: Collection[Any], resident: Resident, batch: Any) -> None:
        """Put into `batch` what RocksDB has not got of these keys."""

    def forget(self, keys: Collection[Any]) -> None:
        """These keys are drained and no longer resident."""

    def stored(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, Any, Any, Any, list[Any]]]:
        """(bytes, key, namespace, map key, values) of entries in RocksDB; values with their times, if they expire."""


@final
class SingleStore:
    """One value per key, no namespaces."""

    def __init__(self, spec: StateSpec, family: Family) -> None:
        self.spec = spec
        self.family = family
        self.cells: dict[Any, Any] = {}
        self._written: dict[Any, Any] = {}
        """What RocksDB has of the resident keys."""
        self._encode = leaf_encoder(spec)
        self._decode = leaf_decoder(spec)

    def fetch(self, keys: Sequence[Any], prefixes: Sequence[bytes]) -> None:
        cells, written, decode = self.cells, self._written, self._decode
        for key, data in zip(keys, self.family.get(prefixes), strict=True):
            if data is not None:
                cells[key] = written[key] = decode(data)

    def drain(self, keys: Collection[Any], resident: Resident, batch: Any) -> None:
        get, written, encode = self.cells.get, self._written, self._encode
        before_of, put, delete, handle = written.get, batch.put, batch.delete, self.family.handle
        for key in keys:
            value = get(key)
            before = before_of(key)
            if value is before and type(value) in ATOMS:
                continue
            if value is None:
                delete(resident[key], handle)
                del written[key]
            else:
                put(resident[key], encode(value), handle)
                written[key] = value

    def forget(self, keys: Collection[Any]) -> None:
        for held in (self.cells, self._written):
            deque(map(held.pop, keys, repeat(None)), maxlen=0)

    def stored(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, Any, Any, Any, list[Any]]]:
        decode = self._decode
        for entry, data in self.family.scan(begin, end):
            yield entry, decode_map_key(entry[2:]), None, None, [decode(data)]


@final
class CellStore:
    """Maps, lists, and anything with namespaces: cells by key and namespace."""

    def __init__(
        self, spec: StateSpec, family: Family, resident: Resident, load: Load, next_chunk: Callable[[], bytes]
    ) -> None:
        self.spec = spec
        self.family = family
        self.cells: dict[Any, dict[Any, Any]] = {}
        self._resident = resident
        self._load = load
        self._next_chunk = next_chunk
        self._is_list = spec.kind is StateKind.LIST
        self._is_map_of_namespaces = spec.namespaced and spec.kind not in (StateKind.LIST, StateKind.MAP)
        self._encode_leaf = leaf_encoder(spec)
        self._decode_leaf = leaf_decoder(spec)
        self._encode_chunk = chunk_encoder(spec)
        self._decode_chunk = chunk_decoder(spec)

    def cell(self, key: Any, namespace: Any) -> Any:
        """The cell, made if it is not in the overlay."""
        held = self.cells.get(key)
        if held is None:
            held = self.cells[key] = {}
        found = held.get(namespace)
        if found is None:
            prefix = self._resident[key]
            if self.spec.namespaced and not self._is_map_of_namespaces:
                prefix += encode_key(namespace)
            if self._is_list:
                found = ListCell(prefix, self.family, self._decode_chunk, self._load)
            else:
                found = MapCell(prefix, self.family, self._decode_leaf, self._load)
            held[namespace] = found
        return found

    def fetch(self, keys: Sequence[Any], prefixes: Sequence[bytes]) -> None:
        """Cells load lazily."""

    def drain(self, keys: Collection[Any], resident: Resident, batch: Any) -> None:
        if not self.cells:
            return
        for key in keys:
            held = self.cells.get(key)
            if held is not None:
                for cell in held.values():
                    self._drain_cell(cell, batch)

    def forget(self, keys: Collection[Any]) -> None:
        for key in keys:
            for cell in self.cells.pop(key, _NOTHING).values():
                self._load.entries -= len(cell.elements or ()) if self._is_list else len(cell.entries)

    def stored(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, Any, Any, Any, list[Any]]]:
        spec = self.spec
        for entry, data in self.family.scan(begin, end):
            key, namespace, rest = parse(entry, spec)
            if self._is_list:
                yield entry, key, namespace, None, self._decode_chunk(data)
            else:
                map_key = decode_map_key(rest) if rest else None
                yield entry, key, namespace, map_key, [self._decode_leaf(data)]

    def _drain_cell(self, cell: Any, batch: Any) -> None:
        if self._is_list:
            cell.drain(batch, self._encode_chunk, self._next_chunk)
        else:
            cell.drain(batch, self._encode_leaf)


_NOTHING: Final[dict[Any, Any]] = {}
