"""How values, map keys, keys and namespaces become bytes: the records layer's serializers, many values at a time.

Called by both backends and by operator state. Failures to serialise come out as StateError.
"""

import pickle
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState
from penstock.common.typeinfo import TypeInformation
from penstock.records.keys import decode_key, encode_key

Migration = Callable[[Any], Any]
"""From a value of the old type to one of the new."""


class Codec(Protocol):
    """Values of one type, to bytes and back."""

    def encode(self, value: Any) -> bytes: ...

    def decode(self, data: bytes) -> Any: ...

    def encode_many(self, values: Sequence[Any]) -> bytes: ...

    def decode_many(self, data: bytes) -> list[Any]: ...

    def snapshot(self) -> dict[str, Any]:
        """What `codec_from` makes this codec of, in another process."""

    def describe(self) -> str:
        """The type, for people."""


@final
class PickleCodec:
    """Any Python object."""

    def encode(self, value: Any) -> bytes:
        return pickle.dumps(value, 5)

    def decode(self, data: bytes) -> Any:
        return pickle.loads(data)

    def encode_many(self, values: Sequence[Any]) -> bytes:
        return pickle.dumps(list(values), 5)

    def decode_many(self, data: bytes) -> list[Any]:
        found: list[Any] = pickle.loads(data)
        return found

    def snapshot(self) -> dict[str, Any]:
        return {"type": "pickle"}

    def describe(self) -> str:
        return "any Python object"


def codec_for(type_info: TypeInformation) -> Codec:
    """The codec of a declared type."""
    return PickleCodec()


def codec_from(snapshot: dict[str, Any]) -> Codec:
    """The codec that wrote a checkpoint."""
    return PickleCodec()


def migration(old: Codec, new: Codec, where: str) -> Migration | None:
    """None if bytes of the old can be read as the new; IncompatibleState, which names both types, if nothing helps."""
    if old.snapshot() == new.snapshot():
        return None
    raise IncompatibleState(f"{where} has type {old.describe()} in the checkpoint and {new.describe()} now")


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
