"""What a declared type does to the values that are emitted under it.

`coercer(type)` gives a function that answers a value as the type has it: FLOAT rounded to 32 bits, a float for INT
truncated, a plain tuple, list, dict or dataclass for a ROW made a `Row`. What cannot be made to fit raises
`ValueMismatch` with the path to the part that does not. A value that fits already is answered itself, anything
else is a new object that shares nothing mutable with the old one. None passes as a whole, and in the fields of a
ROW, the values of a MAP and the elements of object arrays; never in a TUPLE or LIST.

The functions are compiled once per type. Measured (CPython 3.11), values that fit: 46 ns for INT, 84 ns for a TUPLE
of STRING and INT, 200 ns for a ROW of the same; 1.3 us for a ROW made of a dict, 240 ns for a FLOAT.
"""

import copy
import dataclasses
import functools
import operator
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from penstock.base.errors import ValueMismatch
from penstock.common import typeinfo
from penstock.common.time import Instant
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped
from penstock.common.types import Row, make_row

Coercer = Callable[[Any], Any]

_FLOAT: Final = struct.Struct("<f")
_RANGES: Final = {
    BasicType.BYTE: (-(2**7), 2**7 - 1),
    BasicType.SHORT: (-(2**15), 2**15 - 1),
    BasicType.INT: (-(2**31), 2**31 - 1),
    BasicType.LONG: (-(2**63), 2**63 - 1),
}
_EXACT: Final = {BasicType.STRING: str, BasicType.BOOLEAN: bool, BasicType.DOUBLE: float, BasicType.BIG_INT: int}
_SHARED: Final = frozenset((type(None), bool, int, float, str, bytes, complex, date, datetime, time, Decimal, Instant))
"""Classes whose instances cannot change."""


class _Misfit(Exception):
    """What was expected and found; each container on the way out puts its step before the path."""

    def __init__(self, expected: str, found: Any) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found
        self.path = ""


