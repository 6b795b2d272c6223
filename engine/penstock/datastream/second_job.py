"""Finds out whether a script that executes a job would execute another one afterwards, without running on.

A JobManager's script ends where it executes, because what follows is meant for the time after the job. A second
execution would never come, and nobody would be told. So the statements are followed that come after, through loops and
the user's own functions: what comes whatever happens is certain, what stands behind a condition is not.
"""

import ast
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import islice
from pathlib import Path
from types import CellType, CodeType, FrameType, FunctionType
from typing import Any, Final, final

from penstock.base.tracebacks import is_users
from penstock.datastream.data_stream import DataStream
from penstock.datastream.script_values import UNKNOWN, Method, Names, Some, arguments_of, kind_of
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

_EXECUTING: Final = {
    "execute": StreamExecutionEnvironment,
    "execute_async": StreamExecutionEnvironment,
    "execute_and_collect": DataStream,
}
_LATER: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
"""Functions whose calls run nothing yet."""
_DEPTH_MAX: Final = 10
_LEAVING: Final = (sys.exit, os._exit, os.abort)
_Point = tuple[int, int]
"""A line, and a column in it."""
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@final
@dataclass(frozen=True, slots=True)
class SecondJob:
    """Where another job would be executed."""

    file: Path
    line: int
    is_certain: bool
    """Otherwise it depends on what cannot be known before."""


def second_execution(script: Path, frame: FrameType | None) -> SecondJob | None:
    """The other execution, if one follows that in which the newest frame is; the certain one of several."""
    walk, sure = _Walk(), True
    while frame is not None:
        scope = _scope(frame.f_code, frame.f_lineno) if is_users(frame.f_code) else None
        if scope is not None:
            names = Names({**frame.f_globals, **frame.f_locals})
            walk.file = Path(frame.f_code.co_filename)
            ways = walk.resume(scope.body, _point(frame), names, sure)
            if not ways & {_Way.ON, _Way.RETURN}:
                break
            sure = sure and _Way.RAISE not in ways
        is_script = frame.f_code.co_filename == str(script) and frame.f_code.co_name == "<module>"
        frame = None if is_script else frame.f_back
    return walk.certain or walk.possible


class _Way(Enum):
    """How control leaves a statement."""

    ON = auto()
    BREAK = auto()
    CONTINUE = auto()
    RETURN = auto()
    RAISE = auto()


_ON: Final = frozenset({_Way.ON})
_Ways = frozenset[_Way]


