"""Makes the handle that a user function gets, from a descriptor and a backend's handle classes."""

from collections.abc import Callable, Mapping
from typing import Any

from penstock.state import expiry as timed
from penstock.state.api import State
from penstock.state.descriptors import AggregatingStateDescriptor, ReducingStateDescriptor, StateDescriptor, StateKind
from penstock.state.expiry import Expiry
from penstock.state.ttl_config import StateTtlConfig

HandleClasses = Mapping[StateKind, Callable[..., State]]


def handle_of(
    classes: HandleClasses, arguments: tuple[Any, ...], descriptor: StateDescriptor, expiry: Expiry | None
) -> State:
    """The handle over a backend's cells; `arguments` are what the backend's classes take before the function."""
    if expiry is not None:
        return _expiring(classes, arguments, descriptor, expiry)
    make = classes[descriptor.kind]
    if isinstance(descriptor, ReducingStateDescriptor):
        return make(*arguments, descriptor.reduce)
    if isinstance(descriptor, AggregatingStateDescriptor):
        return make(*arguments, descriptor.get_agg_function())
    return make(*arguments)


def _expiring(classes: HandleClasses, arguments: tuple[Any, ...], descriptor: StateDescriptor, expiry: Expiry) -> State:
    if descriptor.kind is StateKind.LIST:
        return timed.ExpiringListState(classes[StateKind.LIST](*arguments), expiry)
    if descriptor.kind is StateKind.MAP:
        return timed.ExpiringMapState(classes[StateKind.MAP](*arguments), expiry)
    single = classes[StateKind.VALUE](*arguments)
    if isinstance(descriptor, ReducingStateDescriptor):
        return timed.ExpiringReducingState(single, expiry, descriptor.reduce)
    if isinstance(descriptor, AggregatingStateDescriptor):
        return timed.ExpiringAggregatingState(single, expiry, descriptor.get_agg_function())
    return timed.ExpiringValueState(single, expiry)


def incremental_cleanup(config: StateTtlConfig | None) -> int:
    """How many keys to look at per record; 0: none."""
    strategy = None if config is None else config.get_cleanup_strategies().get_incremental_cleanup_strategy()
    return 0 if strategy is None else strategy.get_cleanup_size()
