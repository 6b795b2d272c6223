"""The type that a JSON Schema describes, by Flink's rules. Pure."""

from typing import Any, Final

import msgspec

from penstock.base.errors import JobDefinitionError
from penstock.common.type_infos import TypeInformation
from penstock.common.typeinfo import Types

_FORMATS: Final = {
    "date": Types.SQL_DATE(),
    "time": Types.SQL_TIME(),
    "date-time": Types.SQL_TIMESTAMP(),
}


def type_of_json_schema(text: str) -> TypeInformation:
    """Objects are rows, numbers exact decimals, arrays of fixed items rows without names."""
    try:
        schema = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise JobDefinitionError(f"the JSON Schema is no JSON: {error}") from error
    return _type_of("", schema, schema)


def _type_of(path: str, node: Any, root: Any) -> TypeInformation:
    if isinstance(node, dict) and "$ref" in node:
        return _type_of(path, _resolved(path, node["$ref"], root), root)
    names = node.get("type") if isinstance(node, dict) else None
    wanted = [name for name in (names if isinstance(names, list) else [names]) if name != "null"]
    if len(wanted) != 1:
        raise JobDefinitionError(f"JSON Schema at {path or '/'}: expected one type besides null, found {names!r}")
    match wanted[0]:
        case "object":
            fields = node.get("properties", {})
            return Types.ROW_NAMED(list(fields), [_type_of(f"{path}/{key}", fields[key], root) for key in fields])
        case "array":
            return _array_type(path, node, root)
        case "string":
            if node.get("contentEncoding") == "base64":
                return Types.PRIMITIVE_ARRAY(Types.BYTE())
            return _FORMATS.get(node.get("format"), Types.STRING())
        case "number" | "integer":
            return Types.BIG_DEC()
        case "boolean":
            return Types.BOOLEAN()
        case other:
            raise JobDefinitionError(f"JSON Schema at {path or '/'}: the type {other!r} is not known here")


def _array_type(path: str, node: Any, root: Any) -> TypeInformation:
    items = node.get("items")
    if items is None:
        raise JobDefinitionError(f"JSON Schema at {path or '/'}: an array says what its items are")
    if isinstance(items, list):
        return Types.ROW([_type_of(f"{path}/{index}", item, root) for index, item in enumerate(items)])
    return Types.OBJECT_ARRAY(_type_of(f"{path}/items", items, root))


def _resolved(path: str, reference: str, root: Any) -> Any:
    if not reference.startswith("#/"):
        raise JobDefinitionError(f"JSON Schema at {path or '/'}: only references within it, found {reference!r}")
    node = root
    for part in reference[2:].split("/"):
        if not isinstance(node, dict) or part not in node:
            raise JobDefinitionError(f"JSON Schema at {path or '/'}: {reference!r} leads nowhere")
        node = node[part]
    return node
