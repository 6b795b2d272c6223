"""Stands in for the classes of a job's script, so that what it pickled can be looked at without it.

A value of a class of the script is pickled by the name `__main__.Visit`. Once `install` was called, every such name is
found: a class that holds whatever the pickle says of its instances, and pickles to the same again. Classes of modules
are imported as always: those must be on the path.
"""

import copyreg
import sys
from types import ModuleType
from typing import Any, Final, final

_newobj: Any = copyreg.__dict__["__newobj__"]
"""What pickle makes objects with: by it the class is called as it was, with no more than its name known."""

_HELD: Final = "__penstock_held__"
"""Where an object keeps what is not an attribute."""


class StandIn:
    """An object of a class that is not at hand. Attributes that were pickled by name can be read and changed."""

    def __new__(cls, *arguments: Any, **named: Any) -> "StandIn":
        made = super().__new__(cls)
        object.__setattr__(made, _HELD, (arguments, None))
        return made

    def __init__(self, *arguments: Any, **named: Any) -> None:
        return None

    def __setstate__(self, state: Any) -> None:
        arguments, _ = self.__dict__[_HELD]
        inner = state[1] if isinstance(state, tuple) and len(state) == 2 else state
        if isinstance(inner, dict) and _HELD not in inner:
            self.__dict__.update(inner)
            state = "slots" if inner is not state else "attributes"
        object.__setattr__(self, _HELD, (arguments, state))

    def __reduce_ex__(self, protocol: Any) -> Any:
        arguments, state = self.__dict__[_HELD]
        attributes = self._attributes()
        if state == "slots":
            state = (None, attributes)
        elif state == "attributes" or (state is None and attributes):
            state = attributes
        return _newobj, (type(self), *arguments), state

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), repr(self.__dict__)))

    def parts(self) -> dict[str, Any]:
        """What is known of it, by name."""
        arguments, state = self.__dict__[_HELD]
        found = self._attributes()
        if arguments:
            found["arguments"] = list(arguments)
        if state not in (None, "slots", "attributes"):
            found["state"] = state
        return found

    def _attributes(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != _HELD}


@final
class _Script(ModuleType):
    """A `__main__` that has every class."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (StandIn,), {"__module__": "__main__", "__qualname__": name})
        setattr(self, name, made)
        return made


def install() -> ModuleType:
    """From now on, in this process; the module that stands for the script. Our own `__main__` stays alive."""
    ours = sys.modules["__main__"]
    script = _Script("__main__")
    script.__dict__["__penstock_main__"] = ours
    sys.modules["__main__"] = script
    return script