@final
class _Walk:
    """Follows statements as control would go, and notes executions."""

    def __init__(self) -> None:
        self.certain: SecondJob | None = None
        self.possible: SecondJob | None = None
        self.file = Path()
        self._entered: list[CodeType] = []
        self._returned: Any = UNKNOWN

    def resume(self, body: Sequence[ast.stmt], point: _Point, names: Names, sure: bool) -> _Ways:
        """From within the statement at this point to the end of the body."""
        for index, statement in enumerate(body):
            if _holds([statement], point):
                ways = self._rest_of(statement, point, names, sure)
                if _Way.ON not in ways:
                    return ways
                return (ways - _ON) | self._block(body[index + 1 :], names, sure and ways == _ON)
        return _ON

    def _rest_of(self, statement: ast.stmt, point: _Point, names: Names, sure: bool) -> _Ways:
        """What is left of a statement that control is in."""
        inside = next((block for block in _blocks(statement) if _holds(block, point)), None)
        match statement:
            case ast.For() | ast.AsyncFor() | ast.While() if inside is statement.body:
                ways = self.resume(inside, point, names, sure)
                if ways & {_Way.ON, _Way.CONTINUE}:
                    self._block(inside, names.copy(), sure=False)
                return self._after_loop(statement, ways)
            case ast.Try() | ast.TryStar() if inside is not None and inside is not statement.finalbody:
                # What its handlers do is for a job that fails, which nobody goes on after.
                ways = self.resume(inside, point, names, sure)
                return self._finally(statement, ways, names, sure, orelse=inside is statement.body)
            case _ if inside is not None:
                return self.resume(inside, point, names, sure)
            case ast.Return():
                return frozenset({_Way.RETURN})
            case ast.Expr(value=ast.Call() as call) if self._leaves(call, names):
                return frozenset({_Way.RAISE})
            case _:
                names.forget(statement)
                return _ON

    def _block(self, body: Sequence[ast.stmt], names: Names, sure: bool) -> _Ways:
        ways = _ON
        for statement in body:
            out = self._statement(statement, names, sure)
            ways = (ways - _ON) | out
            if _Way.ON not in out:
                return ways
            sure = sure and out == _ON
        return ways

    def _statement(self, statement: ast.stmt, names: Names, sure: bool) -> _Ways:
        """Follow one statement."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.forget(statement)
                return _ON
            case ast.If(test=test):
                return self._if(statement, names, self._expression(test, names, sure) and sure)
            case ast.For(iter=before) | ast.AsyncFor(iter=before) | ast.While(test=before):
                self._expression(before, names, sure)
                names.forget(statement)
                ways = self._block(statement.body, names.copy(), sure=False)
                return self._after_loop(statement, ways | _ON)
            case ast.Try() | ast.TryStar():
                return self._finally(statement, self._block(statement.body, names, sure), names, sure, orelse=True)
            case ast.With() | ast.AsyncWith():
                for item in statement.items:
                    self._expression(item.context_expr, names, sure)
                return self._block(statement.body, names, sure)
            case ast.Match():
                self._expression(statement.subject, names, sure)
                return self._either([case.body for case in statement.cases], names) | _ON
            case _:
                return self._simple(statement, names, sure)

    def _simple(self, statement: ast.stmt, names: Names, sure: bool) -> _Ways:
        goes_on = all(self._expression(value, names, sure) for value in _expressions(statement))
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    names.assigned(target, names.value(value))
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                names.assigned(target, names.value(value))
            case ast.Return(value=value):
                self._returned = UNKNOWN if value is None else names.value(value)
                return frozenset({_Way.RETURN})
            case ast.Raise():
                return frozenset({_Way.RAISE})
            case ast.Break():
                return frozenset({_Way.BREAK})
            case ast.Continue():
                return frozenset({_Way.CONTINUE})
            case _:
                names.forget(statement)
        return _ON if goes_on else frozenset({_Way.RAISE})

    def _if(self, statement: ast.If, names: Names, sure: bool) -> _Ways:
        truth = names.truth(statement.test)
        if truth is not None:
            return self._block(statement.body if truth else statement.orelse, names, sure)
        seen = self.certain
        ways, branches = frozenset[_Way](), list[SecondJob | None]()
        for branch in (statement.body, statement.orelse):
            self.certain = None
            ways |= self._block(branch, names.copy(), sure=True)
            branches.append(self.certain)
        self.certain = seen
        found = [branch for branch in branches if branch is not None]
        if found:
            self._note(found[0], sure and len(found) == len(branches))
        names.forget(*statement.body, *statement.orelse)
        return ways

    def _either(self, blocks: Sequence[Sequence[ast.stmt]], names: Names) -> _Ways:
        ways = frozenset[_Way]()
        for block in blocks:
            ways |= self._block(block, names.copy(), sure=False)
        names.forget(*(statement for block in blocks for statement in block))
        return ways

    def _finally(
        self, statement: ast.Try | ast.TryStar, ways: _Ways, names: Names, sure: bool, *, orelse: bool
    ) -> _Ways:
        if orelse and _Way.ON in ways:
            ways = (ways - _ON) | self._block(statement.orelse, names, sure and ways == _ON)
        if _Way.RAISE in ways and statement.handlers:
            ways = (ways - {_Way.RAISE}) | self._either([handler.body for handler in statement.handlers], names)
        last = self._block(statement.finalbody, names, sure)
        return ways if last == _ON else last

    def _after_loop(self, statement: ast.stmt, ways: _Ways) -> _Ways:
        endless = isinstance(statement, ast.While) and isinstance(statement.test, ast.Constant) and statement.test.value
        on = _Way.BREAK in ways or not endless
        return (ways - {_Way.ON, _Way.BREAK, _Way.CONTINUE}) | (_ON if on else frozenset())

    def _expression(self, expression: ast.expr, names: Names, sure: bool) -> bool:
        """Follow its calls, the inner ones first. Whether control comes back from all of them."""
        return all(self._call(call, names, sure and certain) for call, certain in _calls(expression, True))

    def _call(self, call: ast.Call, names: Names, sure: bool) -> bool:
        called = names.value(call.func)
        attribute = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if isinstance(called, Method) and issubclass(kind_of(called.owner), _EXECUTING.get(attribute, ())):
            self._note(SecondJob(self.file, call.lineno, sure), sure)
            return True
        if self._leaves(call, names):
            return False
        match called:
            case Method(function=function, owner=owner):
                return self._enter(function, [owner], call, names, sure)
            case FunctionType():
                return self._enter(called, [], call, names, sure)
            case type() if isinstance(begin := vars(called).get("__init__"), FunctionType):
                return self._enter(begin, [Some(called)], call, names, sure) or True
        return True

    def _enter(self, function: FunctionType, given: Sequence[Any], call: ast.Call, names: Names, sure: bool) -> bool:
        """Follow a call of a function of the user's own. Whether control comes back."""
        code = function.__code__
        if code in self._entered or len(self._entered) == _DEPTH_MAX or code.co_flags & _LATER or not is_users(code):
            return True
        scope = _scope(code, code.co_firstlineno)
        if scope is None:
            return True
        inner = Names({**function.__globals__, **_closure(function), **arguments_of(function, given, call, names)})
        caller, self.file, self._returned = self.file, Path(code.co_filename), UNKNOWN
        self._entered.append(code)
        ways = self._block(scope.body, inner, sure)
        self._entered.pop()
        if self._returned is not UNKNOWN:
            names.told(call, self._returned)
        self.file, self._returned = caller, UNKNOWN
        return bool(ways & {_Way.ON, _Way.RETURN})

    def _leaves(self, call: ast.Call, names: Names) -> bool:
        called = names.value(call.func)
        plain = isinstance(call.func, ast.Name) and call.func.id in ("exit", "quit") and called is UNKNOWN
        return plain or any(called is leaving for leaving in _LEAVING)

    def _note(self, found: SecondJob, sure: bool) -> None:
        if sure:
            self.certain = self.certain or found
        else:
            self.possible = self.possible or SecondJob(found.file, found.line, is_certain=False)


