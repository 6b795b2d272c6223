"""The base of operators that run a user's function: its life, its part in checkpoints, and its errors.

Subclasses write only the loop over a batch.
"""

from collections.abc import Callable
from typing import Any

from penstock.base.errors import JobDefinitionError
from penstock.base.ids import CheckpointId
from penstock.common.options.jobs import OBJECT_REUSE
from penstock.common.typeinfo import TypeInformation
from penstock.operators.checkpointed import CheckpointedFunction, CheckpointListener
from penstock.operators.emission import Emission
from penstock.operators.failures import Failure, GuardedOutput, blame
from penstock.operators.function_contexts import (
    InitializationContext,
    OperatorRuntimeContext,
    SnapshotContextOfFunction,
)
from penstock.operators.operator import Operator, OperatorContext, Output, SnapshotContext, StateContext
from penstock.state.backend import KeyedBackend


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
        super().setup(context, GuardedOutput(output))
        self.object_reuse = context.configuration.get(OBJECT_REUSE)
        self.emission = Emission(self.output_type, object_reuse=self.object_reuse)

    def initialize_state(self, state: StateContext) -> None:
        self.keyed = state.keyed
        if isinstance(self.function, CheckpointedFunction):
            try:
                self.function.initialize_state(InitializationContext(state))
            except Failure as error:
                blame(self, error, "initialize_state")

    def open(self) -> None:
        self._opened = True
        opener = getattr(self.function, "open", None)
        if callable(opener) and not isinstance(self.function, type):
            try:
                opener(OperatorRuntimeContext(self.context, self.keyed))
            except Failure as error:
                blame(self, error, "open")

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        if isinstance(self.function, CheckpointedFunction):
            try:
                self.function.snapshot_state(SnapshotContextOfFunction(snapshot))
            except Failure as error:
                blame(self, error, "snapshot_state")

    def notify_checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        if isinstance(self.function, CheckpointListener):
            try:
                self.function.notify_checkpoint_complete(checkpoint)
            except Failure as error:
                blame(self, error, "notify_checkpoint_complete")

    def notify_checkpoint_aborted(self, checkpoint: CheckpointId) -> None:
        if isinstance(self.function, CheckpointListener):
            try:
                self.function.notify_checkpoint_aborted(checkpoint)
            except Failure as error:
                blame(self, error, "notify_checkpoint_aborted")

    def close(self) -> None:
        if not self._opened:
            return
        self._opened = False
        closer = getattr(self.function, "close", None)
        if callable(closer) and not isinstance(self.function, type):
            try:
                closer()
            except Failure as error:
                blame(self, error, "close")
