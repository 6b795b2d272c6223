"""Minimum, maximum, mean and quantiles of some numbers, as Flink's REST gives them. Pure."""

import math
from collections.abc import Iterable
from typing import Any, Final

_QUANTILES: Final = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p999": 0.999}


def summary(numbers: Iterable[int]) -> dict[str, Any]:
    """All zero without numbers; the quantiles are then "NaN", as Flink writes them."""
    ordered = sorted(numbers)
    if not ordered:
        return {"min": 0, "max": 0, "avg": 0} | dict.fromkeys(_QUANTILES, "NaN")
    figures: dict[str, Any] = {"min": ordered[0], "max": ordered[-1], "avg": sum(ordered) // len(ordered)}
    return figures | {name: quantile(ordered, share) for name, share in _QUANTILES.items()}


def quantile(ordered: list[int], share: float) -> float:
    """As Flink's (Commons Math, LEGACY estimation): position share * (n + 1), interpolated."""
    position = share * (len(ordered) + 1)
    below = math.floor(position)
    if below < 1:
        return float(ordered[0])
    if below >= len(ordered):
        return float(ordered[-1])
    return ordered[below - 1] + (position - below) * (ordered[below] - ordered[below - 1])
