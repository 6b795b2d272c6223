"""Marks the calls of PyFlink 1.x that programs still make, each with what replaces it."""

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated(instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """The call works, and warns that `instead` has replaced it."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        name = function.__qualname__.removesuffix(".__init__")

        @functools.wraps(function)
        def warn_and_call(*args: P.args, **kwargs: P.kwargs) -> R:
            warnings.warn(f"{name} is deprecated: {instead}", DeprecationWarning, stacklevel=2)
            return function(*args, **kwargs)

        warn_and_call.__deprecated__ = instead  # type: ignore[attr-defined]
        return warn_and_call

    return decorate
