"""Whether state of one type can be taken over by a program that declares another. Pure; the rules are these:

* The same type, or one that reads the same bytes: BYTE to SHORT to INT to LONG to BIG_INT, FLOAT to DOUBLE, CHAR to
  STRING, a list to an array whose elements may be None.
* A ROW whose fields have names may gain fields (None), lose some and change their order, as long as one keeps its
  name; one without names may gain or lose fields at its end. Fields that stay follow these rules themselves.
* An undeclared type may become declared, if every value fits; a declared one may become undeclared.

Anything else is refused, with both types named.
"""

from collections.abc import Callable
from typing import Any, Final, final

import msgspec

from penstock.base.errors import IncompatibleState, ValueMismatch
from penstock.common import typeinfo
from penstock.common.conversion import coercer
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped
from penstock.common.types import Row, make_row
from penstock.records.serializers.serializer import Serializer, serializer_from

Convert = Callable[[Any], Any]


@final
class Compatible(msgspec.Struct, frozen=True):
    """The bytes can be read as they are."""


@final
class Migrate(msgspec.Struct, frozen=True):
    """The old serializer must read the value, and `function` makes a value of the new type of it."""

    function: Convert


@final
class Incompatible(msgspec.Struct, frozen=True):
    """The state cannot be taken over."""

    reason: str


Compatibility = Compatible | Migrate | Incompatible


def check_compatible(old_snapshot: dict[str, Any], new_serializer: Serializer) -> Compatibility:
    """Whether values under `old_snapshot` can become values of `new_serializer`."""
    try:
        old = serializer_from(old_snapshot).type_info
    except (IncompatibleState, KeyError) as error:
        return Incompatible(str(error))
    return _compare(old, new_serializer.type_info)


def _compare(old: TypeInformation, new: TypeInformation) -> Compatibility:
    old, new = unwrapped(old), unwrapped(new)
    if isinstance(old, typeinfo.RowTypeInfo) and isinstance(new, typeinfo.RowTypeInfo):
        return _compare_rows(old, new)
    if old == new:
        return Compatible()
    if isinstance(new, typeinfo.PickledBytesTypeInfo):
        return Migrate(lambda value: value)
    if isinstance(old, typeinfo.PickledBytesTypeInfo):
        return Migrate(_declaring(new))
    if isinstance(old, typeinfo.BasicTypeInfo) and isinstance(new, typeinfo.BasicTypeInfo):
        widened = new.basic_type in _WIDENED.get(old.basic_type, ())
        return Compatible() if widened else _refused(old, new)
    if isinstance(old, typeinfo.TupleTypeInfo) and isinstance(new, typeinfo.TupleTypeInfo):
        return _compare_tuples(old, new)
    if isinstance(old, typeinfo.MapTypeInfo) and isinstance(new, typeinfo.MapTypeInfo):
        return _compare_maps(old, new)
    if isinstance(old, _LISTS) and isinstance(new, _LISTS) and _keeps_nulls(old, new):
        return _compare_elements(old, new)
    return _refused(old, new)


def _refused(old: TypeInformation, new: TypeInformation) -> Incompatible:
    return Incompatible(f"the state has type {old}, the program declares {new}")


def _declaring(new: TypeInformation) -> Convert:
    coerce = coercer(new)

    def convert(value: Any) -> Any:
        try:
            return coerce(value)
        except ValueMismatch as error:
            raise IncompatibleState(f"the state was undeclared, and a value does not fit: {error}") from error

    return convert


def _compare_tuples(old: typeinfo.TupleTypeInfo, new: typeinfo.TupleTypeInfo) -> Compatibility:
    before, after = old.get_field_types(), new.get_field_types()
    if len(before) != len(after):
        return _refused(old, new)
    parts = [_compare(*pair) for pair in zip(before, after, strict=True)]
    if any(isinstance(part, Incompatible) for part in parts):
        return _refused(old, new)
    converts = [_convert_of(part) for part in parts]
    if not any(converts):
        return Compatible()
    steps = [convert or _same for convert in converts]
    return _unless_none(lambda value: tuple([step(item) for step, item in zip(steps, value, strict=True)]))


