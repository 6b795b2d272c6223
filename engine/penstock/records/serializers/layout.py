"""Between the values of a declared type and what MessagePack knows: expressions, generated once per type.

    STRING, CHAR, BOOLEAN, numbers, bytes    as they are; BIG_INT beyond 64 bits and BIG_DEC as text
    SQL_DATE, SQL_TIME, SQL_TIMESTAMP        ISO text
    INSTANT                                  [seconds, nanoseconds]
    TUPLE                                    [fields...]
    ROW                                      [kind, fields...]; names are in the type
    LIST and arrays                          [elements...]; bytes for PRIMITIVE_ARRAY of BYTE
    MAP                                      a map if the keys are STRING or whole numbers, else [[key, value]...]
    undeclared parts                         pickle, as bytes

Only `serializer` uses it.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from types import GenericAlias
from typing import Any, Final, final

from penstock.common import typeinfo
from penstock.common.time import Instant
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped
from penstock.common.types import RowKind, make_row

Convert = Callable[[Any], Any]

_NATIVE: Final[dict[BasicType, Any]] = {
    BasicType.STRING: str,
    BasicType.CHAR: str,
    BasicType.BOOLEAN: bool,
    BasicType.BYTE: int,
    BasicType.SHORT: int,
    BasicType.INT: int,
    BasicType.LONG: int,
    BasicType.FLOAT: float,
    BasicType.DOUBLE: float,
    BasicType.BIG_DEC: Decimal,
}
_TIMES: Final[dict[type, Any]] = {
    typeinfo.DateTypeInfo: date,
    typeinfo.TimeTypeInfo: time,
    typeinfo.TimestampTypeInfo: datetime,
}
_MAP_KEYS: Final = frozenset({BasicType.STRING, BasicType.BYTE, BasicType.SHORT, BasicType.INT, BasicType.LONG})


@final
@dataclass(frozen=True, slots=True)
class Layout:
    """How values of one type lie in MessagePack."""

    annotation: Any
    """What the decoder is told to expect."""
    to_plain: Convert | None
    """None: values go as they are."""
    from_plain: Convert | None


def layout_of(type_info: TypeInformation) -> Layout:
    """The layout of a type, whose values may be None as a whole."""
    part = _part(unwrapped(type_info), _Names())
    return Layout(part.annotation | None, _function(part, part.out), _function(part, part.back))


@final
@dataclass(slots=True)
class _Names:
    """What the generated expressions refer to."""

    globals: dict[str, Any] = field(
        default_factory=lambda: {
            "Instant": Instant,
            "make_row": make_row,
            "KINDS": tuple(RowKind),
            "dumps": lambda value: pickle.dumps(value, 5),
            "loads": pickle.loads,
            "small": lambda number: number if -(2**63) <= number < 2**64 else str(number),
        }
    )
    variables: int = 0

    def constant(self, value: Any) -> str:
        name = f"c{len(self.globals)}"
        self.globals[name] = value
        return name

    def variable(self) -> str:
        self.variables += 1
        return f"v{self.variables}"


Template = Callable[[str], str]
"""From the expression for a value to the expression for its other form."""


@final
@dataclass(frozen=True, slots=True)
class _Part:
    annotation: Any
    out: Template | None
    back: Template | None
    names: _Names


def _function(part: _Part, template: Template | None) -> Convert | None:
    if template is None:
        return None
    source = f"lambda value: None if value is None else {template('value')}"
    compiled: Convert = eval(source, part.names.globals)  # The source holds names given out above, nothing else.
    return compiled


def _part(kind: TypeInformation, names: _Names) -> _Part:
    if isinstance(kind, typeinfo.BasicTypeInfo):
        return _basic(kind.basic_type, names)
    if isinstance(kind, typeinfo.TupleTypeInfo):
        return _tuple(kind, names)
    if isinstance(kind, typeinfo.RowTypeInfo):
        return _row(kind, names)
    if isinstance(kind, typeinfo.MapTypeInfo):
        return _map(kind, names)
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo) and kind.is_bytes():
        return _Part(bytes, None, None, names)
    if isinstance(kind, typeinfo.PrimitiveArrayTypeInfo | typeinfo.ListTypeInfo):
        return _list(_part(unwrapped(kind.element_type), names), names)
    if isinstance(kind, typeinfo.BasicArrayTypeInfo | typeinfo.ObjectArrayTypeInfo):
        return _list(_nullable(_part(unwrapped(kind.element_type), names)), names)
    if type(kind) in _TIMES:
        return _Part(_TIMES[type(kind)], None, None, names)
    return _Part(bytes, lambda value: f"dumps({value})", lambda value: f"loads({value})", names)


def _basic(basic: BasicType, names: _Names) -> _Part:
    if basic in _NATIVE:
        return _Part(_NATIVE[basic], None, None, names)
    if basic is BasicType.BIG_INT:
        return _Part(int | str, lambda value: f"small({value})", lambda value: f"int({value})", names)
    return _Part(
        tuple[int, int], lambda value: f"({value}.seconds, {value}.nanos)", lambda value: f"Instant(*{value})", names
    )


def _nullable(part: _Part) -> _Part:
    """The same where None may stand for a value."""
    annotation = part.annotation | None
    return _Part(annotation, _unless_none(part.out), _unless_none(part.back), part.names)


def _unless_none(template: Template | None) -> Template | None:
    return None if template is None else lambda value: f"(None if {value} is None else {template(value)})"


def _apply(template: Template | None, value: str) -> str:
    return value if template is None else template(value)


def _tuple(kind: typeinfo.TupleTypeInfo, names: _Names) -> _Part:
    parts = [_part(unwrapped(field), names) for field in kind.get_field_types()]
    annotation: Any = GenericAlias(tuple, tuple(part.annotation for part in parts))

    def fields(templates: list[Template | None]) -> Template | None:
        if not any(templates):
            return None
        return lambda value: f"({', '.join(_apply(t, f'{value}[{at}]') for at, t in enumerate(templates))},)"

    return _Part(annotation, fields([part.out for part in parts]), fields([part.back for part in parts]), names)


def _row(kind: typeinfo.RowTypeInfo, names: _Names) -> _Part:
    parts = [_nullable(_part(unwrapped(field), names)) for field in kind.get_field_types()]
    annotation: Any = GenericAlias(tuple, (int, *(part.annotation for part in parts)))
    field_names = names.constant(kind.names_of_rows)

    def out(value: str) -> str:
        if not any(part.out for part in parts):
            return f"({value}._row_kind._value_, *{value}._values)"
        fields = "".join(f"{_apply(part.out, f'{value}._values[{at}]')}, " for at, part in enumerate(parts))
        return f"({value}._row_kind._value_, {fields})"

    def back(value: str) -> str:
        if not any(part.back for part in parts):
            return f"make_row({field_names}, list({value}[1:]), KINDS[{value}[0]])"
        fields = ", ".join(_apply(part.back, f"{value}[{at}]") for at, part in enumerate(parts, 1))
        return f"make_row({field_names}, [{fields}], KINDS[{value}[0]])"

    return _Part(annotation, out, back, names)


def _list(element: _Part, names: _Names) -> _Part:
    def each(template: Template | None) -> Template | None:
        if template is None:
            return None
        item = names.variable()
        return lambda value: f"[{template(item)} for {item} in {value}]"

    return _Part(GenericAlias(list, (element.annotation,)), each(element.out), each(element.back), names)


def _map(kind: typeinfo.MapTypeInfo, names: _Names) -> _Part:
    key_type = unwrapped(kind.key_type)
    key, item = _part(key_type, names), _nullable(_part(unwrapped(kind.value_type), names))
    k, v = names.variable(), names.variable()
    if isinstance(key_type, typeinfo.BasicTypeInfo) and key_type.basic_type in _MAP_KEYS:

        def items(template: Template | None) -> Template | None:
            if template is None:
                return None
            return lambda value: f"{{{k}: {template(v)} for {k}, {v} in {value}.items()}}"

        annotation: Any = GenericAlias(dict, (key.annotation, item.annotation))
        return _Part(annotation, items(item.out), items(item.back), names)
    return _Part(
        GenericAlias(list, (GenericAlias(tuple, (key.annotation, item.annotation)),)),
        lambda value: f"[({_apply(key.out, k)}, {_apply(item.out, v)}) for {k}, {v} in {value}.items()]",
        lambda value: f"{{{_apply(key.back, k)}: {_apply(item.back, v)} for {k}, {v} in {value}}}",
        names,
    )
