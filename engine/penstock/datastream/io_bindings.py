"""Which operators carry out the beginnings and ends of streams: sources, sinks, watermarks, users' own operators.

As `penstock.datastream.bindings`; apart from it because these have counterparts on the JobManager.
"""

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

from penstock.base.errors import JobDefinitionError, ValueMismatch
from penstock.common.arguments import check_argument
from penstock.common.conversion import coercer
from penstock.common.type_infos import checked_type
from penstock.common.typeinfo import TypeInformation
from penstock.common.watermark_strategy import WatermarkStrategy
from penstock.connectors.collection import CollectionSource
from penstock.connectors.file_source import FileSource
from penstock.connectors.number_sequence import NumberSequenceSource
from penstock.connectors.text_format import TextLineFormat
from penstock.datastream.bindings import Factory
from penstock.operators.collect import Collect, CollectCoordinator
from penstock.operators.coordinator import OperatorCoordinator
from penstock.operators.functions import SourceFunction
from penstock.operators.legacy_source import LegacySource
from penstock.operators.sink_api import Sink
from penstock.operators.sink_operator import SinkOperator
from penstock.operators.source_api import Boundedness, Source
from penstock.operators.source_coordinator import SourceCoordinator
from penstock.operators.source_operator import SourceOperator
from penstock.operators.stream_operator import (
    OneInputStreamOperator,
    StreamOperator,
    TwoInputStreamOperator,
    UserOperator,
)
from penstock.operators.timestamps import TimestampsAndWatermarks


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An operator's factory with that of its counterpart on the JobManager."""

    factory: Factory
    coordinator: Callable[[], OperatorCoordinator] | None = None
    output_type: TypeInformation | None = None
    bounded: bool = True


def source(
    source: Any, name: str, watermark_strategy: WatermarkStrategy | None, output_type: TypeInformation | None
) -> Bound:
    """A Source with its enumerator."""
    if not isinstance(source, Source):
        raise TypeError(f"from_source() takes a Source, not {source!r}")
    boundedness = source.get_boundedness()
    if not isinstance(boundedness, Boundedness):
        raise TypeError(f"get_boundedness() of {type(source).__name__} gives a Boundedness, not {boundedness!r}")
    output_type = output_type or source.get_produced_type()
    return Bound(
        output_type=output_type,
        factory=partial(SourceOperator, source, watermark_strategy, output_type),
        coordinator=partial(SourceCoordinator, source, name),
        bounded=boundedness is Boundedness.BOUNDED,
    )


def source_function(function: SourceFunction, output_type: TypeInformation | None) -> Bound:
    """A SourceFunction; Flink takes them all for unbounded."""
    return Bound(factory=partial(LegacySource, function, output_type), bounded=False, output_type=output_type)


def collection(values: Iterable[Any], name: str, output_type: TypeInformation | None) -> Bound:
    """Values that the program holds, each made what the declared type says."""
    check_argument(values, Iterable, "from_collection()")
    if output_type is not None:
        values = list(_coerced(values, checked_type(output_type, "the type_info of from_collection()")))
    return source(CollectionSource(values), name, None, output_type)


def number_sequence(start: int, end: int, name: str) -> Bound:
    return source(NumberSequenceSource(start, end), name, None, None)


def text_file(path: str, charset: str, name: str) -> Bound:
    """The lines of a file or folder."""
    files = FileSource.for_record_stream_format(TextLineFormat(charset), path).build()
    return source(files, name, None, None)


def timestamps_and_watermarks(strategy: WatermarkStrategy) -> Factory:
    if not isinstance(strategy, WatermarkStrategy):
        raise TypeError(f"assign_timestamps_and_watermarks() takes a WatermarkStrategy, not {strategy!r}")
    return partial(TimestampsAndWatermarks, strategy)


def sink(sink: Any, input_type: TypeInformation | None) -> Factory:
    """A Sink with its writer and committer. One that writes by type is told the stream's."""
    if not isinstance(sink, Sink):
        raise TypeError(f"sink_to() takes a Sink, not {sink!r}; for a SinkFunction there is add_sink()")
    typed = getattr(sink, "with_input_type", None)
    return partial(SinkOperator, sink if typed is None else typed(input_type))


def one_input(operator: Any, output_type: TypeInformation | None) -> Factory:
    """A OneInputStreamOperator, or what makes one."""
    return _user_operator(OneInputStreamOperator, operator, output_type)


def two_input(operator: Any, output_type: TypeInformation | None) -> Factory:
    """A TwoInputStreamOperator, or what makes one."""
    return _user_operator(TwoInputStreamOperator, operator, output_type)


def _user_operator(kind: type[StreamOperator], operator: Any, output_type: TypeInformation | None) -> Factory:
    if isinstance(operator, kind):
        return partial(UserOperator, operator, output_type)
    is_other = isinstance(operator, StreamOperator) or (isinstance(operator, type) and not issubclass(operator, kind))
    if is_other or not callable(operator):
        raise TypeError(f"transform() takes a {kind.__name__}, or a callable that makes one, not {operator!r}")
    return partial(_made, kind, operator, output_type)


def _made(
    kind: type[StreamOperator], make: Callable[[], StreamOperator], output_type: TypeInformation | None
) -> UserOperator:
    made = make()
    if not isinstance(made, kind):
        raise JobDefinitionError(f"transform() was given what makes {made!r}, which is no {kind.__name__}")
    return UserOperator(made, output_type)


COLLECT_SINK: Final = "Data stream collect sink"
"""The name of the operator that hands records back to the program."""


def collect_sink() -> Bound:
    return Bound(factory=Collect, coordinator=CollectCoordinator)


def decode_collected(payload: bytes) -> list[Any]:
    """The values in one payload of the collect sink's coordinator."""
    values: list[Any] = pickle.loads(payload)
    return values


def _coerced(values: Iterable[Any], output_type: TypeInformation) -> Iterable[Any]:
    coerce = coercer(output_type)
    for index, value in enumerate(values):
        try:
            yield coerce(value)
        except ValueMismatch as error:
            raise JobDefinitionError(f"from_collection(): element {index}: {error}") from error
