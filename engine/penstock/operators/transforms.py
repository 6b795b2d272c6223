"""Operators of one record at a time: map, flat_map, filter, project, key_by, and coercion to a declared type.

The hot path: loops over a batch with local names, at most one check per record besides the user's function.
Plain comprehensions, never `map()`: that would take a user's StopIteration for the end of the batch.
On a keyed stream a function class may have keyed state, so the current key is set before each call; a lambda cannot.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import compress, repeat
from typing import Any, Final, final

from penstock.base.errors import JobDefinitionError, StateError, ValueMismatch
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row
from penstock.operators.emission import FLUSH_RECORDS
from penstock.operators.failures import Failure, blame, blame_record
from penstock.operators.function_operator import FunctionOperator, method_of
from penstock.operators.operator import Operator, OperatorContext, Output
from penstock.operators.selectors import as_declared, keys_at_once
from penstock.records.batch import Batch
from penstock.records.key_types import KeyChecker, declared_key_type
from penstock.state.backend import CurrentKey

_NOBODYS_KEY: Final = CurrentKey()


class _PerRecord(FunctionOperator):
    """Base of map, flat_map and filter."""

    method = ""

    def __init__(self, function: Any, output_type: TypeInformation | None = None) -> None:
        super().__init__(function, output_type)
        self._call = method_of(function, self.method)
        self._may_have_state = hasattr(function, "open")

    def _keys(self, batch: Batch) -> tuple[CurrentKey, Iterable[Any]]:
        """Where to put the current key, and the keys to put there: none where the function has no use for any."""
        if self.keyed is None or not self._may_have_state:
            return _NOBODYS_KEY, repeat(None, len(batch))
        assert batch.keys is not None, "a keyed operator has keyed input"
        self.keyed.prepare(batch.keys)
        return self.keyed.current, batch.keys


@final
class Map(_PerRecord):
    """One record out for each record in; None is a record."""

    method = "map"

    def process(self, batch: Batch, port: int) -> None:
        fit = self.emission.fit
        records = iter(batch.values)
        try:
            values = self._each(batch, records) if fit is None else self._all(batch, records)
        except Failure as error:
            blame_record(self, error, batch, records)
        if fit is None:
            self.output.batch(Batch(values, batch.timestamps))
        elif fit(values):
            self.output.batch(Batch(values, batch.timestamps, cls=self.emission.cls))
        else:
            self.output.batch(Batch(self._fixed(batch, values), batch.timestamps))

    def _all(self, batch: Batch, records: Iterator[Any]) -> list[Any]:
        """What the function returns; whether it fits can be asked of all at once."""
        call = self._call
        current, keys = self._keys(batch)
        if current is _NOBODYS_KEY:
            return [call(value) for value in records]
        if keys is batch.values:
            return [call(current.key) for current.key in records]
        return [call(value) for current.key, value in zip(keys, records, strict=True)]

    def _each(self, batch: Batch, records: Iterator[Any]) -> list[Any]:
        """What it returns, each made a record before the function is called again, which may change it."""
        call, passes, fix = self._call, self.emission.passes, self.emission.fix
        current, keys = self._keys(batch)
        if current is _NOBODYS_KEY:
            return [out if type(out := call(value)) in passes else fix(out) for value in records]
        pairs = zip(keys, records, strict=True)
        return [out if type(out := call(value)) in passes else fix(out) for current.key, value in pairs]

    def _fixed(self, batch: Batch, values: list[Any]) -> list[Any]:
        passes, fix = self.emission.passes, self.emission.fix
        records = iter(batch.values)
        try:
            pairs = zip(records, values, strict=True)
            return [value if type(value) in passes else fix(value) for _, value in pairs]
        except Failure as error:
            blame_record(self, error, batch, records)


def _told(error: BaseException) -> BaseException:
    """What is returned and is no iterable fails in our loop: then there is no line of the user's that would tell."""
    at = error.__traceback__
    ours = at is not None and at.tb_next is not None and at.tb_next.tb_next is None
    if ours and isinstance(error, TypeError) and str(error).endswith("not iterable"):
        return TypeError(f"flat_map returns an iterable of results, or yields them: {error}").with_traceback(at)
    return error


