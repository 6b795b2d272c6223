"""One thing that is wrong with a manifest: which field, what was found there, and what is allowed. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

_SHOWN_MAX: Final = 80
_SENTENCE_MAX: Final = 500
"""Names of fields are made by people too."""
ERRORS_SHOWN_MAX: Final = 20


@final
@dataclass(frozen=True, slots=True)
class FieldError:
    """A finding of validation."""

    field: str
    """As a path from the object's root: `spec.job.parallelism`."""
    found: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: found {self.found}, allowed is {self.allowed}"

    def is_within(self, field: str) -> bool:
        """Whether it is about that field or a part of it."""
        return self.field == field or self.field.startswith((f"{field}.", f"{field}["))


def sentence_of(errors: Iterable[FieldError]) -> str:
    """All of them, for an event or status; the first twenty where there are more."""
    found = [_cut(str(error), _SENTENCE_MAX) for error in errors]
    more = len(found) - ERRORS_SHOWN_MAX
    return "; ".join(found[:ERRORS_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def shown(value: Any) -> str:
    """What was found, short enough for a sentence."""
    if value is None:
        return "nothing"
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return _cut(text, _SHOWN_MAX)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
