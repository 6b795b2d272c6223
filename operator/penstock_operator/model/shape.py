"""Whether a manifest has the shape of a spec: names, types, bounds. Every error at once, and what is right is kept.

msgspec stops at the first error; so the manifest is walked beside what msgspec knows of the structs. What is wrong is
taken out (or, where it must be there, stood in for), so that the rest can still be looked at for what types cannot
say. Pure.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import isfinite
from typing import Any, Final

from msgspec import Struct, inspect

from penstock_operator.model import values
from penstock_operator.model.cron import CRON_ALLOWED, CRON_PATTERN
from penstock_operator.model.field_errors import FieldError, shown

_DEPTH_MAX: Final = 32
"""Of nested configuration and of pod templates."""
_OUT: Final = object()
_ALLOWED: Final = {
    CRON_PATTERN: CRON_ALLOWED,
    values.DURATION_PATTERN: values.DURATION_ALLOWED,
    values.QUANTITY_PATTERN: values.QUANTITY_ALLOWED,
    values.URI_PATTERN: values.URI_ALLOWED,
    values.S3_PATTERN: values.S3_ALLOWED,
}

Errors = list[FieldError]


def shaped(raw: Any, kind: type[Struct], path: str) -> tuple[dict[str, Any], Errors]:
    """What of it can be read as this struct, and all that is wrong."""
    info = _known(kind)
    errors: Errors = []
    if not isinstance(raw, Mapping):
        errors.append(FieldError(path, shown(raw), _allowed(info)))
        raw = {}
    return _struct(info, raw, path, errors), errors


@cache
def _known(kind: type[Struct]) -> inspect.StructType:
    """What msgspec knows of it. To find that out takes longer than to check a manifest."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return info


def _struct(info: inspect.StructType, raw: Mapping[Any, Any], path: str, errors: Errors) -> dict[str, Any]:
    fields = {field.encode_name: field for field in info.fields}
    for name, value in raw.items():
        if name not in fields and value is not None:
            errors.append(FieldError(f"{path}.{name}", shown(value), _nearest(str(name), fields)))
    kept: dict[str, Any] = {}
    for name, field in fields.items():
        value = raw.get(name)
        if value is not None:
            value = _value(field.type, value, f"{path}.{name}", errors)
        elif field.required:
            errors.append(FieldError(f"{path}.{name}", "nothing", _allowed(field.type)))
            value = _OUT
        else:
            continue
        if value is not _OUT:
            kept[name] = value
        elif field.required:
            kept[name] = _stand_in(field.type)
    return kept


def _value(info: inspect.Type, value: Any, path: str, errors: Errors) -> Any:
    """The value as it is kept, or `_OUT`."""
    match info:
        case inspect.UnionType(types=types):
            fitting = next((one for one in types if _is_of(one, value)), None)
            if fitting is not None:
                return _value(fitting, value, path, errors)
        case inspect.StructType() if isinstance(value, Mapping):
            return _struct(info, value, path, errors)
        case inspect.VarTupleType(item_type=item, max_length=most) if isinstance(value, list | tuple):
            if most is None or len(value) <= most:
                kept = [_value(item, one, f"{path}[{at}]", errors) for at, one in enumerate(value)]
                return [one for one in kept if one is not _OUT]
        case inspect.DictType() if isinstance(value, Mapping):
            found = list(_json_errors(value, path))
            errors += found
            return _OUT if found else value
        case inspect.IntType() if _is_of(info, value):
            if _within(int(value), info.ge, info.le):
                return int(value)
        case inspect.StrType() if isinstance(value, str):
            if _within(len(value), info.min_length, info.max_length) and _matches(info.pattern, value):
                return value
        case inspect.BoolType() if isinstance(value, bool):
            return value
        case inspect.LiteralType(values=allowed) if value in allowed:
            return value
        case _:
            pass
    errors.append(FieldError(path, _found(value), _allowed(info)))
    return _OUT


def _is_of(info: inspect.Type, value: Any) -> bool:
    """Whether a value is of a type at all, whatever its bounds; the branch of a union that is meant."""
    match info:
        case inspect.StructType() | inspect.DictType():
            return isinstance(value, Mapping)
        case inspect.IntType():
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.NoneType():
            return False
        case _:
            return True


def _within(amount: int, least: int | None, most: int | None) -> bool:
    return (least is None or amount >= least) and (most is None or amount <= most)


def _matches(pattern: str | None, text: str) -> bool:
    # `$` of Python lets a line end pass, that of the API server does not.
    return pattern is None or (re.search(pattern, text) is not None and not text.endswith("\n"))


def _json_errors(value: Any, path: str, depth: int = 0) -> Iterator[FieldError]:
    if depth > _DEPTH_MAX:
        yield FieldError(path, "something deeper", f"at most {_DEPTH_MAX} levels")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                yield FieldError(f"{path}.{name}", f"{shown(name)} as a name", "a name in quotes")
            yield from _json_errors(item, f"{path}.{name}", depth + 1)
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from _json_errors(item, f"{path}[{at}]", depth + 1)
    elif isinstance(value, float) and not isfinite(value):
        yield FieldError(path, str(value), "a finite number")
    elif value is not None and not isinstance(value, str | bool | int | float):
        yield FieldError(path, shown(value), "text, a number, true, false, a list or a map")


def _stand_in(info: inspect.Type) -> Any:
    """For what must be there and is not; nothing is said of it beyond that."""
    match info:
        case inspect.StructType(fields=fields):
            return {field.encode_name: _stand_in(field.type) for field in fields if field.required}
        case inspect.LiteralType(values=allowed):
            return allowed[0]
        case inspect.IntType(ge=least):
            return least or 0
        case _:
            return "unknown"


def _found(value: Any) -> str:
    if isinstance(value, list | tuple | str) and len(value) > 100:
        return f"{len(value)} {'characters' if isinstance(value, str) else 'entries'}: {shown(value)}"
    return f"{shown(value)} without quotes" if isinstance(value, float) else shown(value)


def _nearest(name: str, fields: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"no such field, only {', '.join(fields)}{meant}" if fields else "no field at all"


def _allowed(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType(types=types):
            texts = [_allowed(one) for one in types if not isinstance(one, inspect.NoneType)]
            return values.QUANTITY_ALLOWED if values.QUANTITY_ALLOWED in texts else " or ".join(dict.fromkeys(texts))
        case inspect.StructType(fields=fields):
            return f"a map of {', '.join(field.encode_name for field in fields)}" if fields else "an empty map {}"
        case inspect.VarTupleType(item_type=item, max_length=most):
            return f"a list of{'' if most is None else f' at most {most}'} entries, each {_allowed(item)}"
        case inspect.DictType():
            return "a map"
        case inspect.IntType(ge=least, le=most):
            return _range("a whole number", least, most)
        case inspect.StrType(pattern=pattern, max_length=most):
            if pattern in _ALLOWED:
                return _ALLOWED[pattern]
            matching = "" if pattern is None else f" that matches {pattern}"
            return f"text{matching}" + ("" if most is None else f" of at most {most} characters")
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=allowed):
            return f"one of {', '.join(map(str, allowed))}"
        case _:
            return "something else"


def _range(what: str, least: int | None, most: int | None) -> str:
    match least, most:
        case None, None:
            return what
        case int(), int() if least == most:
            return f"only {least}"
        case int(), None:
            return f"{what} from {least}"
        case _:
            return f"{what} from {least} to {most}"
