"""What functions are given besides records: RuntimeContext and the contexts of CheckpointedFunction.

Made by the operators, once per operator; nothing here runs per record.
"""

from typing import Any, final

from penstock.common.metrics import MetricGroup
from penstock.operators.checkpointed import FunctionInitializationContext, FunctionSnapshotContext
from penstock.operators.emission import no_timers
from penstock.operators.functions import KeyedStateStore, RuntimeContext
from penstock.operators.operator import OperatorContext, SnapshotContext, StateContext
from penstock.state.api import (
    AggregatingState,
    ListState,
    MapState,
    OperatorStateStore,
    ReducingState,
    ValueState,
)
from penstock.state.backend import KeyedBackend
from penstock.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
    check_descriptor,
)


def keyed_state(keyed: KeyedBackend | None, descriptor: StateDescriptor) -> Any:
    """The handle of a keyed state; a sentence where nothing is keyed."""
    check_descriptor(descriptor, StateDescriptor, "get_keyed_state")
    if keyed is None:
        raise no_timers(f"keyed state ({descriptor.get_name()!r})")
    return keyed.state(descriptor)


class _KeyedStates(KeyedStateStore):
    """Keyed state of an operator."""

    def __init__(self, keyed: KeyedBackend | None) -> None:
        self._keyed = keyed

    def get_state(self, state_descriptor: ValueStateDescriptor) -> ValueState[Any]:
        check_descriptor(state_descriptor, ValueStateDescriptor, "get_state")
        state: ValueState[Any] = keyed_state(self._keyed, state_descriptor)
        return state

    def get_list_state(self, state_descriptor: ListStateDescriptor) -> ListState[Any]:
        check_descriptor(state_descriptor, ListStateDescriptor, "get_list_state")
        state: ListState[Any] = keyed_state(self._keyed, state_descriptor)
        return state

    def get_map_state(self, state_descriptor: MapStateDescriptor) -> MapState[Any, Any]:
        check_descriptor(state_descriptor, MapStateDescriptor, "get_map_state")
        state: MapState[Any, Any] = keyed_state(self._keyed, state_descriptor)
        return state

    def get_reducing_state(self, state_descriptor: ReducingStateDescriptor) -> ReducingState[Any]:
        check_descriptor(state_descriptor, ReducingStateDescriptor, "get_reducing_state")
        state: ReducingState[Any] = keyed_state(self._keyed, state_descriptor)
        return state

    def get_aggregating_state(self, state_descriptor: AggregatingStateDescriptor) -> AggregatingState[Any, Any]:
        check_descriptor(state_descriptor, AggregatingStateDescriptor, "get_aggregating_state")
        state: AggregatingState[Any, Any] = keyed_state(self._keyed, state_descriptor)
        return state


@final
class OperatorRuntimeContext(_KeyedStates, RuntimeContext):
    """RuntimeContext over what the operator was given."""

    def __init__(self, context: OperatorContext, keyed: KeyedBackend | None) -> None:
        super().__init__(keyed)
        self._context = context

    def get_task_name(self) -> str:
        return self._context.task_name

    def get_number_of_parallel_subtasks(self) -> int:
        return self._context.parallelism

    def get_max_number_of_parallel_subtasks(self) -> int:
        return self._context.max_parallelism

    def get_index_of_this_subtask(self) -> int:
        return self._context.subtask

    def get_attempt_number(self) -> int:
        return self._context.attempt

    def get_task_name_with_subtasks(self) -> str:
        context = self._context
        return f"{context.task_name} ({context.subtask + 1}/{context.parallelism})#{context.attempt}"

    def get_job_parameter(self, key: str, default_value: str | None = None) -> str | None:
        return self._context.job_parameters.get(key, default_value)

    def get_metrics_group(self) -> MetricGroup:
        return self._context.metrics


@final
class InitializationContext(FunctionInitializationContext):
    """FunctionInitializationContext over the operator's state."""

    def __init__(self, state: StateContext) -> None:
        self._state = state

    def is_restored(self) -> bool:
        return self._state.is_restored

    def get_restored_checkpoint_id(self) -> int | None:
        return self._state.restored_checkpoint

    def get_operator_state_store(self) -> OperatorStateStore:
        return self._state.operator

    def get_keyed_state_store(self) -> KeyedStateStore:
        return _KeyedStates(self._state.keyed)


@final
class SnapshotContextOfFunction(FunctionSnapshotContext):
    """FunctionSnapshotContext over the operator's."""

    def __init__(self, snapshot: SnapshotContext) -> None:
        self._snapshot = snapshot

    def get_checkpoint_id(self) -> int:
        return self._snapshot.checkpoint

    def get_checkpoint_timestamp(self) -> int:
        return self._snapshot.timestamp_ms