def _compare_rows(old: typeinfo.RowTypeInfo, new: typeinfo.RowTypeInfo) -> Compatibility:
    before, after = old.get_field_names(), new.get_field_names()
    if old.get_field_types() and new.get_field_types() and not set(before) & set(after):
        return _refused(old, new)
    old_types = dict(zip(before, old.get_field_types(), strict=True))
    moves: list[tuple[int, Convert] | None] = []
    for name, kind in zip(after, new.get_field_types(), strict=True):
        if name not in old_types:
            moves.append(None)
            continue
        part = _compare(old_types[name], kind)
        if isinstance(part, Incompatible):
            return Incompatible(f"field {name}: {part.reason}")
        moves.append((before.index(name), _nullable(_convert_of(part) or _same)))
    if before == after and all(move is not None and move[1] is _same for move in moves):
        return Compatible()
    names = new.names_of_rows

    def convert(row: Row) -> Row:
        fields = row._values
        moved = [None if move is None else move[1](fields[move[0]]) for move in moves]
        return make_row(names, moved, row.get_row_kind())

    return _unless_none(convert)


def _compare_maps(old: typeinfo.MapTypeInfo, new: typeinfo.MapTypeInfo) -> Compatibility:
    keys, values = _compare(old.key_type, new.key_type), _compare(old.value_type, new.value_type)
    if isinstance(keys, Incompatible) or isinstance(values, Incompatible):
        return _refused(old, new)
    # Keys of whole numbers and strings lie in a map, all others in a list of pairs: only equal kinds share bytes.
    if isinstance(keys, Compatible) and isinstance(values, Compatible) and _same_layout(old.key_type, new.key_type):
        return Compatible()
    to_key, to_value = _convert_of(keys) or _same, _nullable(_convert_of(values) or _same)
    return _unless_none(lambda value: {to_key(key): to_value(item) for key, item in value.items()})


def _same_layout(old_key: TypeInformation, new_key: TypeInformation) -> bool:
    beyond = (typeinfo.Types.BIG_INT(), typeinfo.Types.CHAR())
    return old_key == new_key or (old_key not in beyond and new_key not in beyond)


def _compare_elements(old: Any, new: Any) -> Compatibility:
    part = _compare(old.element_type, new.element_type)
    if isinstance(part, Incompatible):
        return _refused(old, new)
    convert = _convert_of(part)
    if convert is None:
        return Compatible()
    step = _nullable(convert)
    return _unless_none(lambda value: [step(item) for item in value])


def _keeps_nulls(old: TypeInformation, new: TypeInformation) -> bool:
    if any(isinstance(kind, typeinfo.PrimitiveArrayTypeInfo) and kind.is_bytes() for kind in (old, new)):
        return False
    return not (isinstance(old, _WITH_NULLS) and not isinstance(new, _WITH_NULLS))


def _convert_of(part: Compatibility) -> Convert | None:
    return part.function if isinstance(part, Migrate) else None


def _same(value: Any) -> Any:
    return value


def _nullable(convert: Convert) -> Convert:
    return convert if convert is _same else lambda value: None if value is None else convert(value)


def _unless_none(convert: Convert) -> Migrate:
    return Migrate(lambda value: None if value is None else convert(value))


_INTEGERS: Final = (BasicType.BYTE, BasicType.SHORT, BasicType.INT, BasicType.LONG, BasicType.BIG_INT)
_WIDENED: Final[dict[BasicType, tuple[BasicType, ...]]] = {
    **{kind: _INTEGERS[at + 1 :] for at, kind in enumerate(_INTEGERS)},
    BasicType.FLOAT: (BasicType.DOUBLE,),
    BasicType.CHAR: (BasicType.STRING,),
}
_WITH_NULLS: Final = (typeinfo.BasicArrayTypeInfo, typeinfo.ObjectArrayTypeInfo)
_LISTS: Final = (typeinfo.ListTypeInfo, typeinfo.PrimitiveArrayTypeInfo, *_WITH_NULLS)
