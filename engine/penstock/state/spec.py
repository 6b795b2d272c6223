"""What a registered state is, in the form that both backends and checkpoints share: the descriptor, resolved.

Pure: turns descriptors into specs and specs into the `StateInfo` of a checkpoint and back, and judges whether
a program's state fits what a checkpoint holds.
"""

from dataclasses import dataclass, replace
from typing import Any, Final, final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState, StateError
from penstock.common.typeinfo import PickledBytesTypeInfo
from penstock.records.serializers import PickledSerializer, Serializer, serializer_for, serializer_from
from penstock.state.codec import Migration, migration
from penstock.state.descriptors import StateDescriptor, StateKind
from penstock.state.handles import KeyedHandle, StateInfo

FORMAT: Final = 1
"""Of both backends' handles."""


@final
@dataclass(frozen=True, slots=True)
class StateSpec:
    """One state of one operator."""

    name: str
    kind: StateKind
    value: Serializer
    """Of a value, an accumulator, a list's element, a map's value."""
    map_key: Serializer | None
    """Of a map's keys; None for the other kinds."""
    namespaced: bool
    timed: bool
    """Whether every stored value carries the time it was last used (state with a time to live)."""

    def info(self) -> StateInfo:
        types: dict[str, Any] = {"value": self.value.snapshot()}
        if self.map_key is not None:
            types["map key"] = self.map_key.snapshot()
        options = {name: True for name in ("namespaced", "timed") if getattr(self, name)}
        return StateInfo(self.name, self.kind.value, types, options)


def spec_of(descriptor: StateDescriptor, *, namespaced: bool = False) -> StateSpec:
    """What a program asks for."""
    map_key = descriptor.map_key_type
    return StateSpec(
        descriptor.name,
        descriptor.kind,
        serializer_for(descriptor.value_type),
        None if map_key is None else serializer_for(map_key),
        namespaced,
        descriptor.ttl_config is not None,
    )


def spec_from(info: StateInfo) -> StateSpec:
    """What a checkpoint holds."""
    map_key = info.types.get("map key")
    return StateSpec(
        info.name,
        StateKind(info.kind),
        serializer_from(info.types["value"]),
        None if map_key is None else serializer_from(map_key),
        bool(info.options.get("namespaced")),
        bool(info.options.get("timed")),
    )


def is_undeclared(spec: StateSpec) -> bool:
    """Whether values are any Python objects."""
    return isinstance(spec.value.type_info, PickledBytesTypeInfo)


def undecoded(spec: StateSpec) -> StateSpec:
    """The same for who leaves undeclared values pickled, so that nobody needs their classes."""
    return replace(spec, value=PickledSerializer()) if is_undeclared(spec) else spec


def specs_of(handle: KeyedHandle, operator_name: str) -> list[StateSpec]:
    """The states that a handle holds, in the order of its columns."""
    number = handle.meta.get("format")
    if number != FORMAT:
        raise IncompatibleState(
            f"state of operator {operator_name} has format {number!r} of backend {handle.backend}; "
            f"this Penstock reads format {FORMAT}"
        )
    try:
        return [spec_from(info) for info in msgspec.convert(handle.meta["states"], list[StateInfo])]
    except (KeyError, msgspec.ValidationError) as error:
        raise DamagedData(f"what describes the state of operator {operator_name} cannot be read: {error}") from error


def check_same(held: StateSpec, asked: StateSpec, operator: str) -> None:
    """Refuse a name that the running program uses for two different states."""
    for what, one, other in _differences(held, asked):
        raise StateError(
            f"state {asked.name} of operator {operator} is asked for as {other} and was registered as {one} ({what})"
        )


@final
@dataclass(frozen=True, slots=True)
class Change:
    """What has to be done to entries of a checkpoint before the program can use them."""

    value: Migration | None = None
    map_key: Migration | None = None
    timed: bool | None = None
    """True: give each value the present as the time of its last use; False: take the time away."""

    @property
    def is_nothing(self) -> bool:
        return self.value is None and self.map_key is None and self.timed is None


def change_between(stored: StateSpec, asked: StateSpec, operator: str) -> Change:
    """How to get from what the checkpoint holds to what the program asks for; IncompatibleState if there is no way."""
    where = f"state {asked.name} of operator {operator}"
    if stored.kind is not asked.kind:
        raise IncompatibleState(f"{where} is {stored.kind.value} state in the checkpoint, {asked.kind.value} state now")
    if stored.namespaced is not asked.namespaced:
        owners = ("windows", "keys") if stored.namespaced else ("keys", "windows")
        raise IncompatibleState(f"{where} belongs to {owners[0]} in the checkpoint, to {owners[1]} now")
    map_key = None
    if stored.map_key is not None and asked.map_key is not None:
        map_key = migration(stored.map_key, asked.map_key, f"the map keys of {where}")
    value = migration(stored.value, asked.value, where)
    return Change(value, map_key, asked.timed if stored.timed is not asked.timed else None)


def _differences(held: StateSpec, asked: StateSpec) -> "list[tuple[str, object, object]]":
    pairs = [
        ("kind", held.kind.value, asked.kind.value),
        ("type", held.value.name, asked.value.name),
        ("type of its keys", held.map_key and held.map_key.name, asked.map_key and asked.map_key.name),
        ("windows", held.namespaced, asked.namespaced),
        ("time to live", held.timed, asked.timed),
    ]
    return [pair for pair in pairs if pair[1] != pair[2]]