@final
class FlatMap(_PerRecord):
    """Any number of records out for each record in."""

    method = "flat_map"

    def process(self, batch: Batch, port: int) -> None:
        records = iter(batch.values)
        try:
            if batch.timestamps is None:
                self._run(batch, records)
            else:
                self._run_with_timestamps(batch, records, batch.timestamps)
        except Failure as error:
            blame_record(self, _told(error), batch, records)

    def _run(self, batch: Batch, records: Iterator[Any]) -> None:
        call, passes, fix = self._call, self.emission.passes, self.emission.fix
        current, keys = self._keys(batch)
        values: list[Any] = []
        append = values.append
        for key, value in zip(keys, records, strict=True):
            current.key = key
            for out in call(value):
                append(out if type(out) in passes else fix(out))
                if len(values) >= FLUSH_RECORDS:
                    self.output.batch(Batch(values))
                    values = []
                    append = values.append
        if values:
            self.output.batch(Batch(values))

    def _run_with_timestamps(self, batch: Batch, records: Iterator[Any], given: list[int]) -> None:
        call, passes, fix = self._call, self.emission.passes, self.emission.fix
        current, keys = self._keys(batch)
        values: list[Any] = []
        timestamps: list[int] = []
        for key, timestamp, value in zip(keys, given, records, strict=True):
            current.key = key
            for out in call(value):
                values.append(out if type(out) in passes else fix(out))
                timestamps.append(timestamp)
                if len(values) >= FLUSH_RECORDS:
                    self.output.batch(Batch(values, timestamps))
                    values, timestamps = [], []
        if values:
            self.output.batch(Batch(values, timestamps))


@final
class Filter(_PerRecord):
    """Lets records pass; keeps timestamps, keys and types."""

    method = "filter"

    def process(self, batch: Batch, port: int) -> None:
        call = self._call
        records = iter(batch.values)
        current, keys = self._keys(batch)
        try:
            if current is _NOBODYS_KEY:
                kept = [call(value) for value in records]
            else:
                kept = [call(value) for current.key, value in zip(keys, records, strict=True)]
        except Failure as error:
            blame_record(self, error, batch, records)
        values = list(compress(batch.values, kept))
        if values:
            timestamps = batch.timestamps
            self.output.batch(Batch(values, None if timestamps is None else list(compress(timestamps, kept))))


@final
class Project(Operator):
    """Some fields of a tuple or row, as a tuple or row."""

    def __init__(self, *positions: int) -> None:
        if not positions:
            raise JobDefinitionError("project needs at least one field position")
        self._positions = positions

    def process(self, batch: Batch, port: int) -> None:
        positions = self._positions
        values = [
            Row(*[value[i] for i in positions]) if type(value) is Row else tuple([value[i] for i in positions])
            for value in batch.values
        ]
        self.output.batch(Batch(values, batch.timestamps))


@final
class Coerce(Operator):
    """Makes records what a declared type says (a source's, where no function stands between)."""

    def __init__(self, output_type: TypeInformation) -> None:
        self._inner = Map(_identity, output_type)

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._inner.setup(context, output)

    def process(self, batch: Batch, port: int) -> None:
        self._inner.process(batch, port)


def _identity(value: Any) -> Any:
    return value


@final
class KeyBy(FunctionOperator):
    """Runs the key selector once; the keys travel with the records from here on."""

    def __init__(self, selector: Any, key_type: TypeInformation | None = None) -> None:
        super().__init__(selector)
        self._call = method_of(selector, "get_key")
        self._keys_at_once = keys_at_once(self._call)
        self._key_type = key_type

    def setup(self, context: OperatorContext, output: Output) -> None:
        super().setup(context, output)
        self._checker = KeyChecker(context.name, declared_key_type(self._key_type))
        self._as_declared = as_declared(self._key_type)
        self._taken_by_class = self._key_type is None or self._key_type == Types.STRING()

    def process(self, batch: Batch, port: int) -> None:
        keys = self._keys(batch)
        if keys is not batch.values or not self._taken_by_class or not self._checker.takes(batch.cls):
            try:
                keys = self._checker.check(self._as_declared(keys))
            except (StateError, ValueMismatch) as error:
                blame(self, error, "the keys that its selector gave")
        self.output.batch(Batch(batch.values, batch.timestamps, keys))

    def _keys(self, batch: Batch) -> list[Any]:
        if self._keys_at_once is not None:
            with suppress(*Failure):
                return self._keys_at_once(batch.values)
        # Also after a failure at once: the traceback is to end in the user's own line.
        call = self._call
        records = iter(batch.values)
        try:
            return [call(value) for value in records]
        except Failure as error:
            blame_record(self, error, batch, records)
