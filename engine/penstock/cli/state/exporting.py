"""`penstock state export`: states as Parquet, CSV or JSON lines."""

import csv
import itertools
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Final, Protocol, final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.base.errors import ConfigurationError
from penstock.checkpoint.opened import OpenedState
from penstock.checkpoint.tables import StateTable
from penstock.cli.state.looking import chosen, entries
from penstock.cli.state.rendering import json_of, text_of
from penstock.common.typeinfo import PickledBytesTypeInfo
from penstock.state.canonical.columns import MISFITS, Codec, codec_of
from penstock.state.canonical.table import path_part
from penstock.state.descriptors import StateKind
from penstock.state.entries import Entry
from penstock.state.judging import as_keyed

FORMATS: Final = ("parquet", "csv", "jsonl")
_BATCH_ROWS: Final = 1 << 14
_TIME: Final = pa.timestamp("ms", tz="UTC")


class _Sink(Protocol):
    rows: int

    def write(self, batch: list[dict[str, Any]]) -> None:
        """Some rows: column by name."""

    def close(self) -> None:
        """No more come."""


def exported(
    opened: OpenedState, operator: str | None, state: str | None, target: str, form: str | None
) -> list[dict[str, Any]]:
    """Write them, and say what was written."""
    try:
        return _exported(opened, operator, state, target, form)
    except OSError as error:
        if target == "-" or error.filename is not None:
            raise
        # Python says the place of a file when it opens it, not when the disk is full.
        raise ConfigurationError(f"--to {target}: {error.strerror}") from error


def _exported(
    opened: OpenedState, operator: str | None, state: str | None, target: str, form: str | None
) -> list[dict[str, Any]]:
    tables = chosen(opened, operator, state)
    form = form or _form_of(target)
    paths = _paths(tables, target, form)
    sinks: dict[tuple[str, str], _Sink] = {}
    with ExitStack() as stack:
        for table, path in paths:
            sinks[table.uid, table.name] = sink = _sink(table, path, form)
            stack.callback(sink.close)
        indexes = {name: _Indexes() for name in sinks}
        columns = {(table.uid, table.name): columns_of(table) for table in tables}
        for table, piece in entries(tables, opened):
            name = table.uid, table.name
            while batch := list(itertools.islice(piece, _BATCH_ROWS)):
                sinks[name].write([_row(entry, columns[name], indexes[name]) for entry in batch])
    return [
        {"uid": table.uid, "state": table.name, "path": str(path), "rows": sinks[table.uid, table.name].rows}
        for table, path in paths
    ]


def columns_of(table: StateTable) -> list[str]:
    """In their order."""
    spec = as_keyed(table.info)
    names = ["key_group", "key"] if table.sort == "keyed" else ["subtask"]
    names += ["namespace"] if spec.namespaced else []
    if table.kind == "timers":
        return [*names, "timestamp"]
    names += ["map_key"] if spec.kind is StateKind.MAP else []
    names += ["index"] if spec.kind is StateKind.LIST else []
    return [*names, "value", *(["last_used"] if spec.timed else [])]


@final
class _Indexes:
    """Numbers the elements of each list."""

    def __init__(self) -> None:
        self._of: Any = None
        self._next = 0

    def next(self, entry: Entry) -> int:
        of = (entry.key, entry.namespace)
        if self._next == 0 or of != self._of:
            self._of, self._next = of, 0
        self._next += 1
        return self._next - 1


def _row(entry: Entry, names: list[str], indexes: _Indexes) -> dict[str, Any]:
    row = {
        "key_group": entry.key_group,
        "key": entry.key,
        "subtask": entry.key,
        "namespace": entry.namespace,
        "map_key": entry.map_key,
        "timestamp": entry.map_key,
        "value": entry.value,
        "last_used": entry.used_ms,
    }
    if "index" in names:
        row["index"] = indexes.next(entry)
    return {name: row[name] for name in names}


def _form_of(target: str) -> str:
    ending = Path(target).suffix.removeprefix(".").lower()
    if target == "-":
        return "jsonl"
    return ending if ending in FORMATS else "parquet"


