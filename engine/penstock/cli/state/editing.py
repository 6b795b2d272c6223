"""`penstock state edit`: runs the script, reads the files that it names, has the new savepoint written."""

import csv
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.parquet as pq

from penstock.base.clock import SystemClock
from penstock.base.errors import ConfigurationError, JobDefinitionError, PenstockError, StateError
from penstock.base.scripts import check_script
from penstock.base.tracebacks import said, users_line, users_traceback
from penstock.checkpoint.editing import SavepointEdit
from penstock.checkpoint.opened import OpenedState, absolute
from penstock.cli.ending import interruptible
from penstock.cli.state import standins
from penstock.cli.state.looking import Place
from penstock.state import edit as scripts

_NOTHING = "-"
_BATCH_ROWS = 1 << 13


def edited(where: Place, address: str, target: str, script: Path, arguments: tuple[str, ...]) -> dict[str, Any]:
    """Carry it out; what was done, as JSON has it."""
    interruptible()
    source: OpenedState | None = None if address == _NOTHING else where.open(address)
    run_script(script, arguments)
    if scripts.said.is_empty:
        raise JobDefinitionError(f"{script} changes nothing: it calls none of edit, drop, rename, bootstrap")
    with tempfile.TemporaryDirectory(prefix="penstock-edit-") as folder:
        directory = Path(folder) / "work"
        directory.mkdir()
        files = _Files(where, script, Path(folder))
        job = SavepointEdit(
            source=source,
            edits=scripts.said,
            target=absolute(target),
            open_root=where.store,
            directory=directory,
            rows_of=files.rows,
            call=caller(script),
            now_ms=SystemClock().now_ms(),
        )
        metadata = job.run()
    tables = [asdict(table) for table in job.report]
    return {"location": absolute(target), "bytes": metadata.state_bytes(), "tables": tables}


def lines(found: dict[str, Any]) -> list[str]:
    """For people."""
    shown = []
    for table in found["tables"]:
        what = "dropped" if table["dropped"] else f"{table['read']} read, {table['written']} written"
        shown.append(f"{table['uid']}, {table['state']}: {what}")
    return [*shown, f"Savepoint written. Path: {found['location']}"]


def run_script(script: Path, arguments: tuple[str, ...]) -> None:
    """In this process, as `__main__`; what it does not define itself is stood in for."""
    module = standins.install()
    check_script(script)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.resolve().parent))
    module.__dict__["__file__"] = str(script)
    try:
        exec(compile(script.read_text(), str(script), "exec"), module.__dict__)
    except PenstockError as error:
        line = users_line(error, script)
        raise JobDefinitionError(f"{error} ({line})" if line else str(error)) from error
    except Exception as error:
        raise JobDefinitionError(users_traceback(error, script).rstrip()) from error


def caller(script: Path) -> Callable[[Callable[..., Any], Any], Any]:
    """Calls a function of the script; its errors name the entry and the line."""

    def call(function: Callable[..., Any], argument: Any) -> Any:
        try:
            return function(argument)
        except Exception as error:
            name = getattr(function, "__name__", repr(function))
            line = users_line(error, script)
            at = f" ({line})" if line else ""
            raise StateError(f"{name}() failed on {argument!r}: {said(error)}{at}") from error

    return call


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield from batch.to_pylist()


def _json_rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ConfigurationError(f"line {number} is no JSON: {error}") from error
            if not isinstance(row, dict):
                raise ConfigurationError(f"line {number} is no JSON object: {line.strip()[:80]}")
            yield row


@final
class _Files:
    """Files that a bootstrap names: beside the script, absolute, or in a store."""

    def __init__(self, where: Place, script: Path, folder: Path) -> None:
        self._where = where
        self._script = script
        self._folder = folder

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        path = self._local(name)
        try:
            match path.suffix.lower():
                case ".parquet":
                    yield from _parquet_rows(path)
                case ".csv":
                    with path.open(newline="", encoding="utf-8") as text:
                        yield from csv.DictReader(text)
                case ".jsonl" | ".ndjson" | ".json":
                    with path.open(encoding="utf-8") as text:
                        yield from _json_rows(text)
                case other:
                    raise ConfigurationError(f"expected a file in .parquet, .csv or .jsonl; found {other!r}")
        except (ValueError, csv.Error, pa.ArrowException, PenstockError) as error:
            raise ConfigurationError(f"{name}: {error}") from error

    def _local(self, name: str) -> Path:
        if "://" in name:
            root, _, file = name.rpartition("/")
            local = self._folder / file
            self._where.store(root).fetch_file(file, local)
            return local
        path = self._script.resolve().parent / name
        if not path.is_file():
            raise ConfigurationError(f"there is no file {path}")
        return path
