"""Values of declared types as the texts of CSV fields and JSON strings, and back. Pure; compiled once per type.

Reading raises ValueError on what is no such value; who reads says where that stood.
"""

import base64
import struct
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from penstock.base.errors import JobDefinitionError
from penstock.common import type_infos
from penstock.common.printing import file_formatter
from penstock.common.time import Instant
from penstock.common.type_infos import BasicType, TypeInformation, unwrapped

FromText = Callable[[str], Any]
ToText = Callable[[Any], str]

_FLOAT: Final = struct.Struct("<f")
WHOLE_NUMBER_BITS: Final = {BasicType.BYTE: 8, BasicType.SHORT: 16, BasicType.INT: 32, BasicType.LONG: 64}


def from_text(type_info: TypeInformation) -> FromText:
    """How a text is read as a value of a scalar type."""
    kind = unwrapped(type_info)
    if isinstance(kind, type_infos.BasicTypeInfo):
        bits = WHOLE_NUMBER_BITS.get(kind.basic_type)
        return _BASICS[kind.basic_type] if bits is None else _whole_number(kind.basic_type.name, bits)
    if isinstance(kind, type_infos.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return _bytes
    found = _TIMES.get(type(kind))
    if found is None:
        raise JobDefinitionError(f"{kind} cannot be read from a single text; use scalar types")
    return found


def to_text(type_info: TypeInformation) -> ToText:
    """How a value of a scalar type is written."""
    kind = unwrapped(type_info)
    if isinstance(kind, type_infos.TimestampTypeInfo):
        return timestamp_text
    if isinstance(kind, type_infos.TimeTypeInfo):
        return time.isoformat
    if isinstance(kind, type_infos.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return lambda value: base64.b64encode(value).decode("ascii")
    return file_formatter(kind)


def timestamp_text(value: datetime) -> str:
    """As SQL writes it: `2026-02-03 04:05:06.7`, the fraction only where there is one."""
    text = value.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{value.microsecond:06d}".rstrip("0") if value.microsecond else text


def instant_of(text: str) -> Instant:
    """From ISO 8601, to the nanosecond."""
    head, _, tail = text.strip().removesuffix("Z").partition(".")
    moment = datetime.fromisoformat(f"{head}+00:00")
    if tail and not tail.isdecimal():
        raise ValueError(f"{text!r} is no instant")
    return Instant(int(moment.timestamp()), int(tail[:9].ljust(9, "0")) if tail else 0)


def _whole_number(name: str, bits: int) -> FromText:
    smallest, largest = -(1 << bits - 1), (1 << bits - 1) - 1

    def read(text: str) -> int:
        number = int(text)
        if not smallest <= number <= largest:
            raise ValueError(f"{text} is no {name}: expected {smallest} to {largest}")
        return number

    return read


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return word == "true"


def _float(text: str) -> float:
    number = float(text)
    try:
        rounded: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return rounded


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except ArithmeticError:
        raise ValueError(f"{text!r} is no decimal number") from None


def _character(text: str) -> str:
    if len(text) != 1:
        raise ValueError(f"{text!r} is not one character")
    return text


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


_BASICS: Final[dict[BasicType, FromText]] = {
    BasicType.STRING: str,
    BasicType.BOOLEAN: _boolean,
    BasicType.FLOAT: _float,
    BasicType.DOUBLE: float,
    BasicType.CHAR: _character,
    BasicType.BIG_INT: int,
    BasicType.BIG_DEC: _decimal,
    BasicType.INSTANT: instant_of,
}
_TIMES: Final[dict[type, FromText]] = {
    type_infos.DateTypeInfo: lambda text: date.fromisoformat(text.strip()),
    type_infos.TimeTypeInfo: lambda text: time.fromisoformat(text.strip()),
    type_infos.TimestampTypeInfo: lambda text: datetime.fromisoformat(text.strip().removesuffix("Z")),
}
