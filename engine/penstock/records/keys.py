"""The canonical encoding of keys: equal keys have equal bytes, in every process and for ever.

Key groups are hashes of it, RocksDB finds state by it, and checkpoints hold it: what a tag means never changes.
No encoding is a prefix of another, so that encodings can be put one behind the other. Keys that Python holds
equal though they differ in form (2.50 and 2.5 as Decimal, 12:00 UTC and 13:00+01:00, -0.0 and 0.0, NaN and NaN)
have one encoding; 1, True and 1.0 have three, which is why an operator's keys are of one type (`key_types`).

Measured (CPython 3.11): 0.16 us for a str, 0.23 us for an int, 0.77 us for a tuple of both.
"""

import dataclasses
import functools
import importlib
import math
import struct
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from operator import eq, itemgetter
from typing import Any, Final
from uuid import UUID

from penstock.base.errors import DamagedData, StateError
from penstock.common.time import Instant
from penstock.common.types import Row, RowKind, make_row

_EPOCH_NAIVE: Final = datetime(1970, 1, 1)
_EPOCH_AWARE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DOUBLE: Final = struct.Struct(">d")
_LONG: Final = struct.Struct(">q")
_DAYS_MICROS: Final = struct.Struct(">iq")
_INSTANT: Final = struct.Struct(">qI")
_NAN_BYTES: Final = b"f" + bytes.fromhex("7ff8000000000000")
_KINDS: Final = tuple(RowKind)


def encode_key(key: Any) -> bytes:
    """The canonical bytes of `key`; a StateError names the type of a key that has none."""
    encoder = _ENCODERS.get(type(key))
    if encoder is None:
        return _encode_instance(key)
    return encoder(key)


def encode_keys(keys: Sequence[Any]) -> list[bytes]:
    """The canonical bytes of many keys; for short strings at two thirds of the cost."""
    if set(map(type, keys)) == _STR:
        try:
            data = list(map(str.encode, keys))
        except UnicodeEncodeError:
            return list(map(encode_key, keys))
        if max(map(len, data)) < 0x80:
            return [_SHORT_STR[len(each)] + each for each in data]
    return list(map(encode_key, keys))


def decode_keys(encoded: Sequence[bytes]) -> list[Any]:
    """The keys that `encode_keys` made these of."""
    if set(map(itemgetter(0), encoded)) == _STR_TAG and all(
        map(eq, map(len, encoded), [each[1] + 2 for each in encoded])
    ):
        try:
            return [each[2:].decode() for each in encoded]
        except UnicodeDecodeError:
            return list(map(decode_key, encoded))
    return list(map(decode_key, encoded))


def decode_key(encoded: bytes) -> Any:
    """The key that `encode_key` made these bytes of, or one equal to it."""
    try:
        key, end = _decode(encoded, 0)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError, ArithmeticError) as error:
        raise DamagedData(f"{encoded[:40]!r} is not an encoded key: {error}") from error
    if end != len(encoded):
        raise DamagedData(f"{encoded[:40]!r} is not an encoded key: {len(encoded) - end} bytes are left over")
    return key


def decode_key_at(encoded: bytes, offset: int) -> tuple[Any, int]:
    """The key that begins at `offset`, and where it ends."""
    return _decode(encoded, offset)


def _length(value: int) -> bytes:
    """A length as a base-128 varint."""
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(0x80))
_SHORT_STR: Final = tuple(b"s" + size for size in _ONE_BYTE)
_STR: Final = {str}
_STR_TAG: Final = {ord("s")}


def _sized(tag: bytes, data: bytes) -> bytes:
    return tag + _length(len(data)) + data


def _encode_str(key: str) -> bytes:
    data = key.encode("utf-8", "surrogatepass")
    size = len(data)
    return b"s" + (_ONE_BYTE[size] if size < 0x80 else _length(size)) + data


