"""Entries as bytes that can be compared, and back: what a diff of two tables works on. Pure."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final, final

import msgspec

from penstock.base.errors import StateError
from penstock.cli.state.differing import Packed
from penstock.records.keys import decode_key, encode_key
from penstock.state.entries import Entry

_PICKLE: Final = b"\x80"
"""How pickle begins; no canonical encoding of a key does."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[bytes]).decode


@final
class Packer:
    """Packs entries of one kind of state."""

    def __init__(self, kind: str, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]) -> None:
        """`dumps` and `loads`: of a value."""
        self._kind = kind
        self._dumps = dumps
        self._loads = loads

    def packed(self, entries: Iterable[Entry]) -> Iterator[Packed]:
        """Lists as a whole; elements of operator state, which have no key, by themselves."""
        if self._kind == "list":
            for identity, elements in groupby(entries, self._of_key):
                yield identity, _encode([self._dumps(entry.value) for entry in elements])
            return
        for entry in entries:
            yield self._identity(entry), self._dumps(entry.value)

    def packed_elements(self, entries: Iterable[Entry]) -> Iterator[Packed]:
        """Of operator lists: the value and how often it was met so far, whichever subtask has it."""
        met: dict[bytes, int] = {}
        for entry in entries:
            data = self._dumps(entry.value)
            met[data] = number = met.get(data, 0) + 1
            yield _encode([data, number.to_bytes(8, "big")]), data

    def entry_of(self, identity: bytes) -> dict[str, Any]:
        """Key, namespace and map key, those that there are."""
        key, namespace, map_key = map(_load, _decode(identity))
        found = {"key": key}
        if namespace is not None:
            found["namespace"] = namespace
        if map_key is not None:
            found["map_key"] = map_key
        return found

    def value_of(self, data: bytes) -> Any:
        """A value, or a whole list."""
        return [self._loads(item) for item in _decode(data)] if self._kind == "list" else self._loads(data)

    def equal(self, one: bytes, other: bytes) -> bool:
        """Pickle may write equal values differently."""
        try:
            return bool(self.value_of(one) == self.value_of(other))
        except Exception:
            return False

    def _of_key(self, entry: Entry) -> bytes:
        return _encode([dumped_key(entry.key), dumped_key(entry.namespace), dumped_key(None)])

    def _identity(self, entry: Entry) -> bytes:
        return _encode([dumped_key(entry.key), dumped_key(entry.namespace), dumped_key(entry.map_key)])


def dumped_key(key: Any) -> bytes:
    """In the canonical encoding; keys of undeclared maps may be anything."""
    try:
        return encode_key(key)
    except StateError:
        return pickle.dumps(key, 5)


def _load(data: bytes) -> Any:
    return pickle.loads(data) if data[:1] == _PICKLE else decode_key(data)
