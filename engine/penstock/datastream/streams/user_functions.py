"""Checks and small adaptations of the functions that users hand to streams."""

from collections.abc import Callable
from typing import Any

from penstock.operators.functions import Function, KeySelector, Partitioner


def callable_or(kind: type[Function], func: Any) -> None:
    """TypeError unless `func` is of this function class or a plain callable."""
    is_function_class = isinstance(func, type) and issubclass(func, Function)
    if not isinstance(func, kind) and (isinstance(func, Function) or is_function_class or not callable(func)):
        raise TypeError(f"The input must be a {kind.__name__} or a callable function, not {func!r}")


def key_selector_of(selector: Callable[[Any], Any] | KeySelector) -> Callable[[Any], Any]:
    """The selector as a plain callable."""
    return selector.get_key if isinstance(selector, KeySelector) else selector


def partition_of(partitioner: Callable[[Any, int], int] | Partitioner) -> Callable[[Any, int], int]:
    """The partitioner as a plain callable."""
    return partitioner.partition if isinstance(partitioner, Partitioner) else partitioner
