"""Why an object cannot be pickled, as a sentence that names the attribute: `value.conn: cannot pickle 'socket' object`.

Called once something has failed; it tries the parts of the object one after the other, so it is slow and does not mind.
"""

import functools
import itertools
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, Final

Dumps = Callable[[Any], Any]

_DEPTH_MAX: Final = 20
_PARTS_MAX: Final = 10_000


def explain_unpicklable(
    obj: Any, error: BaseException | None = None, *, dumps: Dumps = lambda value: pickle.dumps(value, 5)
) -> str:
    """The path to the innermost part that cannot be pickled, and what pickle says of it.

    `dumps` is what failed: give cloudpickle's for functions. `error` stands in where the failure does not repeat.
    """
    failure = _failure(obj, dumps)
    if failure is None:
        return f"value: {_sentence(error)}" if error is not None else "value can be pickled"
    path, seen = "value", {id(obj)}
    for _ in range(_DEPTH_MAX):
        found = _first_failing(obj, dumps, seen)
        if found is None:
            break
        step, obj, failure = found
        path += step
        seen.add(id(obj))
    return f"{path}: {_sentence(failure)}"


def _failure(obj: Any, dumps: Dumps) -> Exception | None:
    try:
        dumps(obj)
    except Exception as error:
        return error
    return None


def _sentence(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text.removeprefix("Can't").strip().join(("cannot ", "")) if text.startswith("Can't") else text


def _first_failing(obj: Any, dumps: Dumps, seen: set[int]) -> tuple[str, Any, Exception] | None:
    for step, part in itertools.islice(_parts(obj), _PARTS_MAX):
        if id(part) in seen:
            continue
        failure = _failure(part, dumps)
        if failure is not None:
            return step, part, failure
    return None


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """What an object consists of, each part with the step that leads to it."""
    if isinstance(obj, FunctionType):
        yield from _parts_of_function(obj)
    elif isinstance(obj, MethodType):
        yield ".__self__", obj.__self__
    elif isinstance(obj, functools.partial):
        yield ".func", obj.func
        yield from _indexed(obj.args)
        yield from _keyed(obj.keywords)
    elif isinstance(obj, Mapping):
        yield from _keyed(obj)
    elif isinstance(obj, tuple | list | set | frozenset):
        yield from _indexed(obj)
    if not isinstance(obj, type | FunctionType):
        yield from _attributes(obj)


def _indexed(parts: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for at, part in enumerate(parts):
        yield f"[{at}]", part


def _keyed(parts: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, part in list(parts.items()):
        yield f"[{key!r}]", part
        yield f"[key {key!r}]", key


def _attributes(obj: Any) -> Iterator[tuple[str, Any]]:
    for name, part in list(getattr(obj, "__dict__", {}).items()):
        yield f".{name}", part
    for cls in type(obj).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("__") and hasattr(obj, name):
                yield f".{name}", getattr(obj, name)


def _parts_of_function(function: FunctionType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f" (variable {name})", cell.cell_contents
        except ValueError:
            continue  # Not assigned yet.
    yield from ((f" (default {at})", part) for at, part in enumerate(function.__defaults__ or ()))
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield f" (global {name})", function.__globals__[name]
