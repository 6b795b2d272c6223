"""Points in time that users' code gives: whole milliseconds since 1970, in 64 bits.

A float loses its fraction, as one does that is emitted as LONG; anything else is refused where it was given.
"""

import operator
from typing import Any, Final

from penstock.common.columns import column_check
from penstock.common.typeinfo import Types

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1
_all_whole = column_check(Types.LONG())
assert _all_whole is not None


def milliseconds(given: Any, what: str) -> int:
    """`given` as a point in time; a TypeError says of `what` that it is none."""
    if type(given) is int and _LOWEST <= given <= _HIGHEST:
        return given
    try:
        found = int(given) if isinstance(given, float) else operator.index(given)
    except (TypeError, ValueError, OverflowError):
        found = _HIGHEST + 1
    if not _LOWEST <= found <= _HIGHEST:
        raise TypeError(f"{what} is a whole number of milliseconds since 1970, in 64 bits; found {given!r}")
    return found


def all_whole(given: list[Any]) -> bool:
    """Whether all are points in time as they are."""
    assert _all_whole is not None
    return _all_whole(given)