@functools.lru_cache(maxsize=1_000)
def coercer(type_info: TypeInformation | None) -> Coercer:
    """The function for a type; `as_it_is` for an undeclared one."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.PickledBytesTypeInfo):
        return as_it_is
    coerce = _whole(kind, _make(kind))
    fits = _condition(kind, "value")
    if fits is None:
        return coerce
    source = f"def coerce_if_needed(value):\n    if {fits}:\n        return value\n    return coerce(value)\n"
    names: dict[str, Any] = {"coerce": coerce, "Row": Row}
    exec(source, names)  # The text is made of class names, ranges and field names in repr only.
    compiled: Coercer = names["coerce_if_needed"]
    return compiled


def as_it_is(value: Any) -> Any:
    """Nothing to do."""
    return value


def _whole(kind: TypeInformation, coerce: Coercer) -> Coercer:
    def coerce_whole(value: Any) -> Any:
        if value is None:
            return None
        try:
            return coerce(value)
        except _Misfit as misfit:
            where = f" in value{misfit.path}" if misfit.path else ""
            raise ValueMismatch(
                f"expected {misfit.expected}{where}, found {_shortened(misfit.found)} "
                f"({type(misfit.found).__qualname__}); the declared type is {kind}"
            ) from None

    return coerce_whole


def _condition(kind: TypeInformation, value: str) -> str | None:
    """A Python expression that is true if the value fits as it is; None if that cannot be said cheaply."""
    if isinstance(kind, typeinfo.BasicTypeInfo):
        basic = kind.basic_type
        if basic in _RANGES:
            smallest, largest = _RANGES[basic]
            return f"type({value}) is int and {smallest} <= {value} <= {largest}"
        return f"type({value}) is {_EXACT[basic].__name__}" if basic in _EXACT else None
    if isinstance(kind, typeinfo.TupleTypeInfo):
        fields = kind.get_field_types()
        parts = [_condition(unwrapped(field), f"{value}[{at}]") for at, field in enumerate(fields)]
        return _all(f"type({value}) is tuple and len({value}) == {len(fields)}", parts)
    if isinstance(kind, typeinfo.RowTypeInfo):
        fields = kind.get_field_types()
        parts = []
        for at, field in enumerate(fields):
            part = f"{value}._values[{at}]"
            inner = _condition(unwrapped(field), part)
            parts.append(None if inner is None else f"({part} is None or {inner})")
        same_names = f"{value}._fields == {kind.names_of_rows!r}"
        return _all(f"type({value}) is Row and {same_names} and len({value}._values) == {len(fields)}", parts)
    return None


def _all(head: str, parts: list[str | None]) -> str | None:
    known = [part for part in parts if part is not None]
    return " and ".join([head, *known]) if len(known) == len(parts) else None


def _make(kind: TypeInformation) -> Coercer:
    """The function for values that are not None; it raises `_Misfit`."""
    if isinstance(kind, typeinfo.BasicTypeInfo):
        return _make_basic(kind.basic_type)
    if isinstance(kind, typeinfo.TupleTypeInfo):
        return _make_tuple(kind)
    if isinstance(kind, typeinfo.RowTypeInfo):
        return _make_row(kind)
    if isinstance(kind, typeinfo.MapTypeInfo):
        return _make_map(kind)
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return _to_bytes
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo | typeinfo.ListTypeInfo):
        return _make_list(kind.element_type, "elements are never None")
    if isinstance(kind, typeinfo.BasicArrayTypeInfo | typeinfo.ObjectArrayTypeInfo):
        return _make_list(kind.element_type, None)
    return _TIMES.get(type(kind), _detached)


def _make_basic(basic: BasicType) -> Coercer:
    if basic in _RANGES:
        return _make_integer(basic.name, *_RANGES[basic])
    return _BASICS[basic]


def _make_integer(name: str, smallest: int, largest: int) -> Coercer:
    expected = f"{name} (a whole number from {smallest} to {largest})"

    def to_integer(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, float) else operator.index(value)
        except (TypeError, ValueError, OverflowError):
            raise _Misfit(expected, value) from None
        if not smallest <= number <= largest:
            raise _Misfit(expected, value)
        return number

    return to_integer


def _to_string(value: Any) -> str:
    if not isinstance(value, str):
        raise _Misfit("STRING", value)
    return str(value)


def _to_char(value: Any) -> str:
    if not isinstance(value, str) or len(value) != 1:
        raise _Misfit("CHAR (a str of one character)", value)
    return value


def _to_boolean(value: Any) -> bool:
    if not isinstance(value, int) and type(value).__name__ not in ("bool_", "bool"):
        raise _Misfit("BOOLEAN", value)
    return bool(value)


def _to_double(value: Any) -> float:
    if isinstance(value, str | bytes) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _Misfit("DOUBLE", value)
    return float(value)


def _to_float(value: Any) -> float:
    if isinstance(value, str | bytes) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _Misfit("FLOAT", value)
    number = float(value)
    try:
        rounded: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")
    return rounded


def _to_big_integer(value: Any) -> int:
    try:
        return int(value) if isinstance(value, float) else operator.index(value)
    except (TypeError, ValueError, OverflowError):
        raise _Misfit("BIG_INT (a whole number)", value) from None


def _to_decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    raise _Misfit("BIG_DEC (a Decimal)", value)


def _to_instant(value: Any) -> Instant:
    if not isinstance(value, Instant):
        raise _Misfit("INSTANT (a penstock.common.Instant)", value)
    return value


def _to_date(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if not isinstance(value, date):
        raise _Misfit("SQL_DATE (a datetime.date)", value)
    return value


def _to_time(value: Any) -> time:
    if not isinstance(value, time):
        raise _Misfit("SQL_TIME (a datetime.time)", value)
    return value.replace(tzinfo=None) if value.tzinfo is not None else value


def _to_timestamp(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _Misfit("SQL_TIMESTAMP (a datetime.datetime)", value)
    if value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)  # The same on every machine, whatever its own zone.
    return value


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    try:
        return bytes(number & 0xFF for number in map(operator.index, value) if -128 <= number <= 255 or _out(number))
    except (TypeError, OverflowError):
        raise _Misfit("PRIMITIVE_ARRAY of BYTE (bytes)", value) from None


def _out(number: int) -> bool:
    raise OverflowError(number)


def _detached(value: Any) -> Any:
    """An undeclared part: any object, no longer shared with the function that emitted it."""
    return value if type(value) in _SHARED else copy.deepcopy(value)


def _make_tuple(kind: typeinfo.TupleTypeInfo) -> Coercer:
    fields = kind.get_field_types()
    parts = [_required(_make(unwrapped(field)), "a TUPLE's fields are never None") for field in fields]
    size = len(parts)
    expected = f"TUPLE of {size} fields"

    def to_tuple(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple | list | Row) or len(value) != size:
            raise _Misfit(expected, value)
        found = []
        for at, part in enumerate(value):
            try:
                found.append(parts[at](part))
            except _Misfit as misfit:
                misfit.path = f"[{at}]{misfit.path}"
                raise
        return tuple(found)

    return to_tuple


def _make_row(kind: typeinfo.RowTypeInfo) -> Coercer:
    names = kind.get_field_names()
    declared = kind.names_of_rows
    parts = [_optional(_make(unwrapped(field))) for field in kind.get_field_types()]
    expected = f"ROW of {len(parts)} fields ({', '.join(names)})"

    def to_row(value: Any) -> Row:
        fields = _row_fields(value, names, kind.declared_names is not None, expected)
        if len(fields) != len(parts):
            raise _Misfit(expected, value)
        found = []
        for at, part in enumerate(fields):
            try:
                found.append(parts[at](part))
            except _Misfit as misfit:
                misfit.path = f".{names[at]}{misfit.path}"
                raise
        if type(value) is Row:
            return make_row(declared, found, value.get_row_kind())
        return make_row(declared, found)

    return to_row


def _row_fields(value: Any, names: list[str], named: bool, expected: str) -> list[Any]:
    """The fields of whatever may stand for a row, in the order of the declaration."""
    if isinstance(value, Row):
        given = value._fields
        if not given or list(given) == names:
            return value._values
        missing = [name for name in names if name not in given]
        if not missing:
            return value.get_fields_by_names(names)
        if named:
            raise _Misfit(f"{expected}, and {missing[0]!r} among them", value)
        return value._values  # No names were declared: position counts.
    if isinstance(value, tuple | list):
        return list(value)
    if isinstance(value, Mapping):
        unknown = [key for key in value if key not in names]
        if unknown:
            raise _Misfit(f"{expected}, without {unknown[0]!r}", value)
        return [value.get(name) for name in names]
    if dataclasses.is_dataclass(value) or hasattr(value, "__dict__"):
        missing = [name for name in names if not hasattr(value, name)]
        if not missing:
            return [getattr(value, name) for name in names]
    raise _Misfit(expected, value)


def _make_map(kind: typeinfo.MapTypeInfo) -> Coercer:
    to_key = _required(_make(unwrapped(kind.key_type)), "keys are never None")
    to_value = _optional(_make(unwrapped(kind.value_type)))

    def to_map(value: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise _Misfit("MAP (a dict)", value)
        found = {}
        for key, item in value.items():
            try:
                found[to_key(key)] = to_value(item)
            except _Misfit as misfit:
                misfit.path = f"[{key!r}]{misfit.path}"
                raise
        return found

    return to_map


def _make_list(element_type: TypeInformation, never_none: str | None) -> Coercer:
    inner = _make(unwrapped(element_type))
    to_element = _optional(inner) if never_none is None else _required(inner, never_none)

    def to_list(value: Any) -> list[Any]:
        if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
            raise _Misfit("a list", value)
        found = []
        for at, element in enumerate(value):
            try:
                found.append(to_element(element))
            except _Misfit as misfit:
                misfit.path = f"[{at}]{misfit.path}"
                raise
        return found

    return to_list


def _optional(coerce: Coercer) -> Coercer:
    return lambda value: None if value is None else coerce(value)


def _required(coerce: Coercer, why: str) -> Coercer:
    def coerce_required(value: Any) -> Any:
        if value is None:
            raise _Misfit(f"a value ({why})", value)
        return coerce(value)

    return coerce_required


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_BASICS: Final[dict[BasicType, Coercer]] = {
    BasicType.STRING: _to_string,
    BasicType.CHAR: _to_char,
    BasicType.BOOLEAN: _to_boolean,
    BasicType.FLOAT: _to_float,
    BasicType.DOUBLE: _to_double,
    BasicType.BIG_INT: _to_big_integer,
    BasicType.BIG_DEC: _to_decimal,
    BasicType.INSTANT: _to_instant,
}
_TIMES: Final[dict[type, Coercer]] = {
    typeinfo.DateTypeInfo: _to_date,
    typeinfo.TimeTypeInfo: _to_time,
    typeinfo.TimestampTypeInfo: _to_timestamp,
}
