"""What becomes of exceptions that users' code raises: one sentence about where, and the exception as its cause.

Operators catch once per batch. Which record it was follows from how far the loop's iterator got, so that nothing is
kept per record; and what an operator further down the chain raises is not blamed on the one that emitted to it.
"""

import operator as operators
import reprlib
from asyncio import CancelledError
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, NoReturn, final

from penstock.base.errors import UserFunctionError
from penstock.base.tracebacks import said
from penstock.operators.operator import Operator, Output
from penstock.records.batch import Batch

Failure: Final = (Exception, SystemExit, KeyboardInterrupt, GeneratorExit, CancelledError)
"""What user code may raise. SystemExit too: `sys.exit()` in a function is its failure, not the worker's end. No try
that catches it has a yield in it, where GeneratorExit would mean something else."""

_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = 8
_REPR.maxlevel = 3


@final
class GuardedOutput:
    """An operator's output that knows whether it is being emitted to."""

    __slots__ = ("_output", "emitting")

    def __init__(self, output: Output) -> None:
        self._output = output
        self.emitting = False

    def batch(self, batch: Batch) -> None:
        self.emitting = True
        self._output.batch(batch)
        self.emitting = False

    def side(self, tag: str, batch: Batch) -> None:
        self.emitting = True
        self._output.side(tag, batch)
        self.emitting = False

    def watermark(self, timestamp_ms: int) -> None:
        self.emitting = True
        self._output.watermark(timestamp_ms)
        self.emitting = False

    def status(self, idle: bool) -> None:
        self.emitting = True
        self._output.status(idle)
        self.emitting = False


def blame(operator: Operator, error: BaseException, doing: str) -> NoReturn:
    """Raise the error that says which operator and subtask failed, and doing what."""
    output = operator.output
    if isinstance(error, UserFunctionError) or (isinstance(output, GuardedOutput) and output.emitting):
        raise error
    context = operator.context
    raise UserFunctionError(
        f"operator {context.name!r} (subtask {context.subtask + 1} of {context.parallelism}) failed in {doing}: "
        f"{said(error)}"
    ) from error.with_traceback(_from_users_code(error.__traceback__))


def _from_users_code(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the operators' own frames at its head; all of it if there are no others."""
    rest = traceback
    while rest is not None and rest.tb_frame.f_globals.get("__name__", "").startswith("penstock.operators."):
        rest = rest.tb_next
    return rest if rest is not None else traceback


def blame_record(operator: Operator, error: BaseException, batch: Batch, records: Iterator[Any]) -> NoReturn:
    """As `blame`, for the record of the batch that the loop over `records` took last."""
    index = len(batch.values) - operators.length_hint(records) - 1
    known = 0 <= index < len(batch.values)
    blame(operator, error, f"record {shortened(batch.values[index])}" if known else "its function")


def made_by(call: str, made: Any, wanted: str, needs: str) -> Any:
    """What a user's `call` gave, if it can be the `wanted` one: it has the method that is needed most."""
    if not callable(getattr(made, needs, None)):
        raise TypeError(f"{call}() gives a {wanted}, not {made!r}")
    return made


def shortened(value: Any) -> str:
    """A record as it may stand in an error: short, whatever it is."""
    try:
        return _REPR.repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr fails: {error}>"
