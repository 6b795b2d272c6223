"""What the records layer's serializers do not say: lists of keys in snapshots, and whether a stored type fits.

Called by both backends and by operator state. Pure.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState
from penstock.common.typeinfo import PickledBytesTypeInfo
from penstock.records.keys import decode_key, encode_key
from penstock.records.serializers import Compatible, Incompatible, Migrate, Serializer, check_compatible

Migration = Callable[[Any], Any]
"""From a value of the old type to one of the new."""


def migration(old: Serializer, new: Serializer, where: str) -> Migration | None:
    """None if bytes of the old can be read as the new; IncompatibleState, which names both types, if nothing helps."""
    match check_compatible(old.snapshot(), new):
        case Compatible():
            return None
        case Migrate(function):
            return function
        case Incompatible(reason):
            raise IncompatibleState(f"{where} has type {old.name} in the checkpoint and {new.name} now: {reason}")


_KINDS: Final = {str: b"s", int: b"i", bytes: b"b"}


def encode_keys(keys: Sequence[Any]) -> bytes:
    """Keys or namespaces: compact where all are str, int or bytes, else in their canonical form."""
    kinds = set(map(type, keys))
    tag = _KINDS.get(next(iter(kinds))) if len(kinds) == 1 else None
    if tag is not None:
        try:
            return tag + msgspec.msgpack.encode(keys if type(keys) is list else list(keys))
        except (OverflowError, UnicodeEncodeError, msgspec.MsgspecError):
            pass  # Numbers beyond 64 bits, lone surrogates.
    return b"k" + msgspec.msgpack.encode(list(map(encode_key, keys)))


_decode_list: Final = msgspec.msgpack.Decoder(list[Any]).decode
_decode_bytes_list: Final = msgspec.msgpack.Decoder(list[bytes]).decode


def decode_keys(data: bytes) -> list[Any]:
    """What `encode_keys` took."""
    try:
        if data[:1] in (b"s", b"i", b"b"):
            return _decode_list(memoryview(data)[1:])
        return list(map(decode_key, _decode_bytes_list(memoryview(data)[1:])))
    except (IndexError, msgspec.MsgspecError) as error:
        raise DamagedData(f"keys of a snapshot cannot be read: {error}") from error


def loads_each(serializer: Serializer, data: Sequence[bytes]) -> list[Any]:
    """What `dumps` made of each value. Declared ones are read together: in MessagePack an array is its elements."""
    if not isinstance(serializer.type_info, PickledBytesTypeInfo) and data:
        head = b"\xdd" + len(data).to_bytes(4, "big")
        try:
            return serializer.loads_many(head + b"".join(data))
        except DamagedData:
            pass  # One of them travelled in pickle, or is damaged: found out one by one.
    return list(map(serializer.loads, data))
