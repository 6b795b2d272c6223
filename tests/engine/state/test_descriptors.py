"""What users may register state with."""

from typing import Any

import pytest

from penstock.common.typeinfo import Types
from penstock.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)


def test_types_are_those_of_pyflink() -> None:
    assert ListStateDescriptor("l", Types.INT()).type_info == Types.LIST(Types.INT())
    assert MapStateDescriptor("m", Types.INT(), Types.STRING()).type_info == Types.MAP(Types.INT(), Types.STRING())
    assert ValueStateDescriptor("v").type_info == Types.PICKLED_BYTE_ARRAY()


def test_a_reduce_function_is_a_callable_or_has_reduce() -> None:
    class Largest:
        def reduce(self, value1: Any, value2: Any) -> Any:
            return max(value1, value2)

    assert ReducingStateDescriptor("r", Largest(), Types.INT()).reduce(1, 2) == 2
    assert ReducingStateDescriptor("r", min, Types.INT()).reduce(1, 2) == 1
    with pytest.raises(TypeError, match="state r needs a ReduceFunction"):
        ReducingStateDescriptor("r", 3, Types.INT())


def test_an_aggregate_function_must_have_all_its_methods() -> None:
    with pytest.raises(TypeError, match="has no create_accumulator"):
        AggregatingStateDescriptor("a", object(), Types.INT())


def test_a_wrong_name_or_type_is_refused() -> None:
    with pytest.raises(TypeError, match="name of a state"):
        ValueStateDescriptor("", Types.INT())
    with pytest.raises(TypeError, match=r"one of Types"):
        ValueStateDescriptor("v", int)  # type: ignore[arg-type]
