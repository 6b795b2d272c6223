"""Declared types as JSON: what a checkpoint says of its state, and what another process makes the type of again."""

from typing import Any, Final

from penstock.base.errors import IncompatibleState
from penstock.common import typeinfo
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped

_ELEMENTS: Final[dict[str, Any]] = {
    "LIST": typeinfo.ListTypeInfo,
    "PRIMITIVE_ARRAY": typeinfo.PrimitiveArrayTypeInfo,
    "BASIC_ARRAY": typeinfo.BasicArrayTypeInfo,
    "OBJECT_ARRAY": typeinfo.ObjectArrayTypeInfo,
}
_TIMES: Final[dict[str, Any]] = {
    "SQL_DATE": typeinfo.DateTypeInfo,
    "SQL_TIME": typeinfo.TimeTypeInfo,
    "SQL_TIMESTAMP": typeinfo.TimestampTypeInfo,
}


def type_to_json(type_info: TypeInformation | None) -> dict[str, Any]:
    """The type as plain dicts and lists; undeclared: `{"kind": "ANY"}`."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.BasicTypeInfo):
        return {"kind": kind.basic_type.name}
    if isinstance(kind, typeinfo.TupleTypeInfo):
        return {"kind": "TUPLE", "fields": [type_to_json(field) for field in kind.get_field_types()]}
    if isinstance(kind, typeinfo.RowTypeInfo):
        names = None if kind.declared_names is None else list(kind.declared_names)
        return {"kind": "ROW", "names": names, "fields": [type_to_json(field) for field in kind.get_field_types()]}
    if isinstance(kind, typeinfo.MapTypeInfo):
        return {"kind": "MAP", "key": type_to_json(kind.key_type), "value": type_to_json(kind.value_type)}
    for name, cls in _ELEMENTS.items():
        if isinstance(kind, cls):
            return {"kind": name, "element": type_to_json(kind.element_type)}
    return {"kind": next((name for name, cls in _TIMES.items() if isinstance(kind, cls)), "ANY")}


def type_from_json(description: dict[str, Any]) -> TypeInformation:
    """The type that `type_to_json` described."""
    kind = str(description.get("kind"))
    if kind in BasicType.__members__:
        basic = BasicType[kind]
        return typeinfo.InstantTypeInfo() if basic is BasicType.INSTANT else typeinfo.BasicTypeInfo(basic)
    if kind == "TUPLE":
        return typeinfo.TupleTypeInfo(list(map(type_from_json, description["fields"])))
    if kind == "ROW":
        return typeinfo.RowTypeInfo(list(map(type_from_json, description["fields"])), description["names"])
    if kind == "MAP":
        return typeinfo.MapTypeInfo(type_from_json(description["key"]), type_from_json(description["value"]))
    if kind in _ELEMENTS:
        found: TypeInformation = _ELEMENTS[kind](type_from_json(description["element"]))
        return found
    if kind in _TIMES:
        time_type: TypeInformation = _TIMES[kind]()
        return time_type
    if kind == "ANY":
        return typeinfo.PickledBytesTypeInfo()
    raise IncompatibleState(f"the state has a type that this version does not know: {kind!r}")
