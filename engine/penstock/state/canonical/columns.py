"""Columns of values as Arrow arrays and back, by declared type or by the structure of keys. Pure.

    STRING, CHAR, BOOLEAN, numbers    Arrow's types of the same size
    BIG_INT                           decimal128(38, 0)
    BIG_DEC, UUID, Enum               text
    SQL_DATE, SQL_TIME, SQL_TIMESTAMP date32, time64[us], timestamp[us]
    INSTANT                           struct(seconds int64, nanos int32)
    TUPLE, ROW, dataclasses           struct; fields without names are f0, f1...
    LIST and arrays                   list; binary for PRIMITIVE_ARRAY of BYTE
    MAP                               map
    undeclared                        pickle, as binary

Work is by column: nothing is called per value where Arrow or a comprehension can do it. What a type has no exact form
for (numbers beyond 128 bits, lone surrogates, rows that are no insertions) raises `Unfit`; `rows` then keeps it aside.
"""

import dataclasses
import pickle
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from itertools import accumulate, chain, pairwise, repeat
from operator import attrgetter, is_not
from typing import Any, Final, Protocol, final
from uuid import UUID

import pyarrow as pa

from penstock.common import typeinfo
from penstock.common.time import Instant
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped
from penstock.common.types import Row, RowKind, make_row
from penstock.records.key_types import KeyType


class Unfit(Exception):
    """A value has no exact form in a column of this type."""


MISFITS: Final = (Unfit, pa.ArrowException, OverflowError, UnicodeEncodeError)


class Codec(Protocol):
    """Values of one type, as a column."""

    type: Any
    """Arrow's."""
    is_exact: bool
    """Whether the column alone gives the values back; if not it is there to be read by people."""

    def to_arrow(self, values: Sequence[Any]) -> Any:
        """None becomes null. One of `MISFITS` if a value does not fit."""

    def from_arrow(self, array: Any) -> list[Any]:
        """What `to_arrow` took."""


@final
class Plain:
    """What Arrow takes and gives as it is."""

    is_exact = True

    def __init__(self, kind: Any) -> None:
        self.type = kind

    def to_arrow(self, values: Sequence[Any]) -> Any:
        return pa.array(values, self.type)

    def from_arrow(self, array: Any) -> list[Any]:
        found: list[Any] = array.to_pylist()
        return found


@final
class Converted:
    """What Arrow takes in another form."""

    def __init__(
        self, kind: Any, out: Callable[[Any], Any], back: Callable[[Any], Any], *, is_exact: bool = True
    ) -> None:
        self.type = kind
        self.is_exact = is_exact
        self._out = out
        self._back = back

    def to_arrow(self, values: Sequence[Any]) -> Any:
        out = self._out
        return pa.array([None if value is None else out(value) for value in values], self.type)

    def from_arrow(self, array: Any) -> list[Any]:
        back = self._back
        return [None if value is None else back(value) for value in array.to_pylist()]


@final
class Elements:
    """Lists."""

    is_exact = True

    def __init__(self, element: Codec) -> None:
        self.type = pa.list_(pa.field("element", element.type))
        self._element = element

    def to_arrow(self, values: Sequence[Any]) -> Any:
        present, mask = _present(values, ())
        elements = self._element.to_arrow(list(chain.from_iterable(present)))
        return pa.ListArray.from_arrays(_offsets(present), elements, type=self.type, mask=mask)

    def from_arrow(self, array: Any) -> list[Any]:
        elements = self._element.from_arrow(array.values)
        lists = [elements[begin:end] for begin, end in pairwise(array.offsets.to_pylist())]
        return _masked(lists, array)


@final
class Pairs:
    """Dicts."""

    is_exact = True

    def __init__(self, key: Codec, item: Codec) -> None:
        self.type = pa.map_(key.type, item.type)
        self._key = key
        self._item = item

    def to_arrow(self, values: Sequence[Any]) -> Any:
        present, mask = _present(values, {})
        keys = self._key.to_arrow(list(chain.from_iterable(present)))
        items = self._item.to_arrow([item for value in present for item in value.values()])
        return pa.MapArray.from_arrays(_offsets(present), keys, items, type=self.type, mask=mask)

    def from_arrow(self, array: Any) -> list[Any]:
        pairs = list(zip(self._key.from_arrow(array.keys), self._item.from_arrow(array.items), strict=True))
        return _masked([dict(pairs[begin:end]) for begin, end in pairwise(array.offsets.to_pylist())], array)


