"""The metrics part of Flink's REST, without knowing what is measured: lists, values, aggregation, ranges. Pure."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from penstock.rest.asking import Asked, Refused

Values = Mapping[str, float | str]
"""What one component says, by the name of the metric."""

_RANGE_MAX: Final = 1 << 20


def collection(values: Values, asked: Asked) -> list[dict[str, str]]:
    """All names; with `get`, the values of those that there are."""
    wanted = asked.words("get")
    if not wanted:
        return [{"id": name} for name in values]
    return [{"id": name, "value": text(values[name])} for name in wanted if name in values]


def aggregated(components: Iterable[Values], asked: Asked) -> list[dict[str, Any]]:
    """All names that any component has; with `get`, the aggregates over those that have it.

    Nothing at all when one of the names is nowhere, as in Flink; what is no number is left out.
    """
    every = tuple(components)
    wanted, chosen = asked.words("get"), _aggregations(asked)
    if not wanted:
        return [{"id": name} for name in dict.fromkeys(name for values in every for name in values)]
    found: list[dict[str, Any]] = []
    for name in wanted:
        values = [values[name] for values in every if name in values]
        if not values:
            return []
        numbers = [value for value in values if not isinstance(value, str)]
        if len(numbers) == len(values):
            found.append({"id": name} | {kind: number(AGGREGATIONS[kind](numbers)) for kind in chosen})
    return found


def indexes(asked: Asked, name: str) -> frozenset[int] | None:
    """A query parameter as `0,2-4`; None: not given."""
    words = asked.words(name)
    if not words:
        return None
    found: set[int] = set()
    for word in words:
        first, dash, last = word.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and len(last) < 8 and len(first) < 8):
            raise Refused(400, f"the query parameter {name} is a list of numbers and ranges like 0,2-4; found {word!r}")
        if int(last) < int(first):
            raise Refused(400, f"the query parameter {name} has a range that ends before it begins: {word!r}")
        found.update(range(int(first), min(int(last), _RANGE_MAX) + 1))
    return frozenset(found)


def text(value: float | str) -> str:
    """A value as Flink writes it."""
    if isinstance(value, str):
        return value
    written = number(value)
    return written if isinstance(written, str) else repr(written)


def number(value: float) -> float | str:
    """A number for JSON, which has no words for some."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def skew(numbers: Sequence[float]) -> float:
    """Flink's: the mean distance from the mean, in percent of the mean, 100 at the most."""
    mean = sum(numbers) / len(numbers)
    if mean == 0:
        return 0.0
    return min(sum(abs(mean - each) for each in numbers) / len(numbers) / mean * 100, 100.0)


AGGREGATIONS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "min": min,
    "max": max,
    "avg": lambda numbers: sum(numbers) / len(numbers),
    "sum": sum,
    "skew": skew,
}


def _aggregations(asked: Asked) -> tuple[str, ...]:
    wanted = asked.words("agg")
    unknown = next((word for word in wanted if word.lower() not in AGGREGATIONS), None)
    if unknown is not None:
        raise Refused(400, f"the query parameter agg is some of {', '.join(AGGREGATIONS)}; found {unknown!r}")
    return tuple(dict.fromkeys(word.lower() for word in wanted)) or tuple(AGGREGATIONS)
