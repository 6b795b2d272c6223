"""What the names and expressions of a script stand for, as far as that can be said without running any of it.

Begins with the values that are there, and follows assignments, attributes and calls of the API by its annotations.
Called by `second_job`. Never evaluates anything of the user's: no property, no operator, no call.
"""

import ast
import inspect
import operator
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, Final, final

from penstock.datastream.data_stream import DataStream
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

UNKNOWN: Final = object()
_PLAIN: Final = (bool, int, float, str, bytes, type(None))
_COMPARED: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip


@final
@dataclass(frozen=True, slots=True)
class Some:
    """A value that the script would make: nothing but its class is known."""

    kind: type


@final
@dataclass(frozen=True, slots=True)
class Method:
    """A function, and whose it is."""

    function: FunctionType
    owner: Any


def kind_of(value: Any) -> type:
    """The class of a value, made or to be made."""
    return value.kind if isinstance(value, Some) else type(value)


@final
class Names:
    """The names that a function's statements see. Changes as they are followed."""

    def __init__(self, known: Mapping[str, Any], results: Mapping[ast.Call, Any] | None = None) -> None:
        self._known = dict(known)
        self._results = dict(results or {})

    def copy(self) -> "Names":
        """For a way that may not be taken."""
        return Names(self._known, self._results)

    def told(self, call: ast.Call, result: Any) -> None:
        """Somebody has found out what this call gives."""
        self._results[call] = result

    def assigned(self, target: ast.expr, value: Any) -> None:
        """A statement assigns; what is no plain name only makes others unknown."""
        if isinstance(target, ast.Name):
            self._known[target.id] = value
        else:
            self.forget(target)

    def forget(self, *nodes: ast.AST) -> None:
        """What is assigned in there is not known any more."""
        for node in nodes:
            for name in ast.walk(node):
                match name:
                    case ast.Name(id=assigned, ctx=ast.Store() | ast.Del()):
                        self._known[assigned] = UNKNOWN
                    case ast.FunctionDef(name=assigned) | ast.AsyncFunctionDef(name=assigned):
                        self._known[assigned] = UNKNOWN
                    case ast.ClassDef(name=assigned):
                        self._known[assigned] = UNKNOWN
                    case _:
                        continue

    def value(self, expression: ast.expr) -> Any:
        """A value, a `Some`, a `Method`, or UNKNOWN."""
        match expression:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._known.get(name, UNKNOWN)
            case ast.Attribute(value=owner, attr=attribute):
                return _attribute(self.value(owner), attribute)
            case ast.NamedExpr(value=inner) | ast.Await(value=inner):
                return self.value(inner)
            case ast.Call():
                return self._results[expression] if expression in self._results else self._made(expression)
            case _:
                return UNKNOWN

    def truth(self, test: ast.expr) -> bool | None:
        """Whether a condition holds; None: nobody knows."""
        match test:
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                truth = self.truth(inner)
                return None if truth is None else not truth
            case ast.BoolOp(op=op, values=values):
                truths = {self.truth(value) for value in values}
                decides = isinstance(op, ast.Or)
                return decides if decides in truths else None if None in truths else not decides
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._compared(left, op, right)
            case _:
                value = self.value(test)
                return bool(value) if isinstance(value, _PLAIN) else None

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
        values = self.value(left), self.value(right)
        compare = _COMPARED.get(type(op))
        if compare is None or not all(isinstance(value, _PLAIN) for value in values):
            return None
        try:
            return bool(compare(*values))
        except TypeError:
            return None

    def _made(self, call: ast.Call) -> Any:
        """What a class or a call of the API gives, by its annotation."""
        called = self.value(call.func)
        if isinstance(called, type):
            return Some(called)
        owner = called.owner if isinstance(called, Method) else None
        function = called.function if isinstance(called, Method) else called
        if not isinstance(function, FunctionType):
            return UNKNOWN
        try:
            given = typing.get_type_hints(function).get("return")
        except (NameError, TypeError, AttributeError):
            return UNKNOWN
        if given is typing.Self and owner is not None:
            return Some(kind_of(owner))
        return Some(given) if isinstance(given, type) and issubclass(given, _OF_INTEREST) else UNKNOWN


_OF_INTEREST: Final = (DataStream, StreamExecutionEnvironment)


def arguments_of(function: FunctionType, given: Sequence[Any], call: ast.Call, names: Names) -> dict[str, Any]:
    """The function's parameters, with what this call gives them. Defaults and what is unpacked are not known."""
    parameters = inspect.signature(function).parameters.values()
    bound = {parameter.name: UNKNOWN for parameter in parameters}
    positional = (p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
    bound |= dict(zip(positional, [*given, *_positional(call, names)], strict=False))
    bound |= {word.arg: names.value(word.value) for word in call.keywords if word.arg in bound and word.arg is not None}
    return bound


def _positional(call: ast.Call, names: Names) -> Iterator[Any]:
    for argument in call.args:
        if isinstance(argument, ast.Starred):
            return
        yield names.value(argument)


def _attribute(owner: Any, name: str) -> Any:
    if owner is UNKNOWN or isinstance(owner, Method):
        return UNKNOWN
    own = {} if isinstance(owner, Some) else getattr(owner, "__dict__", {})
    if name in own and not isinstance(owner, type):
        return own[name]
    if isinstance(owner, ModuleType):
        return UNKNOWN
    kind = owner if isinstance(owner, type) else kind_of(owner)
    found = inspect.getattr_static(kind, name, UNKNOWN)
    if isinstance(found, staticmethod):
        return found.__func__
    if isinstance(found, FunctionType):
        return found if isinstance(owner, type) else Method(found, owner)
    return UNKNOWN
