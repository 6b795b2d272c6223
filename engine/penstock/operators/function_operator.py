"""The base of operators that run a user's function: its life, its part in checkpoints, and its errors.

Subclasses write only the loop over a batch. Errors are caught once per batch: the position of the failing record
follows from how far the loop's iterator got, so that nothing is kept per record.
"""

import operator
import reprlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock.base.errors import JobDefinitionError, UserFunctionError
from penstock.base.ids import CheckpointId
from penstock.common.typeinfo import TypeInformation
from penstock.operators.checkpointed import CheckpointedFunction, CheckpointListener
from penstock.operators.emission import Emission
from penstock.operators.function_contexts import (
    InitializationContext,
    OperatorRuntimeContext,
    SnapshotContextOfFunction,
)
from penstock.operators.operator import Operator, OperatorContext, Output, SnapshotContext, StateContext
from penstock.records.batch import Batch
from penstock.state.backend import KeyedBackend

_NOTHING: Final = object()

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 120
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = 8
_REPR.maxlevel = 3

Failure = (Exception, SystemExit)
"""What user code may raise. SystemExit too: `sys.exit()` in a function is its failure, not the worker's end."""


def method_of(function: Any, method: str) -> Callable[..., Any]:
    """The callable to run: a method of a function class, or the plain callable itself."""
    bound = getattr(function, method, None)
    if callable(bound):
        found: Callable[..., Any] = bound
        return found
    if callable(function):
        plain: Callable[..., Any] = function
        return plain
    raise JobDefinitionError(f"{function!r} is neither callable nor has it a method {method}")


class FunctionOperator(Operator):
    """An operator around one user function."""

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        self.function = function
        self.output_type = output_type
        self.keyed: KeyedBackend | None = None
        self._opened = False

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self.object_reuse = context.configuration.get_boolean("pipeline.object-reuse", False)
        self.emission = Emission(self.output_type, object_reuse=self.object_reuse)

    def initialize_state(self, state: StateContext) -> None:
        self.keyed = state.keyed
        if isinstance(self.function, CheckpointedFunction):
            try:
                self.function.initialize_state(InitializationContext(state))
            except Failure as error:
                raise self.blamed(error, "initialize_state") from error

    def open(self) -> None:
        self._opened = True
        opener = getattr(self.function, "open", None)
        if callable(opener) and not isinstance(self.function, type):
            try:
                opener(OperatorRuntimeContext(self.context, self.keyed))
            except Failure as error:
                raise self.blamed(error, "open") from error

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        if isinstance(self.function, CheckpointedFunction):
            try:
                self.function.snapshot_state(SnapshotContextOfFunction(snapshot))
            except Failure as error:
                raise self.blamed(error, "snapshot_state") from error

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        if isinstance(self.function, CheckpointListener):
            try:
                self.function.notify_checkpoint_complete(checkpoint)
            except Failure as error:
                raise self.blamed(error, "notify_checkpoint_complete") from error

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        if isinstance(self.function, CheckpointListener):
            try:
                self.function.notify_checkpoint_aborted(checkpoint)
            except Failure as error:
                raise self.blamed(error, "notify_checkpoint_aborted") from error

    def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        closer = getattr(self.function, "close", None)
        if callable(closer) and not isinstance(self.function, type):
            try:
                closer()
            except Failure as error:
                raise self.blamed(error, "close") from error

    def blamed(self, error: BaseException, doing: str) -> UserFunctionError:
        """The error to raise `from error`; it says which operator and subtask failed, and doing what."""
        if isinstance(error, UserFunctionError):
            return error
        context = self.context
        return UserFunctionError(
            f"operator {context.name!r} (subtask {context.subtask + 1} of {context.parallelism}) failed in {doing}: "
            f"{type(error).__name__}: {error}"
        )

    def blamed_on_record(self, error: BaseException, batch: Batch, records: Iterator[Any]) -> UserFunctionError:
        """As `blamed`, for the record that the loop over `records` took last."""
        index = len(batch.values) - operator.length_hint(records) - 1
        record = batch.values[index] if 0 <= index < len(batch.values) else _NOTHING
        return self.blamed(error, "its function" if record is _NOTHING else f"record {shortened(record)}")


def shortened(value: Any) -> str:
    """A record as it may stand in an error: short, whatever it is."""
    try:
        return _REPR.repr(value)
    except Exception as error:
        return f"<{type(value).__name__} whose repr fails: {error}>"
