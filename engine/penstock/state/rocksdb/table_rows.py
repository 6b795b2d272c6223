"""Between entries of RocksDB and the rows of canonical tables, many at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import Any, Final, final

from penstock.records.key_groups import KeyGroupRange
from penstock.records.keys import decode_keys, encode_key, encode_keys
from penstock.state.canonical.rows import ElementIndexes, Rows, Serialised
from penstock.state.codec import loads_each
from penstock.state.descriptors import StateKind
from penstock.state.rocksdb.database import Database, Family
from penstock.state.rocksdb.layout import (
    CHUNK_BYTES,
    GROUP_BYTES,
    chunk_decoder,
    chunk_encoder,
    decode_map_key,
    group_bytes,
    group_span,
    leaf_encoder,
    parse,
)
from penstock.state.spec import StateSpec, is_undeclared, undecoded

READ_ENTRIES: Final = 512
"""How many are read before others get their turn: about half a millisecond."""
_TIME_BYTES: Final = 8


def stored_rows(spec: StateSpec, family: Family, key_groups: KeyGroupRange) -> Iterator[Rows]:
    """Everything of these key groups, in their order."""
    decode = _decoder(spec)
    indexes = ElementIndexes()
    for entries in family.read_many(*group_span(key_groups), READ_ENTRIES):
        rows = decode([entry for entry, _ in entries], [data for _, data in entries])
        if spec.kind is StateKind.LIST:
            rows.indexes = indexes.of(rows)
        yield rows


def _decoder(spec: StateSpec) -> Callable[[list[bytes], list[bytes]], Rows]:
    if spec.kind is StateKind.LIST:
        return _list_decoder(spec)
    leaves = _leaves(spec)
    if not spec.namespaced and spec.kind is not StateKind.MAP:

        def decode_singles(entries: list[bytes], data: list[bytes]) -> Rows:
            values, times = leaves(data)
            return Rows(_groups(entries), decode_keys([e[GROUP_BYTES:] for e in entries]), values=values, times=times)

        return decode_singles

    def decode(entries: list[bytes], data: list[bytes]) -> Rows:
        parsed = [parse(entry, spec) for entry in entries]
        values, times = leaves(data)
        return Rows(
            _groups(entries),
            [key for key, _, _ in parsed],
            [namespace for _, namespace, _ in parsed] if spec.namespaced else None,
            [decode_map_key(rest) for _, _, rest in parsed] if spec.kind is StateKind.MAP else None,
            None,
            values,
            times,
        )

    return decode


def _list_decoder(spec: StateSpec) -> Callable[[list[bytes], list[bytes]], Rows]:
    decode_chunk = chunk_decoder(undecoded(spec))

    def decode(entries: list[bytes], data: list[bytes]) -> Rows:
        parsed = [parse(entry, spec) for entry in entries]
        chunks = list(map(decode_chunk, data))
        counts = list(map(len, chunks))
        elements: list[Any] = list(chain.from_iterable(chunks))
        times = [used_ms for _, used_ms in elements] if spec.timed else None
        values = [value for value, _ in elements] if spec.timed else elements
        return Rows(
            _repeated(_groups(entries), counts),
            _repeated([key for key, _, _ in parsed], counts),
            _repeated([namespace for _, namespace, _ in parsed], counts) if spec.namespaced else None,
            values=Serialised(values) if is_undeclared(spec) else values,
            times=times,
        )

    return decode


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return list(chain.from_iterable(map(repeat, values, counts)))


def _groups(entries: list[bytes]) -> list[int]:
    first = entries[0][:GROUP_BYTES]
    if entries[-1][:GROUP_BYTES] == first:
        return [int.from_bytes(first, "big")] * len(entries)
    return [int.from_bytes(entry[:GROUP_BYTES], "big") for entry in entries]


def _leaves(spec: StateSpec) -> Callable[[list[bytes]], tuple[list[Any], list[int] | None]]:
    """(values, times) of many entries."""
    serializer = spec.value

    def leaves(data: list[bytes]) -> tuple[list[Any], list[int] | None]:
        times = None
        if spec.timed:
            times = [int.from_bytes(each[:_TIME_BYTES], "big") for each in data]
            data = [each[_TIME_BYTES:] for each in data]
        return Serialised(data) if is_undeclared(spec) else loads_each(serializer, data), times

    return leaves


@final
class RowImport:
    """Puts rows into a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.last_chunk = 0
        """The greatest number of a list's chunk so far."""

    def put(self, spec: StateSpec, rows: Rows) -> None:
        if not len(rows):
            return
        family = self._database.family(spec.name)
        batch = self._database.batch()
        places = list(map(bytes.__add__, _group_bytes(rows.groups), encode_keys(rows.keys)))
        if rows.namespaces is not None:
            places = list(map(bytes.__add__, places, encode_keys(rows.namespaces)))
        values: Any = repeat(True, len(rows)) if rows.values is None else rows.values
        if rows.times is not None:
            values = zip(values, rows.times, strict=True)
        if spec.kind is StateKind.LIST:
            self._put_lists(spec, places, values, batch, family)
        else:
            if rows.map_keys is not None:
                places = list(map(bytes.__add__, places, map(encode_key, rows.map_keys)))
            deque(map(batch.put, places, map(leaf_encoder(spec), values), repeat(family.handle)), maxlen=0)
        self._database.write(batch)

    def _put_lists(self, spec: StateSpec, places: list[bytes], values: Any, batch: Any, family: Family) -> None:
        encode = chunk_encoder(spec)
        for place, elements in groupby(zip(places, values, strict=True), itemgetter(0)):
            self.last_chunk += 1
            chunk = place + self.last_chunk.to_bytes(CHUNK_BYTES, "big")
            batch.put(chunk, encode([value for _, value in elements]), family.handle)


def _group_bytes(groups: Sequence[int]) -> list[bytes]:
    if len(set(groups)) == 1:
        return [group_bytes(groups[0])] * len(groups)
    return list(map(group_bytes, groups))