def _point(frame: FrameType) -> _Point:
    """Where a frame is."""
    line, _, column, _ = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None))
    return line or frame.f_lineno, column or 0


def _closure(function: FunctionType) -> dict[str, Any]:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells if cell != CellType()}


def _scope(code: CodeType, line: int) -> _Scope | None:
    """The function, class or module that this code is of; None where there is no source, or it is a lambda."""
    tree = _parsed(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    scopes = (node for node in ast.walk(tree) if isinstance(node, _Scope) and not isinstance(node, ast.Module))
    found = [
        node
        for node in scopes
        if node.name == code.co_name and _first_line(node) <= line <= (node.end_lineno or node.lineno)
    ]
    return max(found, key=lambda node: node.lineno, default=None)


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


@cache
def _parsed(file: str) -> ast.Module | None:
    try:
        return ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    for _, value in ast.iter_fields(statement):
        items = value if isinstance(value, list) else ()
        if items and isinstance(items[0], ast.stmt):
            yield items
        else:
            yield from (item.body for item in items if isinstance(item, ast.ExceptHandler | ast.match_case))


def _holds(block: Sequence[ast.stmt], point: _Point) -> bool:
    first, last = block[0], block[-1]
    return (first.lineno, first.col_offset) <= point < (last.end_lineno or 0, last.end_col_offset or 0)


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    return (child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr))


def _calls(node: ast.AST, certain: bool) -> Iterator[tuple[ast.Call, bool]]:
    """Calls within an expression, inner ones first, and whether each is made whatever the expression's values are."""
    match node:
        case ast.Lambda():
            return
        case ast.BoolOp() | ast.IfExp() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            certain = False
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, certain)
    if isinstance(node, ast.Call):
        yield node, certain