def _paths(tables: list[StateTable], target: str, form: str) -> list[tuple[StateTable, str]]:
    if not tables:
        raise ConfigurationError("there is no state to export")
    if target == "-" or (len(tables) == 1 and Path(target).suffix):
        if len(tables) > 1:
            raise ConfigurationError(
                f"{len(tables)} states do not fit one stream: choose one with --operator and --state, or give a folder"
            )
        if target == "-" and form == "parquet":
            raise ConfigurationError("Parquet cannot be written to a stream: give a file")
        return [(tables[0], target)]
    folder = Path(target)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"--to {target}: {len(tables)} states need a folder, and this is a file")
    return [(t, str(folder / path_part(t.uid, 60) / f"{path_part(t.name, 60)}.{form}")) for t in tables]


def _sink(table: StateTable, path: str, form: str) -> _Sink:
    if path != "-":
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if form == "parquet":
                return _Parquet(table, path)
            return _Text(table, path, form)
        except OSError as error:
            raise ConfigurationError(f"--to {path}: {error.strerror}") from error
    return _Text(table, path, form)


@final
class _Text:
    """CSV or JSON lines."""

    def __init__(self, table: StateTable, path: str, form: str) -> None:
        self.rows = 0
        self._path = path
        self._file: IO[str] = sys.stdout if path == "-" else open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._names = columns_of(table)
        self._form = form
        self._csv = csv.writer(self._file, lineterminator="\n")
        if form == "csv":
            self._csv.writerow(self._names)

    def write(self, batch: list[dict[str, Any]]) -> None:
        self.rows += len(batch)
        if self._form == "csv":
            self._csv.writerows([_cell(row[name]) for name in self._names] for row in batch)
            return
        for row in batch:
            plain = {name: json_of(value) for name, value in row.items()}
            self._file.write(json.dumps(plain, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._path == "-":
            self._file.flush()
        else:
            self._file.close()


def _cell(value: Any) -> Any:
    """Text and numbers as they are, all else as JSON; None is empty."""
    plain = json_of(value)
    return text_of(value) if isinstance(plain, dict | list | bool) else plain


@final
class _Parquet:
    """Typed where types are declared, JSON text elsewhere."""

    def __init__(self, table: StateTable, path: str) -> None:
        self.rows = 0
        spec = as_keyed(table.info)
        self._codecs: dict[str, Codec | None] = {}
        for name, info in (("value", spec.value), ("map_key", spec.map_key)):
            declared = info is not None and not isinstance(info.type_info, PickledBytesTypeInfo)
            self._codecs[name] = codec_of(info.type_info) if info is not None and declared else None
        self._names = columns_of(table)
        self._schema = pa.schema([(name, self._type(name, table)) for name in self._names])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, batch: list[dict[str, Any]]) -> None:
        self.rows += len(batch)
        columns = [self._column(name, [row[name] for row in batch]) for name in self._names]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()

    def _type(self, name: str, table: StateTable) -> Any:
        if name in ("key_group", "index", "subtask"):
            return pa.int32()
        if name in ("timestamp", "last_used"):
            return _TIME
        if name == "key":
            kind = None if table.operator.key_type is None else table.operator.key_type["key"]
            return {"builtins:int": pa.int64(), "builtins:bool": pa.bool_(), "builtins:float": pa.float64()}.get(
                kind[0] if kind else "", pa.string()
            )
        codec = self._codecs.get(name)
        return pa.string() if codec is None else codec.type

    def _column(self, name: str, values: list[Any]) -> Any:
        kind = self._schema.field(name).type
        codec = self._codecs.get(name)
        if codec is not None:
            return _typed(codec, values)
        if kind == _TIME:
            return pa.array(values, pa.int64()).cast(_TIME)
        if kind == pa.string():
            return pa.array([_text(value) for value in values], kind)
        try:
            return pa.array(values, kind)
        except (OverflowError, pa.ArrowException) as error:
            text = f"column {name} holds what a Parquet column of {kind} cannot: export as csv or jsonl ({error})"
            raise ConfigurationError(text) from error


def _typed(codec: Codec, values: list[Any]) -> Any:
    try:
        return codec.to_arrow(values)
    except MISFITS:
        return pa.concat_arrays([_typed_one(codec, value) for value in values])


def _typed_one(codec: Codec, value: Any) -> Any:
    """Null for what has no form in the column, such as numbers beyond 128 bits."""
    try:
        return codec.to_arrow([value])
    except MISFITS:
        return pa.nulls(1, codec.type)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else text_of(value)
