"""How state lies in RocksDB: one column family per state, in it bytes by key. Pure; part of the checkpoint format.

    key group (2 bytes) | canonical key | canonical namespace, if there are any | rest

The rest is nothing for single values, the canonical key of a map's entry, or the number (8 bytes) of a list's chunk.
Canonical encodings are prefix-free, so the parts need no lengths, and all of a key's entries lie together.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from xxhash import xxh3_64_intdigest

from penstock.records.key_groups import KeyGroupRange
from penstock.records.keys import decode_key, decode_key_at, encode_key
from penstock.state.spec import StateSpec

GROUP_BYTES: Final = 2
CHUNK_BYTES: Final = 8
BASE_CHUNK: Final = bytes(CHUNK_BYTES)
"""The chunk that holds a whole list; later chunks have greater numbers."""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode_timed_list: Final = msgspec.msgpack.Decoder(tuple[list[int], bytes]).decode


def group_bytes(group: int) -> bytes:
    """The prefix of a key group; also for the group behind the last one."""
    return group.to_bytes(GROUP_BYTES, "big") if group < 1 << 16 else b"\xff\xff\xff"


def key_prefixes(keys: Sequence[Any], max_parallelism: int) -> list[bytes]:
    """Where each key's entries begin. Measured: 0.7 us per str key."""
    encoded = list(map(encode_key, keys))
    return [
        (digest % max_parallelism).to_bytes(GROUP_BYTES, "big") + key
        for digest, key in zip(map(xxh3_64_intdigest, encoded), encoded, strict=True)
    ]


def group_span(key_groups: KeyGroupRange) -> tuple[bytes, bytes]:
    """All keys of these groups: from the first, included, to the second, excluded."""
    return group_bytes(key_groups.first), group_bytes(key_groups.last + 1)


def end_of(prefix: bytes) -> bytes:
    """The least bytes greater than all that begin with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    assert stripped, "a prefix holds more than a key group of 0xffff"
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def parse(entry: bytes, spec: StateSpec) -> tuple[Any, Any, bytes]:
    """(key, namespace, rest) of an entry's bytes."""
    key, at = decode_key_at(entry, GROUP_BYTES)
    namespace = None
    if spec.namespaced:
        namespace, at = decode_key_at(entry, at)
    return key, namespace, entry[at:]


decode_map_key: Final = decode_key


def leaf_encoder(spec: StateSpec) -> Callable[[Any], bytes]:
    """From a stored value, with its time if the state expires, to bytes."""
    encode = spec.value.dumps
    if not spec.timed:
        return encode
    return lambda pair: pair[1].to_bytes(8, "big") + encode(pair[0])


def leaf_decoder(spec: StateSpec) -> Callable[[bytes], Any]:
    """The reverse of `leaf_encoder`."""
    decode = spec.value.loads
    if not spec.timed:
        return decode
    return lambda data: (decode(data[8:]), int.from_bytes(data[:8], "big"))


def chunk_encoder(spec: StateSpec) -> Callable[[Sequence[Any]], bytes]:
    """From some elements of a list to bytes."""
    encode_many = spec.value.dumps_many
    if not spec.timed:
        return encode_many
    return lambda pairs: _encode(([used_ms for _, used_ms in pairs], encode_many([value for value, _ in pairs])))


def chunk_decoder(spec: StateSpec) -> Callable[[bytes], list[Any]]:
    """The reverse of `chunk_encoder`."""
    decode_many = spec.value.loads_many
    if not spec.timed:
        return decode_many

    def decode(data: bytes) -> list[Any]:
        times, values = _decode_timed_list(data)
        return list(zip(decode_many(values), times, strict=True))

    return decode
