"""Declared types as Arrow's, and columns of values to and from it. PyArrow is imported on first use: it takes 0.3 s."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from penstock.base.errors import JobDefinitionError
from penstock.common import type_infos
from penstock.common.time import Instant
from penstock.common.type_infos import BasicType, RowTypeInfo, TypeInformation, unwrapped
from penstock.common.types import Row, make_row

Column = Sequence[Any]
ConvertColumn = Callable[[Column], Column]

DECIMAL_DIGITS: Final = 38
DECIMAL_SCALE: Final = 18
"""Of BIG_DEC, whose type says nothing about digits: Flink's defaults."""

_BASICS: Final = {
    BasicType.STRING: "string",
    BasicType.CHAR: "string",
    BasicType.BOOLEAN: "bool_",
    BasicType.BYTE: "int8",
    BasicType.SHORT: "int16",
    BasicType.INT: "int32",
    BasicType.LONG: "int64",
    BasicType.FLOAT: "float32",
    BasicType.DOUBLE: "float64",
}
_ELEMENTS: Final = (
    type_infos.PrimitiveArrayTypeInfo,
    type_infos.BasicArrayTypeInfo,
    type_infos.ObjectArrayTypeInfo,
    type_infos.ListTypeInfo,
)


def arrow_schema(row_type: RowTypeInfo) -> Any:
    """The schema of a table of such rows."""
    import pyarrow as pa

    pairs = zip(row_type.get_field_names(), row_type.get_field_types(), strict=True)
    return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in pairs])


def arrow_type(type_info: TypeInformation) -> Any:
    """Arrow's type for a declared one."""
    import pyarrow as pa

    kind = unwrapped(type_info)
    if isinstance(kind, type_infos.BasicTypeInfo):
        return _basic_type(kind.basic_type)
    if isinstance(kind, type_infos.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return pa.binary()
    if isinstance(kind, _ELEMENTS):
        return pa.list_(arrow_type(kind.element_type))
    if isinstance(kind, type_infos.MapTypeInfo):
        return pa.map_(arrow_type(kind.key_type), arrow_type(kind.value_type))
    if isinstance(kind, type_infos.RowTypeInfo):
        return pa.struct(list(arrow_schema(kind)))
    if isinstance(kind, type_infos.DateTypeInfo):
        return pa.date32()
    if isinstance(kind, type_infos.TimeTypeInfo):
        return pa.time64("us")
    if isinstance(kind, type_infos.TimestampTypeInfo):
        return pa.timestamp("us")
    raise JobDefinitionError(f"{kind} has no counterpart in Parquet; use scalar types, LIST, MAP and ROW")


def _basic_type(basic: BasicType) -> Any:
    import pyarrow as pa

    if basic is BasicType.BIG_INT:
        return pa.decimal128(DECIMAL_DIGITS, 0)
    if basic is BasicType.BIG_DEC:
        return pa.decimal128(DECIMAL_DIGITS, DECIMAL_SCALE)
    if basic is BasicType.INSTANT:
        return pa.timestamp("us", "UTC")
    return getattr(pa, _BASICS[basic])()


def to_arrow(type_info: TypeInformation) -> ConvertColumn | None:
    """How a column of values becomes what PyArrow takes; None: it takes them as they are."""
    convert = _to_arrow(unwrapped(type_info))
    return None if convert is None else _each(convert)


def from_arrow(type_info: TypeInformation, *, to_utc: bool) -> ConvertColumn | None:
    """How a column of what PyArrow gives becomes values; None: they are what it gives."""
    convert = _from_arrow(unwrapped(type_info), to_utc)
    return None if convert is None else _each(convert)


def _each(convert: Callable[[Any], Any]) -> ConvertColumn:
    return lambda values: [None if value is None else convert(value) for value in values]


def _to_arrow(kind: TypeInformation) -> Callable[[Any], Any] | None:
    if isinstance(kind, type_infos.BasicTypeInfo):
        return _TO_ARROW.get(kind.basic_type)
    if isinstance(kind, type_infos.RowTypeInfo):
        return _row_to_struct(kind)
    if isinstance(kind, type_infos.MapTypeInfo):
        inner = _to_arrow(unwrapped(kind.value_type)) or _as_it_is
        return lambda value: [(key, None if each is None else inner(each)) for key, each in value.items()]
    if isinstance(kind, _ELEMENTS) and not (isinstance(kind, type_infos.PrimitiveArrayTypeInfo) and kind.is_bytes()):
        return _list_converter(_to_arrow(unwrapped(kind.element_type)))
    return None


def _from_arrow(kind: TypeInformation, to_utc: bool) -> Callable[[Any], Any] | None:
    if isinstance(kind, type_infos.BasicTypeInfo):
        return _FROM_ARROW.get(kind.basic_type)
    if isinstance(kind, type_infos.TimestampTypeInfo):
        return _utc_timestamp if to_utc else _local_timestamp
    if isinstance(kind, type_infos.RowTypeInfo):
        return _struct_to_row(kind, to_utc)
    if isinstance(kind, type_infos.MapTypeInfo):
        inner = _from_arrow(unwrapped(kind.value_type), to_utc) or _as_it_is
        return lambda value: {key: None if each is None else inner(each) for key, each in value}
    if isinstance(kind, _ELEMENTS) and not (isinstance(kind, type_infos.PrimitiveArrayTypeInfo) and kind.is_bytes()):
        return _list_converter(_from_arrow(unwrapped(kind.element_type), to_utc))
    return None


def _list_converter(inner: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    return None if inner is None else lambda value: [None if each is None else inner(each) for each in value]


def _row_to_struct(kind: RowTypeInfo) -> Callable[[Any], Any]:
    names = kind.get_field_names()
    converters = [_to_arrow(unwrapped(each)) or _as_it_is for each in kind.get_field_types()]

    def convert(row: Any) -> dict[str, Any]:
        triples = zip(names, converters, row, strict=True)
        return {name: None if value is None else inner(value) for name, inner, value in triples}

    return convert


def _struct_to_row(kind: RowTypeInfo, to_utc: bool) -> Callable[[Any], Row]:
    names, declared = kind.get_field_names(), kind.names_of_rows
    converters = [_from_arrow(unwrapped(each), to_utc) or _as_it_is for each in kind.get_field_types()]

    def convert(struct: Any) -> Row:
        pairs = [(struct[name], inner) for name, inner in zip(names, converters, strict=True)]
        return make_row(declared, [None if value is None else inner(value) for value, inner in pairs])

    return convert


def _instant_to_micros(value: Instant) -> int:
    return value.seconds * 1_000_000 + value.nanos // 1_000


def _instant_of(value: datetime) -> Instant:
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    whole = aware.replace(microsecond=0)
    return Instant(int(whole.timestamp()), aware.microsecond * 1_000)


def _utc_timestamp(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)


def _local_timestamp(value: datetime) -> datetime:
    return value if value.tzinfo is None else value.astimezone().replace(tzinfo=None)


def _as_it_is(value: Any) -> Any:
    return value


_TO_ARROW: Final[dict[BasicType, Callable[[Any], Any]]] = {
    BasicType.BIG_INT: Decimal,
    BasicType.INSTANT: _instant_to_micros,
}
_FROM_ARROW: Final[dict[BasicType, Callable[[Any], Any]]] = {
    BasicType.BIG_INT: int,
    BasicType.INSTANT: _instant_of,
}
