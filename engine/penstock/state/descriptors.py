"""What users register state with: a name, types, and how long it lives.

Constructors are those of pyflink.datastream.state. A descriptor is a value; backends read it when the state is
first asked for. Functions are taken by what they can do, because their classes lie in a layer above.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, final

from penstock.common.typeinfo import ListTypeInfo, MapTypeInfo, PickledBytesTypeInfo, TypeInformation
from penstock.state.ttl_config import StateTtlConfig

__all__ = [
    "AggregatingStateDescriptor",
    "ListStateDescriptor",
    "MapStateDescriptor",
    "ReducingStateDescriptor",
    "StateDescriptor",
    "StateKind",
    "StateTtlConfig",
    "ValueStateDescriptor",
]


@final
class StateKind(Enum):
    """What a state is, in the word that checkpoints and errors use."""

    VALUE = "value"
    LIST = "list"
    MAP = "map"
    REDUCING = "reducing"
    AGGREGATING = "aggregating"


class StateDescriptor:
    """Base of the descriptors."""

    kind: StateKind

    def __init__(self, name: str, type_info: TypeInformation | None) -> None:
        """`type_info` None: any Python object."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"the name of a state is a non-empty str, not {name!r}")
        self.name = name
        self.type_info = _checked(name, type_info)
        self._ttl_config: StateTtlConfig | None = None

    def get_name(self) -> str:
        return self.name

    def enable_time_to_live(self, ttl_config: StateTtlConfig) -> None:
        """Let what is put into this state expire."""
        self._ttl_config = ttl_config

    @property
    def ttl_config(self) -> StateTtlConfig | None:
        """None where state does not expire."""
        ttl = self._ttl_config
        return ttl if ttl is not None and ttl.is_enabled() else None

    @property
    def map_key_type(self) -> TypeInformation | None:
        """Of a map; None for the other kinds."""
        return None

    @property
    def value_type(self) -> TypeInformation:
        """Of what is stored once per entry: a value, an accumulator, a list's element, a map's value."""
        return self.type_info

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.type_info!r})"


def check_descriptor(given: Any, wanted: type[StateDescriptor], call: str) -> None:
    """Refuse what `call` does not take: a name alone, or the descriptor of another kind of state."""
    if not isinstance(given, wanted):
        raise TypeError(f"{call}() takes a {wanted.__name__}, not {given!r}")


@final
class ValueStateDescriptor(StateDescriptor):
    """One value per key."""

    kind = StateKind.VALUE

    def __init__(self, name: str, value_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, value_type_info)


@final
class ListStateDescriptor(StateDescriptor):
    """A list per key; or, as operator state, a list per subtask."""

    kind = StateKind.LIST

    def __init__(self, name: str, elem_type_info: TypeInformation | None = None) -> None:
        self._element_type = _checked(name, elem_type_info)
        super().__init__(name, ListTypeInfo(self._element_type))

    @property
    def value_type(self) -> TypeInformation:
        return self._element_type


@final
class MapStateDescriptor(StateDescriptor):
    """A map per key; or, as operator state, a broadcast map."""

    kind = StateKind.MAP

    def __init__(
        self,
        name: str,
        key_type_info: TypeInformation | None = None,
        value_type_info: TypeInformation | None = None,
    ) -> None:
        self._key_type = _checked(name, key_type_info)
        self._value_type = _checked(name, value_type_info)
        super().__init__(name, MapTypeInfo(self._key_type, self._value_type))

    @property
    def map_key_type(self) -> TypeInformation:
        return self._key_type

    @property
    def value_type(self) -> TypeInformation:
        return self._value_type


@final
class ReducingStateDescriptor(StateDescriptor):
    """One value per key, made by reducing what is added."""

    kind = StateKind.REDUCING

    def __init__(self, name: str, reduce_function: Any, type_info: TypeInformation | None = None) -> None:
        super().__init__(name, type_info)
        if not callable(reduce_function) and not callable(getattr(reduce_function, "reduce", None)):
            raise TypeError(f"state {name} needs a ReduceFunction or a callable, not {reduce_function!r}")
        self._reduce_function = reduce_function

    def get_reduce_function(self) -> Any:
        return self._reduce_function

    @property
    def reduce(self) -> Callable[[Any, Any], Any]:
        """The function as a plain callable."""
        found: Callable[[Any, Any], Any] = getattr(self._reduce_function, "reduce", self._reduce_function)
        return found


@final
class AggregatingStateDescriptor(StateDescriptor):
    """One accumulator per key; its type is the declared one."""

    kind = StateKind.AGGREGATING

    def __init__(self, name: str, agg_function: Any, state_type_info: TypeInformation | None = None) -> None:
        super().__init__(name, state_type_info)
        missing = [
            method
            for method in ("create_accumulator", "add", "get_result", "merge")
            if not callable(getattr(agg_function, method, None))
        ]
        if missing:
            raise TypeError(f"state {name} needs an AggregateFunction; {agg_function!r} has no {missing[0]}")
        self._agg_function = agg_function

    def get_agg_function(self) -> Any:
        return self._agg_function


def _checked(name: str, type_info: TypeInformation | None) -> TypeInformation:
    if type_info is None:
        return PickledBytesTypeInfo()
    if not isinstance(type_info, TypeInformation):
        raise TypeError(f"the type of state {name} is one of Types.*, not {type_info!r}")
    return type_info
