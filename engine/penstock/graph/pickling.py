"""How the user's code travels: cloudpickle, with the script's own classes sent once.

A class of the script (`__main__`) must be one and the same object in every operator of a worker, or `isinstance` and
pickled values break; so all of them travel in one prelude that workers install under `__main__`, and what is pickled
afterwards only names them. Used by `penstock.graph.chaining`; loads nothing.
"""

import io
import pickle
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, final

import cloudpickle

from penstock.base.errors import JobDefinitionError
from penstock.records.serializers import explain_unpicklable


@final
class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Cloudpickle, except that some classes are pickled by name, and that classes with slots keep them."""

    def __init__(self, file: io.BytesIO, by_name: frozenset[int] = frozenset()) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._by_name = by_name

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, type):
            return super().reducer_override(obj)
        if id(obj) in self._by_name:
            return NotImplemented  # Plain pickle names a class that its module can find.
        return _with_slots(obj, super().reducer_override(obj))


def _with_slots(cls: type, reduced: Any) -> Any:
    """Cloudpickle makes the class anew without slots: its objects would have a `__dict__`, and pickle differently."""
    if not isinstance(reduced, tuple) or "__slots__" not in vars(cls) or issubclass(cls, Enum):
        return reduced
    make, (metaclass, name, bases, body, *others), *rest = reduced
    return make, (metaclass, name, bases, {**body, "__slots__": vars(cls)["__slots__"]}, *others), *rest


def _dumped(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


@final
class UserCode:
    """Pickles factories against the prelude of one script."""

    def __init__(self, main: ModuleType | None) -> None:
        classes = {} if main is None else _own_classes(main)
        self.prelude: bytes
        self._classes, self.prelude = _largest_picklable(classes)
        self._by_name = frozenset(id(cls) for cls in self._classes.values())

    def dump(self, value: Callable[..., object] | tuple[object, ...], what: str) -> bytes:
        """`value` as bytes; JobDefinitionError names `what` and the attribute that cannot travel."""
        buffer = io.BytesIO()
        try:
            _Pickler(buffer, self._by_name).dump(value)
        except JobDefinitionError as error:
            raise JobDefinitionError(f"{what} cannot be sent to the workers: {error}") from error
        except Exception as error:  # Whatever a user's __reduce__ or __getstate__ raises.
            raise JobDefinitionError(f"{what} cannot be sent to the workers: {_explained(value, error)}") from error
        return buffer.getvalue()


def _explained(value: object, error: Exception) -> str:
    """Which attribute of the user's function it is, and what pickle says of it."""
    parts = (*value.args, *value.keywords.values()) if isinstance(value, partial) else (value,)
    culprit = next((part for part in parts if not _is_picklable(part)), value)
    name = culprit.__name__ if isinstance(culprit, FunctionType) else type(culprit).__name__
    return name + explain_unpicklable(culprit, error, dumps=_dumped).removeprefix("value")


def _own_classes(main: ModuleType) -> dict[str, type]:
    """The classes that the script defines at its top level, under the names by which pickle finds them."""
    return {
        name: value
        for name, value in vars(main).items()
        if isinstance(value, type) and value.__module__ == main.__name__ and value.__qualname__ == name
    }


def _largest_picklable(classes: Mapping[str, type]) -> tuple[dict[str, type], bytes]:
    """All classes that can be pickled; the others fail later, with a name, if an operator needs them."""
    try:
        return dict(classes), _dumped(dict(classes))
    except Exception:  # A class body may hold anything.
        kept = {name: cls for name, cls in classes.items() if _is_picklable(cls)}
        return kept, _dumped(kept)


def _is_picklable(value: object) -> bool:
    try:
        _dumped(value)
    except Exception:  # Whatever the user's code raises.
        return False
    return True
