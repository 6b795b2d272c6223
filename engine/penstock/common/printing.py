"""How values of declared types read when they are printed or written as lines.

`formatter(type)` is for `print()`: undeclared values and rows as Python prints them, TUPLE and everything else that is
declared as Java does. `file_formatter(type)` is for text files, where rows are Java's too: `+I[a, null]`.
Values are expected as their coercer left them. Compiled once per type; 0.7 us for a TUPLE of STRING and INT.
"""

import functools
import math
import struct
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

from penstock.common import typeinfo
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped
from penstock.common.types import Row

Formatter = Callable[[Any], str]

_FLOAT: Final = struct.Struct("<f")


@functools.lru_cache(maxsize=1_000)
def formatter(type_info: TypeInformation | None) -> Formatter:
    """The text of a record for `print()`."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.PickledBytesTypeInfo) or kind == typeinfo.Types.STRING():
        return str
    if isinstance(kind, typeinfo.RowTypeInfo):
        return _printed_row
    text = _make(kind)
    return lambda value: "None" if value is None else text(value)


@functools.lru_cache(maxsize=1_000)
def file_formatter(type_info: TypeInformation | None) -> Formatter:
    """The text of a record for a line of a file."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.PickledBytesTypeInfo) or kind == typeinfo.Types.STRING():
        return str
    return _java(kind)


def _printed_row(value: Row | None) -> str:
    return "None" if value is None else f"{value.get_row_kind()}[{','.join(map(str, value))}]"


def double_text(value: float) -> str:
    """As Java prints a double: `2.0`, `1.0E10`, `NaN`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    return _scientific(repr(value))


def float_text(value: float) -> str:
    """As Java prints a float: the shortest number that rounds to the same 32 bits."""
    if not math.isfinite(value) or value == 0:
        return double_text(value)
    packed = _FLOAT.pack(value)
    for digits in range(1, 10):
        short = f"{value:.{digits}g}"
        try:
            if _FLOAT.pack(float(short)) == packed:
                return double_text(float(short))
        except OverflowError:
            continue  # Rounded up beyond the largest float: one digit more.
    return double_text(value)


def timestamp_text(value: datetime) -> str:
    """As java.sql.Timestamp: `2026-02-03 00:00:00.0`."""
    fraction = f"{value.microsecond:06d}".rstrip("0") or "0"
    return f"{value.strftime('%Y-%m-%d %H:%M:%S')}.{fraction}"


def _scientific(digits_and_exponent: str) -> str:
    sign, digits, exponent = Decimal(digits_and_exponent).as_tuple()
    assert isinstance(exponent, int)
    number = "".join(map(str, digits)).rstrip("0") or "0"
    exponent += len(digits) - 1
    return f"{'-' if sign else ''}{number[0]}.{number[1:] or '0'}E{exponent}"


def _java(kind: TypeInformation) -> Formatter:
    """Java's text of a part: None is null."""
    text = _make(kind)
    return lambda value: "null" if value is None else text(value)


def _make(kind: TypeInformation) -> Formatter:
    if isinstance(kind, typeinfo.BasicTypeInfo):
        return _BASICS.get(kind.basic_type, str)
    if isinstance(kind, typeinfo.TupleTypeInfo):
        return _make_tuple([_java(unwrapped(field)) for field in kind.get_field_types()])
    if isinstance(kind, typeinfo.RowTypeInfo):
        return _make_row([_java(unwrapped(field)) for field in kind.get_field_types()])
    if isinstance(kind, typeinfo.MapTypeInfo):
        return _make_map(_java(unwrapped(kind.key_type)), _java(unwrapped(kind.value_type)))
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return _bytes_text
    if isinstance(
        kind,
        typeinfo.ListTypeInfo
        | typeinfo.PrimitiveArrayTypeInfo
        | typeinfo.BasicArrayTypeInfo
        | typeinfo.ObjectArrayTypeInfo,
    ):
        return _make_list(_java(unwrapped(kind.element_type)))
    return _TIMES.get(type(kind), str)


def _make_tuple(parts: list[Formatter]) -> Formatter:
    def text(value: Any) -> str:
        return "(" + ",".join([part(field) for part, field in zip(parts, value, strict=True)]) + ")"

    return text


def _make_row(parts: list[Formatter]) -> Formatter:
    def text(value: Row) -> str:
        fields = ", ".join([part(field) for part, field in zip(parts, value, strict=True)])
        return f"{value.get_row_kind()}[{fields}]"

    return text


def _make_map(key_text: Formatter, value_text: Formatter) -> Formatter:
    return lambda value: "{" + ", ".join([f"{key_text(k)}={value_text(v)}" for k, v in value.items()]) + "}"


def _make_list(element_text: Formatter) -> Formatter:
    return lambda value: "[" + ", ".join(map(element_text, value)) + "]"


def _boolean_text(value: bool) -> str:
    return "true" if value else "false"


def _bytes_text(value: bytes) -> str:
    return "[" + ", ".join([str(byte - 256 if byte > 127 else byte) for byte in value]) + "]"


def _object_text(value: Any) -> str:
    return _bytes_text(bytes(value)) if isinstance(value, bytes | bytearray) else str(value)


def _time_text(value: time) -> str:
    return value.strftime("%H:%M:%S")


_BASICS: Final[dict[BasicType, Formatter]] = {
    BasicType.BOOLEAN: _boolean_text,
    BasicType.FLOAT: float_text,
    BasicType.DOUBLE: double_text,
    BasicType.INSTANT: lambda value: value.to_iso(),
}
_TIMES: Final[dict[type, Formatter]] = {
    typeinfo.DateTypeInfo: date.isoformat,
    typeinfo.TimeTypeInfo: _time_text,
    typeinfo.TimestampTypeInfo: timestamp_text,
    typeinfo.PickledBytesTypeInfo: _object_text,
}
