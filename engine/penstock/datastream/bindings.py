"""Which operator carries out which call of a stream: the only place of this layer that names operators.

Each function gives a factory: a partial that is pickled with the user's function in it and called in the worker.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from penstock.common.typeinfo import TypeInformation
from penstock.operators.aggregations import FieldAggregation, Reduce
from penstock.operators.connect import BroadcastProcess, CoFlatMap, CoMap
from penstock.operators.operator import Operator
from penstock.operators.process import CoProcess, Process
from penstock.operators.simple_sinks import InvokeSink, Print
from penstock.operators.sorted_input import SortedAround, SortedInput
from penstock.operators.transforms import Filter, FlatMap, KeyBy, Map, Project
from penstock.state.descriptors import MapStateDescriptor

Factory = Callable[[], Operator]


def map_(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(Map, function, output_type)


def flat_map(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(FlatMap, function, output_type)


def filter_(function: Any) -> Factory:
    return partial(Filter, function)


def process(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(Process, function, output_type)


def project(positions: Sequence[int]) -> Factory:
    return partial(Project, *positions)


def key_by(selector: Any, key_type: TypeInformation | None) -> Factory:
    return partial(KeyBy, selector, key_type)


def reduce(function: Any, output_type: TypeInformation | None, *, final_only: bool) -> Factory:
    return partial(Reduce, function, output_type, final_only=final_only)


def field_aggregation(kind: str, field: int | str) -> FieldAggregation:
    return FieldAggregation(kind, field)


def sorted_input() -> Factory:
    """In a batch: what stands before a keyed operator with one input."""
    return SortedInput


def sorted_inputs(factory: Factory) -> Factory:
    """In a batch: what stands around a keyed operator with two inputs, or with timers."""
    return partial(_sorted_around, factory)


def _sorted_around(factory: Callable[[], Operator]) -> Operator:
    return SortedAround(factory())


def co_map(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(CoMap, function, output_type)


def co_flat_map(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(CoFlatMap, function, output_type)


def co_process(function: Any, output_type: TypeInformation | None) -> Factory:
    return partial(CoProcess, function, output_type)


def broadcast_process(
    function: Any, descriptors: Sequence[MapStateDescriptor], output_type: TypeInformation | None
) -> Factory:
    return partial(BroadcastProcess, function, tuple(descriptors), output_type)


def print_sink(input_type: TypeInformation | None, sink_identifier: str | None) -> Factory:
    return partial(Print, input_type, sink_identifier)


def sink_function(function: Any) -> Factory:
    return partial(InvokeSink, function)