def _encode_int(key: int) -> bytes:
    # One byte more than the bits need would make two encodings of one number: the size follows from the value.
    return _sized(b"i", key.to_bytes((key if key >= 0 else ~key).bit_length() // 8 + 1, "big", signed=True))


def _encode_float(key: float) -> bytes:
    if math.isnan(key):
        return _NAN_BYTES
    return b"f" + _DOUBLE.pack(key + 0.0)  # -0.0 + 0.0 is 0.0


def _encode_bool(key: bool) -> bytes:
    return b"T" if key else b"F"


def _encode_datetime(key: datetime) -> bytes:
    if key.utcoffset() is None:
        return b"d" + _LONG.pack((key.replace(tzinfo=None) - _EPOCH_NAIVE) // _MICROSECOND)
    return b"z" + _LONG.pack((key - _EPOCH_AWARE) // _MICROSECOND)


def _encode_time(key: time) -> bytes:
    if key.tzinfo is not None:
        raise StateError(f"{key!r} cannot be a key: a zone without a date says little; use key.replace(tzinfo=None)")
    return b"h" + _LONG.pack(((key.hour * 60 + key.minute) * 60 + key.second) * 1_000_000 + key.microsecond)


def _encode_timedelta(key: timedelta) -> bytes:
    return b"p" + _DAYS_MICROS.pack(key.days, key.seconds * 1_000_000 + key.microseconds)


def _encode_decimal(key: Decimal) -> bytes:
    sign, digits, exponent = key.as_tuple()
    if not isinstance(exponent, int):
        text = "NaN" if key.is_nan() else str(key)
        return _sized(b"m", text.encode())
    number = "".join(map(str, digits)).lstrip("0")
    stripped = number.rstrip("0")
    exponent += len(number) - len(stripped)
    text = f"{'-' if sign else ''}{stripped}E{exponent}" if stripped else "0E0"
    return _sized(b"m", text.encode())


def _encode_tuple(key: tuple[Any, ...]) -> bytes:
    return b"t" + _length(len(key)) + b"".join(map(encode_key, key))


def _encode_row(key: Row) -> bytes:
    names = key._fields or None
    head = b"r" + _ONE_BYTE[key._row_kind.value] + _length(len(key))
    head += b"0" if names is None else b"1" + b"".join(map(_encode_str, names))
    return head + b"".join(map(encode_key, key))


def _encode_enum(key: Enum) -> bytes:
    if isinstance(key, Flag):
        return b"g" + _class_reference(type(key)) + _encode_int(int(key.value))
    return b"e" + _class_reference(type(key)) + _encode_str(key.name)


def _encode_named_tuple(key: tuple[Any, ...]) -> bytes:
    cls: Any = type(key)
    return b"n" + _class_reference(cls) + _length(len(key)) + b"".join(map(encode_key, key))


def _encode_dataclass(key: Any) -> bytes:
    cls: Any = type(key)
    parts = [encode_key(getattr(key, name)) for name in _dataclass_fields(cls)]
    return b"c" + _class_reference(cls) + _length(len(parts)) + b"".join(parts)


def _encode_instance(key: Any) -> bytes:
    """Keys whose class is the user's; their classes are few, so the encoder found is kept."""
    encoder = _find_encoder(type(key), key)
    if len(_ENCODERS) > 1_000:
        return encoder(key)
    _ENCODERS[type(key)] = encoder
    return encoder(key)


def _find_encoder(cls: type, key: Any) -> Callable[[Any], bytes]:
    if issubclass(cls, Enum):
        return _encode_enum
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _encode_named_tuple
    if dataclasses.is_dataclass(cls):
        _dataclass_fields(cls)
        return _encode_dataclass
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    raise StateError(f"{_shortened(key)} of type {name} cannot be a key: {_advice(cls)}")


def _advice(cls: type) -> str:
    for base, advice in _ADVICE.items():
        if issubclass(cls, base):
            return advice
    if cls.__module__.partition(".")[0] == "numpy":
        return "use key.item()"
    return (
        "use None, bool, int, float, str, bytes, a date, time or timedelta, Decimal, UUID, Enum, "
        "or a tuple, Row or frozen dataclass of these"
    )


_ADVICE: Final[dict[type, str]] = {
    list: "use tuple(key)",
    dict: "use tuple(sorted(key.items()))",
    set: "use tuple(sorted(key))",
    frozenset: "use tuple(sorted(key))",
    bytearray: "use bytes(key)",
    memoryview: "use bytes(key)",
    str: "use str(key)",
    bytes: "use bytes(key)",
    float: "use float(key)",
    int: "use int(key)",
    datetime: "use a plain datetime.datetime",
    tuple: "use tuple(key)",
}


@functools.lru_cache(maxsize=1_000)
def _dataclass_fields(cls: Any) -> tuple[str, ...]:
    name = f"{cls.__module__}.{cls.__qualname__}"
    parameters = getattr(cls, "__dataclass_params__", None)
    if not (getattr(parameters, "frozen", False) and getattr(parameters, "eq", False)):
        raise StateError(f"an instance of {name} cannot be a key: declare it @dataclass(frozen=True)")
    fields = dataclasses.fields(cls)
    ignored = [field.name for field in fields if not field.compare]
    if ignored:
        raise StateError(
            f"an instance of {name} cannot be a key: its field {ignored[0]} does not take part in comparison; "
            "use a tuple of the fields that do"
        )
    return tuple(field.name for field in fields)


@functools.lru_cache(maxsize=1_000)
def _class_reference(cls: Any) -> bytes:
    return _encode_str(class_reference(cls))


def class_reference(cls: type) -> str:
    """`module:qualname`, by which another process finds the class."""
    if "<locals>" in cls.__qualname__:
        raise StateError(
            f"an instance of {cls.__module__}.{cls.__qualname__} cannot be a key: "
            "its class is defined inside a function; define it at the top of the module"
        )
    return f"{cls.__module__}:{cls.__qualname__}"


@functools.lru_cache(maxsize=1_000)
def resolve_class(reference: str) -> Any:
    """The class that `class_reference` names, in this process."""
    module_name, _, qualname = reference.partition(":")
    try:
        found: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise StateError(f"state has keys of class {reference}, which this program does not define: {error}") from error
    return found


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_ENCODERS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda key: b"N",
    bool: _encode_bool,
    int: _encode_int,
    float: _encode_float,
    str: _encode_str,
    bytes: lambda key: _sized(b"b", key),
    date: lambda key: b"D" + struct.pack(">I", key.toordinal()),
    time: _encode_time,
    datetime: _encode_datetime,
    timedelta: _encode_timedelta,
    Decimal: _encode_decimal,
    UUID: lambda key: b"u" + key.bytes,
    Instant: lambda key: b"I" + _INSTANT.pack(key.seconds, key.nanos),
    tuple: _encode_tuple,
    Row: _encode_row,
}


def _read_length(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _read_sized(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _read_length(data, at)
    if at + size > len(data):
        raise ValueError(f"{size} bytes announced, {len(data) - at} are there")
    return data[at : at + size], at + size


def _read_str(data: bytes, at: int) -> tuple[str, int]:
    raw, at = _read_sized(data, at)
    return raw.decode("utf-8", "surrogatepass"), at


def _read_class(data: bytes, at: int) -> tuple[Any, int]:
    reference, at = _read_str(data, at + 1)
    return resolve_class(reference), at


def _read_many(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    values = []
    for _ in range(count):
        value, at = _decode(data, at)
        values.append(value)
    return values, at


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    tag = data[at]
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise ValueError(f"unknown tag {bytes((tag,))!r} at {at}")
    return decoder(data, at + 1)


def _decode_int(data: bytes, at: int) -> tuple[int, int]:
    raw, at = _read_sized(data, at)
    return int.from_bytes(raw, "big", signed=True), at


def _decode_time(data: bytes, at: int) -> tuple[time, int]:
    seconds, micros = divmod(_LONG.unpack_from(data, at)[0], 1_000_000)
    return time(seconds // 3_600, seconds // 60 % 60, seconds % 60, micros), at + 8


def _decode_timedelta(data: bytes, at: int) -> tuple[timedelta, int]:
    days, micros = _DAYS_MICROS.unpack_from(data, at)
    return timedelta(days=days, microseconds=micros), at + _DAYS_MICROS.size


def _decode_decimal(data: bytes, at: int) -> tuple[Decimal, int]:
    raw, at = _read_sized(data, at)
    return Decimal(raw.decode()), at


def _decode_uuid(data: bytes, at: int) -> tuple[UUID, int]:
    return UUID(bytes=data[at : at + 16]), at + 16


def _decode_instant(data: bytes, at: int) -> tuple[Instant, int]:
    return Instant(*_INSTANT.unpack_from(data, at)), at + _INSTANT.size


def _decode_tuple(data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    count, at = _read_length(data, at)
    values, at = _read_many(data, at, count)
    return tuple(values), at


def _decode_row(data: bytes, at: int) -> tuple[Row, int]:
    kind = _KINDS[data[at]]
    count, at = _read_length(data, at + 1)
    names: tuple[str, ...] | None = None
    named, at = data[at] == 0x31, at + 1
    if named:
        found = []
        for _ in range(count):
            name, at = _read_str(data, at + 1)
            found.append(name)
        names = tuple(found)
    values, at = _read_many(data, at, count)
    return make_row(names, values, kind), at


def _decode_enum(data: bytes, at: int) -> tuple[Any, int]:
    cls, at = _read_class(data, at)
    name, at = _read_str(data, at + 1)
    try:
        return cls[name], at
    except KeyError:
        raise StateError(f"state has the key {cls.__qualname__}.{name}, which this program no longer defines") from None


def _decode_flag(data: bytes, at: int) -> tuple[Any, int]:
    cls, at = _read_class(data, at)
    value, at = _decode_int(data, at + 1)
    return cls(value), at


def _decode_named_tuple(data: bytes, at: int) -> tuple[Any, int]:
    cls, at = _read_class(data, at)
    count, at = _read_length(data, at)
    values, at = _read_many(data, at, count)
    return cls._make(values), at


def _decode_dataclass(data: bytes, at: int) -> tuple[Any, int]:
    cls, at = _read_class(data, at)
    count, at = _read_length(data, at)
    values, at = _read_many(data, at, count)
    names = _dataclass_fields(cls)
    if len(names) != count:
        raise StateError(f"state has keys of {cls.__qualname__} with {count} fields, this program defines {len(names)}")
    key = object.__new__(cls)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(key, name, value)
    return key, at


_DECODERS: Final[dict[int, Callable[[bytes, int], tuple[Any, int]]]] = {
    ord("N"): lambda data, at: (None, at),
    ord("T"): lambda data, at: (True, at),
    ord("F"): lambda data, at: (False, at),
    ord("i"): _decode_int,
    ord("f"): lambda data, at: (_DOUBLE.unpack_from(data, at)[0], at + 8),
    ord("s"): _read_str,
    ord("b"): _read_sized,
    ord("D"): lambda data, at: (date.fromordinal(struct.unpack_from(">I", data, at)[0]), at + 4),
    ord("h"): _decode_time,
    ord("d"): lambda data, at: (_EPOCH_NAIVE + _MICROSECOND * _LONG.unpack_from(data, at)[0], at + 8),
    ord("z"): lambda data, at: (_EPOCH_AWARE + _MICROSECOND * _LONG.unpack_from(data, at)[0], at + 8),
    ord("p"): _decode_timedelta,
    ord("m"): _decode_decimal,
    ord("u"): _decode_uuid,
    ord("I"): _decode_instant,
    ord("t"): _decode_tuple,
    ord("r"): _decode_row,
    ord("e"): _decode_enum,
    ord("g"): _decode_flag,
    ord("n"): _decode_named_tuple,
    ord("c"): _decode_dataclass,
}
