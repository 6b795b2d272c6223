"""Sinks without guarantees: print, discard, and the user's SinkFunction."""

import sys
from typing import Any, TextIO, final

from penstock.base.errors import StorageError
from penstock.common.printing import formatter
from penstock.common.typeinfo import TypeInformation
from penstock.operators.failures import Failure, blame_record
from penstock.operators.function_operator import FunctionOperator, method_of
from penstock.operators.functions import SinkFunction
from penstock.operators.operator import Operator, OperatorContext, Output, Steps
from penstock.records.batch import MIN_TIMESTAMP, Batch


@final
class Print(Operator):
    """A line per record, formatted by the declared type; a whole batch in one write.

    The prefix is PyFlink's: `identifier:2> ` , with the subtask's number only where there are several.
    """

    def __init__(
        self, input_type: TypeInformation | None = None, sink_identifier: str | None = None, *, to_stderr: bool = False
    ) -> None:
        self._input_type = input_type
        self._identifier = sink_identifier or ""
        self._to_stderr = to_stderr

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._format = formatter(self._input_type)
        parts = [self._identifier] if self._identifier else []
        if context.parallelism > 1:
            parts.append(str(context.subtask + 1))
        self._prefix = ":".join(parts) + "> " if parts else ""

    def process(self, batch: Batch, port: int) -> None:
        prefix, text_of = self._prefix, self._format
        records = iter(batch.values)
        try:
            lines = [f"{prefix}{text_of(value)}\n" for value in records]
        except Failure as error:
            blame_record(self, error, batch, records)
        stream: TextIO | None = sys.stderr if self._to_stderr else sys.stdout
        if stream is None or stream.closed:
            return  # Somebody has closed it: nobody reads.
        text = "".join(lines)
        try:
            try:
                stream.write(text)
            except UnicodeEncodeError:
                stream.write(text.encode(stream.encoding, "backslashreplace").decode(stream.encoding))
            stream.flush()
        except OSError as error:
            name = "standard error" if self._to_stderr else "standard output"
            raise StorageError(f"what the job prints cannot be written to {name}: {error.strerror}") from error


@final
class Discard(Operator):
    """Takes records and forgets them."""

    def process(self, batch: Batch, port: int) -> None:
        return None


@final
class _SinkContext(SinkFunction.Context):
    __slots__ = ("_clock", "current", "now")

    def __init__(self, context: OperatorContext) -> None:
        self._clock = context.clock
        self.now = self.current = MIN_TIMESTAMP

    def timestamp(self) -> int | None:
        return None if self.now == MIN_TIMESTAMP else self.now

    def current_watermark(self) -> int:
        return self.current

    def current_processing_time(self) -> int:
        return self._clock.now_ms()


@final
class InvokeSink(FunctionOperator):
    """SinkFunction: called with each record."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self._call = method_of(function, "invoke")

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._sink_context = _SinkContext(context)

    def process(self, batch: Batch, port: int) -> None:
        call, context = self._call, self._sink_context
        records = iter(batch.values)
        try:
            for timestamp, value in zip(batch.timestamps or [MIN_TIMESTAMP] * len(batch), records, strict=True):
                context.now = timestamp
                call(value, context)
        except Failure as error:
            blame_record(self, error, batch, records)

    def watermark(self, timestamp_ms: int) -> Steps | None:
        self._sink_context.current = timestamp_ms
        return super().watermark(timestamp_ms)