@final
class Fields:
    """Tuples, rows, and whatever else has named parts."""

    is_exact = True

    def __init__(
        self,
        names: Sequence[str],
        parts: Sequence[Codec],
        take_apart: Callable[[Sequence[Any]], Sequence[Sequence[Any]]],
        put_together: Callable[[tuple[Any, ...]], Any],
    ) -> None:
        """`take_apart`: the fields of each of many values."""
        assert parts, "a struct of nothing cannot be stored in Parquet"
        self._fields = [pa.field(name, part.type) for name, part in zip(names, parts, strict=True)]
        self.type = pa.struct(self._fields)
        self._parts = parts
        self._take_apart = take_apart
        self._put_together = put_together

    def to_arrow(self, values: Sequence[Any]) -> Any:
        mask = None
        if None in set(map(type, values)) or any(value is None for value in values):
            mask = pa.array([value is None for value in values])
            nothing = (None,) * len(self._parts)
            present = iter(self._take_apart([value for value in values if value is not None]))
            apart: Sequence[Any] = [nothing if value is None else next(present) for value in values]
        else:
            apart = self._take_apart(values)
        columns = zip(*apart, strict=True) if apart else repeat((), len(self._parts))
        arrays = [part.to_arrow(column) for part, column in zip(self._parts, columns, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=self._fields, mask=mask)

    def from_arrow(self, array: Any) -> list[Any]:
        columns = [part.from_arrow(child) for part, child in zip(self._parts, array.flatten(), strict=True)]
        return _masked(list(map(self._put_together, zip(*columns, strict=True))), array)


def _present(values: Sequence[Any], nothing: Any) -> tuple[Sequence[Any], Any]:
    """Values with something harmless for None, and the mask that says where."""
    mask = [value is None for value in values]
    if not any(mask):
        return values, None
    return [nothing if value is None else value for value in values], pa.array(mask)


def _offsets(values: Sequence[Any]) -> Any:
    return pa.array(list(accumulate(map(len, values), initial=0)), pa.int32())


def _masked(values: list[Any], array: Any) -> list[Any]:
    if not array.null_count:
        return values
    valid = array.is_valid().to_pylist()
    return [value if there else None for value, there in zip(values, valid, strict=True)]


def _naive(values: Sequence[Any]) -> Sequence[Any]:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise Unfit("a time with a zone")
    return values


@final
class Naive:
    """Times without a zone: Arrow would quietly drop it."""

    is_exact = True

    def __init__(self, kind: Any) -> None:
        self.type = kind

    def to_arrow(self, values: Sequence[Any]) -> Any:
        return pa.array(_naive(values), self.type)

    def from_arrow(self, array: Any) -> list[Any]:
        found: list[Any] = array.to_pylist()
        return found


def _rows_apart(values: Sequence[Row]) -> Sequence[Sequence[Any]]:
    if any(map(is_not, map(attrgetter("_row_kind"), values), repeat(RowKind.INSERT))):
        raise Unfit("a row that is no insertion")
    return [value._values for value in values]


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


PICKLED: Final = Converted(pa.binary(), lambda value: pickle.dumps(value, 5), pickle.loads)
READABLE: Final = Converted(pa.string(), lambda value: repr(value).encode(errors="replace"), str, is_exact=False)
"""What has no form as a column, for people."""
_INSTANTS: Final = Fields(
    ("seconds", "nanos"),
    (Plain(pa.int64()), Plain(pa.int32())),
    lambda values: [(value.seconds, value.nanos) for value in values],
    lambda parts: Instant(*parts),
)
_DECIMALS: Final = Converted(pa.string(), str, Decimal)
_BASICS: Final[dict[BasicType, Codec]] = {
    BasicType.STRING: Plain(pa.string()),
    BasicType.CHAR: Plain(pa.string()),
    BasicType.BOOLEAN: Plain(pa.bool_()),
    BasicType.BYTE: Plain(pa.int8()),
    BasicType.SHORT: Plain(pa.int16()),
    BasicType.INT: Plain(pa.int32()),
    BasicType.LONG: Plain(pa.int64()),
    BasicType.FLOAT: Plain(pa.float32()),
    BasicType.DOUBLE: Plain(pa.float64()),
    BasicType.BIG_INT: Converted(pa.decimal128(38, 0), Decimal, int),
    BasicType.BIG_DEC: _DECIMALS,
    BasicType.INSTANT: _INSTANTS,
}
_ELEMENTS: Final = (
    typeinfo.PrimitiveArrayTypeInfo,
    typeinfo.BasicArrayTypeInfo,
    typeinfo.ObjectArrayTypeInfo,
    typeinfo.ListTypeInfo,
)
_TIMES: Final[dict[type, Codec]] = {
    typeinfo.DateTypeInfo: Plain(pa.date32()),
    typeinfo.TimeTypeInfo: Naive(pa.time64("us")),
    typeinfo.TimestampTypeInfo: Naive(pa.timestamp("us")),
}


def codec_of(type_info: TypeInformation | None) -> Codec:
    """For values of a declared type that fit it already; pickle for an undeclared one."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.BasicTypeInfo):
        return _BASICS[kind.basic_type]
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return Plain(pa.binary())
    if isinstance(kind, _ELEMENTS):
        return Elements(codec_of(kind.element_type))
    if isinstance(kind, typeinfo.MapTypeInfo):
        return Pairs(codec_of(kind.key_type), codec_of(kind.value_type))
    if isinstance(kind, typeinfo.TupleTypeInfo) and kind.get_field_types():
        parts = list(map(codec_of, kind.get_field_types()))
        return Fields([f"f{at}" for at in range(len(parts))], parts, _as_they_are, _same)
    if isinstance(kind, typeinfo.RowTypeInfo) and kind.get_field_types():
        names = kind.names_of_rows
        parts = list(map(codec_of, kind.get_field_types()))
        return Fields(kind.get_field_names(), parts, _rows_apart, lambda fields: make_row(names, list(fields)))
    return _TIMES.get(type(kind), PICKLED)


def codec_of_key(kind: KeyType) -> Codec:
    """For keys, namespaces, and keys of maps that are not declared."""
    cls = kind.cls
    if cls is None:
        return READABLE
    found = _KEYS.get(cls)
    if found is not None:
        return found
    if issubclass(cls, Enum):
        return READABLE if issubclass(cls, Flag) else Converted(pa.string(), attrgetter("name"), cls.__getitem__)
    parts = list(map(codec_of_key, kind.parts))
    if not parts or cls is Row or not all(part.is_exact for part in parts):
        return READABLE
    if cls is tuple:
        return Fields([f"f{at}" for at in range(len(parts))], parts, _as_they_are, _same)
    if issubclass(cls, tuple):
        make: Any = cls
        return Fields(make._fields, parts, _as_they_are, make._make)
    return _dataclass(cls, parts)


def _dataclass(cls: Any, parts: Sequence[Codec]) -> Codec:
    names = [field.name for field in dataclasses.fields(cls)]
    columns = [attrgetter(name) for name in names]

    def put_together(values: tuple[Any, ...]) -> Any:
        key = object.__new__(cls)
        for name, value in zip(names, values, strict=True):
            object.__setattr__(key, name, value)
        return key

    def take_apart(values: Sequence[Any]) -> Sequence[Any]:
        return list(zip(*(map(column, values) for column in columns), strict=True))

    return Fields(names, parts, take_apart, put_together)


def _same(value: Any) -> Any:
    return value


_KEYS: Final[dict[type, Codec]] = {
    str: Plain(pa.string()),
    int: Plain(pa.int64()),
    float: Plain(pa.float64()),
    bool: Plain(pa.bool_()),
    bytes: Plain(pa.binary()),
    date: Plain(pa.date32()),
    time: Naive(pa.time64("us")),
    datetime: Naive(pa.timestamp("us")),
    timedelta: Plain(pa.duration("us")),
    Decimal: _DECIMALS,
    UUID: Converted(pa.string(), str, UUID),
    Instant: _INSTANTS,
}
