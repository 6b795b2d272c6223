"""Values of state as JSON and as text for people. Pure.

What JSON has no form for: bytes are `{"base64": ...}`, dates and times ISO text, numbers beyond floats text, dicts with
keys other than text lists of pairs, and objects `{"class": ..., field: ...}`.
"""

import base64
import dataclasses
import json
import math
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from penstock.cli.state.standins import StandIn
from penstock.common.time import Instant
from penstock.common.types import Row
from penstock.state.entries import Entry


def json_of(value: Any) -> Any:
    """A value that `json.dumps` takes."""
    match value:
        case None | bool() | str():
            return value
        case Enum():
            return value.name
        case int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes() | bytearray() | memoryview():
            return {"base64": base64.b64encode(value).decode()}
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta() | Decimal() | UUID() | Instant():
            return str(value)
        case Row():
            plain = [json_of(field) for field in value]
            return dict(zip(value._fields, plain, strict=False)) if value._fields else plain
        case Mapping():
            return _mapping(value)
        case tuple() if hasattr(value, "_fields"):
            return {name: json_of(field) for name, field in zip(value._fields, value, strict=True)}
        case list() | tuple():
            return [json_of(item) for item in value]
        case Set():
            return sorted((json_of(item) for item in value), key=_order)
        case StandIn():
            return {"class": type(value).__qualname__} | {name: json_of(item) for name, item in value.parts().items()}
        case _:
            return _object(value)


def text_of(value: Any) -> str:
    """On one line."""
    return json.dumps(json_of(value), ensure_ascii=False)


def row_of(entry: Entry) -> dict[str, Any]:
    """An entry as `show` and JSON lines have it; columns that the state has not are left out."""
    row = {"key_group": entry.key_group, "key": json_of(entry.key)}
    if entry.namespace is not None:
        row["namespace"] = json_of(entry.namespace)
    if entry.map_key is not None:
        row["map_key"] = json_of(entry.map_key)
    row["value"] = json_of(entry.value)
    if entry.used_ms is not None:
        row["last_used"] = entry.used_ms
    return row


def _mapping(value: Mapping[Any, Any]) -> Any:
    if all(isinstance(key, str) for key in value):
        return {key: json_of(item) for key, item in value.items()}
    return [[json_of(key), json_of(item)] for key, item in value.items()]


def _object(value: Any) -> Any:
    if isinstance(value, type):
        return repr(value)
    if dataclasses.is_dataclass(value):
        fields = {field.name: json_of(getattr(value, field.name, None)) for field in dataclasses.fields(value)}
    elif vars_of := getattr(value, "__dict__", None):
        fields = {name: json_of(item) for name, item in vars_of.items()}
    else:
        return repr(value)
    return {"class": type(value).__qualname__} | fields


def _order(item: Any) -> str:
    return json.dumps(item, sort_keys=True)
