"""reduce and the built-in aggregations on a keyed stream.

Streaming, each record gives its key's new result; in batch mode (`final_only`) a key gives its last result when the
input ends. The result lies in a ValueState, and what is emitted is a copy if anything in it can change.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final, final

from penstock.base.errors import JobDefinitionError
from penstock.common.typeinfo import TypeInformation
from penstock.common.types import Row
from penstock.operators.emission import no_timers
from penstock.operators.failures import Failure, blame_record
from penstock.operators.function_operator import FunctionOperator, method_of
from penstock.operators.functions import ReduceFunction
from penstock.operators.operator import StateContext, Steps
from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP, Batch
from penstock.state.descriptors import ValueStateDescriptor

_SLICE_KEYS: Final = 1_000


@final
class Reduce(FunctionOperator):
    """KeyedStream.reduce: one running result per key."""

    def __init__(self, function: Any, output_type: TypeInformation | None = None, *, final_only: bool = False) -> None:
        super().__init__(function, output_type)
        self._call = method_of(function, "reduce")
        self._final_only = final_only
        self._last: dict[Any, int] = {}

    def initialize_state(self, state: StateContext) -> None:
        super().initialize_state(state)
        if state.keyed is None:
            raise no_timers("reduce")
        self._state: Any = state.keyed.state(ValueStateDescriptor("_reduce_state", self.output_type))

    def process(self, batch: Batch, port: int) -> None:
        assert self.keyed is not None and batch.keys is not None, "reduce has keyed input"
        self.keyed.prepare(batch.keys)
        call, current, get, put = self._call, self.keyed.current, self._state.value, self._state.update
        passes, fix = self.emission.passes, self.emission.fix
        values: list[Any] = []
        append = values.append
        records = iter(batch.values)
        try:
            for key, value in zip(batch.keys, records, strict=True):
                current.key = key
                result = get()
                result = value if result is None else call(result, value)
                put(result)
                append(result if type(result) in passes else fix(result))
        except Failure as error:
            blame_record(self, error, batch, records)
        if self._final_only:
            timestamps = batch.timestamps
            self._last.update(zip(batch.keys, timestamps or [MIN_TIMESTAMP] * len(batch), strict=True))
        else:
            self.output.batch(Batch(values, batch.timestamps))

    def watermark(self, timestamp_ms: int) -> Steps | None:
        if self._final_only and timestamp_ms == MAX_WATERMARK:
            return self._results()
        return super().watermark(timestamp_ms)

    def _results(self) -> Iterator[None]:
        """One result per key, in the order in which the keys came."""
        assert self.keyed is not None
        last, self._last = list(self._last.items()), {}
        for start in range(0, len(last), _SLICE_KEYS):
            piece = last[start : start + _SLICE_KEYS]
            self.keyed.prepare([key for key, _ in piece])
            values = []
            for key, _ in piece:
                self.keyed.current.key = key
                values.append(self.emission.one(self._state.value()))
            timestamps = [timestamp for _, timestamp in piece]
            known = any(timestamp != MIN_TIMESTAMP for timestamp in timestamps)
            self.output.batch(Batch(values, timestamps if known else None))
            yield
        self.output.watermark(MAX_WATERMARK)


@final
class FieldAggregation(ReduceFunction):
    """sum, min, max, min_by and max_by of one field, as a reduce function.

    sum, min and max keep the first record's other fields; min_by and max_by keep a whole record, the first on ties.
    """

    def __init__(self, kind: str, field: int | str = 0) -> None:
        if kind not in _CHOICES:
            raise JobDefinitionError(f"there is no aggregation {kind!r}: use one of {', '.join(_CHOICES)}")
        if not isinstance(field, (int, str)) or isinstance(field, bool):
            raise JobDefinitionError(f"the field to {kind} is a position or a name, not {field!r}")
        self._kind = kind
        self._field: Any = field
        self._combine = _CHOICES[kind]
        self._whole = kind.endswith("_by")

    def reduce(self, value1: Any, value2: Any) -> Any:
        if type(value1) is tuple:
            return self._reduce_tuples(value1, value2)
        field = self._field
        if not isinstance(value1, Row | list | tuple):
            if field != 0:
                raise TypeError(f"cannot {self._kind} field {field!r} of a {type(value1).__name__}: it has no fields")
            return self._combine(value1, value2)
        mine = value1[field]
        combined = self._combine(mine, value2[field])
        if combined is mine:
            return value1
        return value2 if self._whole else _with_field(value1, field, combined)

    def _reduce_tuples(self, value1: tuple[Any, ...], value2: tuple[Any, ...]) -> Any:
        """By far the most frequent kind of record."""
        field = self._field
        mine = value1[field]
        combined = self._combine(mine, value2[field])
        if combined is mine:
            return value1
        if self._whole:
            return value2
        if field < 0:
            return _with_field(value1, field, combined)
        return (*value1[:field], combined, *value1[field + 1 :])


def _with_field(record: Any, field: int | str, value: Any) -> Any:
    """The record with one field changed; a record of the same class and names."""
    if isinstance(record, Row):
        changed = Row.of_kind(record.get_row_kind(), *record)
        if record._fields is not None:
            changed.set_field_names(record._fields)
        changed[field] = value
        return changed
    fields = list(record)
    fields[field] = value  # type: ignore[index]
    if type(record) is list:
        return fields
    make = getattr(type(record), "_make", tuple)
    return make(fields)


def _smaller(mine: Any, theirs: Any) -> Any:
    return theirs if theirs < mine else mine


def _larger(mine: Any, theirs: Any) -> Any:
    return theirs if theirs > mine else mine


_CHOICES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "sum": operator.add,
    "min": _smaller,
    "max": _larger,
    "min_by": _smaller,
    "max_by": _larger,
}
