"""Values of the wrong type that a program calls with: refused in a sentence, in the program's own line."""

from types import NoneType
from typing import Any


def check_argument(value: Any, wanted: type | tuple[type, ...], what: str) -> None:
    """A TypeError that says what `what` takes, unless `value` is of a wanted type. True and False are no numbers."""
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
        return
    raise TypeError(f"{what} takes {' or '.join(map(_named, kinds))}, not {value!r}")


def _named(kind: type) -> str:
    if kind is NoneType:
        return "None"
    return f"{'an' if kind.__name__[0] in 'aeiouAEIOU' else 'a'} {kind.__name__}"
