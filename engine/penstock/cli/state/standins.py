"""Stands in for the classes of a job's script, so that what it pickled can be looked at without it.

A value of a class of the script is pickled by the name `__main__.Visit`. Once `install` was called, every such name is
found: a class that holds whatever the pickle says of its instances, and pickles to the same again. Classes of modules
are imported as always: those must be on the path.
"""

import copyreg
import sys
from types import ModuleType
from typing import Any, final

_newobj: Any = copyreg.__dict__["__newobj__"]
"""What pickle makes objects with: by it the class is called as it was, with no more than its name known."""


class StandIn:
    """An object of a class that is not at hand."""

    def __new__(cls, *arguments: Any, **named: Any) -> "StandIn":
        made = super().__new__(cls)
        made._arguments = arguments
        made._state = None
        return made

    def __init__(self, *arguments: Any, **named: Any) -> None:
        return None

    _arguments: tuple[Any, ...]
    _state: Any

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _newobj, (type(self), *self._arguments), self._state

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._known() == other._known()

    def __hash__(self) -> int:
        return hash((type(self), self._arguments))

    def parts(self) -> dict[str, Any]:
        """What is known of it, by name."""
        found: dict[str, Any] = {}
        states = self._state if isinstance(self._state, tuple) else (self._state,)
        for state in states:
            if isinstance(state, dict):
                found |= {str(name): value for name, value in state.items()}
            elif state is not None:
                found["state"] = state
        if self._arguments:
            found["arguments"] = list(self._arguments)
        return found

    def _known(self) -> tuple[Any, Any]:
        return self._arguments, self._state


@final
class _Script(ModuleType):
    """A `__main__` that has every class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (StandIn,), {"__module__": "__main__", "__qualname__": name})
        setattr(self, name, made)
        return made


def install() -> None:
    """From now on, in this process. Our own `__main__` is kept from being collected."""
    ours = sys.modules["__main__"]
    script = _Script("__main__")
    script.__dict__["__penstock_main__"] = ours
    sys.modules["__main__"] = script
