"""Entries as bytes that can be compared, and back: what a diff of two tables works on. Pure."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final, final

import msgspec

from penstock.cli.state.differing import Packed
from penstock.records.keys import decode_key
from penstock.state.entries import Entry, dumped_key

_PICKLE: Final = b"\x80"
"""How pickle begins; no canonical encoding of a key does."""
_ELEMENTS: Final = "elements"
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


@final
class Packer:
    """Packs entries of one state."""

    def __init__(self, kind: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]) -> None:
        """`kind`: of a table, or `elements` for those of an operator list; `dumps` and `loads`: of a value."""
        self._kind = kind
        self._dumps = dumps
        self._loads = loads

    def packed(self, entries: Iterable[Entry]) -> Iterator[Packed]:
        """A list as a whole; an operator list's elements by themselves, told apart by how often they were met."""
        if self._kind == "list":
            for identity, elements in groupby(entries, _of_key):
                yield identity, _encode([self._dumps(entry.value) for entry in elements])
        elif self._kind == _ELEMENTS:
            yield from self._elements(entries)
        else:
            broadcast = self._kind == "broadcast"
            for entry in entries:
                yield _identity(None if broadcast else entry.key, entry), self._dumps(entry.value)

    def entry_of(self, identity: bytes) -> dict[str, Any]:
        """Key, namespace and map key, those that there are."""
        if self._kind == _ELEMENTS:
            return {}
        names = ("key", "namespace", "map_key")
        found = {name: _loaded_key(data) for name, data in zip(names, _decode(identity), strict=True)}
        return {name: value for name, value in found.items() if value is not None}

    def value_of(self, data: bytes) -> Any:
        """A value, or a whole list."""
        return [self._loads(item) for item in _decode(data)] if self._kind == "list" else self._loads(data)

    def _elements(self, entries: Iterable[Entry]) -> Iterator[Packed]:
        met: dict[bytes, int] = {}
        for entry in entries:
            data = self._dumps(entry.value)
            met[data] = number = met.get(data, 0) + 1
            yield _encode([data, number.to_bytes(8, "big")]), data


def _loaded_key(data: bytes) -> Any:
    return pickle.loads(data) if data[:1] == _PICKLE else decode_key(data)


def _of_key(entry: Entry) -> bytes:
    return _encode([dumped_key(entry.key), dumped_key(entry.namespace), dumped_key(None)])


def _identity(key: Any, entry: Entry) -> bytes:
    return _encode([dumped_key(key), dumped_key(entry.namespace), dumped_key(entry.map_key)])
