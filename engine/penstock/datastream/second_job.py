"""Finds out whether a script that executes a job would execute another one afterwards, without running on.

A JobManager's script ends where it executes, because what follows is meant for the time after the job. A second
execution would never come, and nobody would be told. Only what is certain counts: statements that follow in the same
blocks, whatever happens, and call an environment that is there already.
"""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from penstock.datastream.data_stream import DataStream
from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment

_EXECUTING: Final = {
    "execute": StreamExecutionEnvironment,
    "execute_async": StreamExecutionEnvironment,
    "execute_and_collect": DataStream,
}
_LEAVING: Final = (ast.Return, ast.Raise, ast.Break, ast.Continue)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def second_execution(script: Path, frame: FrameType | None) -> int | None:
    """The script's line with another execution, if one follows that in which the newest frame is."""
    tree = ast.parse(script.read_bytes())
    while frame is not None:
        if frame.f_code.co_filename == str(script):
            for statement in _following(tree.body, frame.f_lineno):
                if isinstance(statement, _LEAVING):
                    return None
                for call in _certain_calls(statement):
                    if _executes(call, {**frame.f_globals, **frame.f_locals}):
                        return call.lineno
        frame = frame.f_back
    return None


def _following(body: Sequence[ast.stmt], line: int) -> Iterator[ast.stmt]:
    """What comes after this line in its function, innermost block first."""
    for index, statement in enumerate(body):
        if statement.lineno <= line <= (statement.end_lineno or statement.lineno):
            for block in _blocks(statement):
                yield from _following(block, line)
            if not isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
                yield from body[index + 1 :]


def _blocks(statement: ast.stmt) -> Iterator[Sequence[ast.stmt]]:
    for _, value in ast.iter_fields(statement):
        items = value if isinstance(value, list) else ()
        if items and isinstance(items[0], ast.stmt):
            yield items
        else:
            yield from (item.body for item in items if isinstance(item, ast.ExceptHandler | ast.match_case))


def _certain_calls(statement: ast.stmt) -> Iterator[ast.Call]:
    """Calls that are made when the statement is reached, whatever else happens."""
    match statement:
        case ast.With(body=body) | ast.AsyncWith(body=body) | ast.Try(body=body):
            for inner in body:
                if isinstance(inner, _LEAVING):
                    return
                yield from _certain_calls(inner)
        case ast.Expr() | ast.Assign() | ast.AnnAssign():
            yield from (node for node in ast.walk(statement) if isinstance(node, ast.Call))
        case _:
            return


def _executes(call: ast.Call, known: dict[str, Any]) -> bool:
    match call.func:
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if attribute in _EXECUTING:
            return isinstance(known.get(name), _EXECUTING[attribute])
    return False
