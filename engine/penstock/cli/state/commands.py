"""`penstock state list`, `show`, `export`, `diff`, `stats`, `edit`: the command line; the work is done beside this."""

import sys
from collections.abc import Callable
from typing import Any, Final

import click

from penstock.cli import ending
from penstock.cli.asking import answering, json_option, print_json
from penstock.cli.configuring import conf_option, definitions_option

_Command = Callable[..., None]
_operator_option: Final = click.option("-o", "--operator", metavar="UID", help="Only of this operator: uid or name.")
_state_option: Final = click.option("-t", "--state", "state", metavar="NAME", help="Only this state.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def state() -> None:
    """Look into checkpoints and savepoints, and make new savepoints of them. No job needs to run.

    \b
      penstock state list /savepoints/savepoint-0123ab-4567cdef89ab
      penstock state show s3://bucket/checkpoints/JOB_ID/chk-7 --operator count --key '"word"'

    A checkpoint or savepoint is named by the folder of its `_metadata`: a path, file:///... or s3://bucket/... with
    s3.endpoint and the like by -D or --conf. Both backends' own formats and the canonical one are read.

    What a job pickled is unpickled to be shown: look only into state that you would start a job from. Classes of the
    job's script need not be at hand; those of modules have to be importable (PYTHONPATH).
    """


def _looks(command: _Command) -> _Command:
    """The options that all of them have."""
    for option in (json_option, conf_option, definitions_option):
        command = option(command)
    return command


@state.command("list")
@_looks
@_operator_option
@_state_option
@click.option("--quick", is_flag=True, help="Read `_metadata` only: no keys and entries.")
@click.argument("address", metavar="STATE")
def list_states(
    address: str,
    quick: bool,
    operator: str | None,
    state: str | None,
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """List the operators of a checkpoint or savepoint and their states: kinds, types, keys, entries, bytes.

    \b
      penstock state list /savepoints/savepoint-0123ab-4567cdef89ab

    Bytes of a state are those of its entries as they are serialised, before compression; bytes of an operator those of
    its files.

    \b
    JSON: {"state": {...}, "operators": [{"uid", "name", "parallelism", "max-parallelism", "key-type", "backends",
    "bytes", "coordinator-bytes", "states": [{"name", "kind", "sort": "keyed" | "operator", "type", "keys", "entries",
    "bytes"}]}]}
    """
    with answering(as_json):
        from penstock.cli.state.listing import lines, listed
        from penstock.cli.state.looking import place

        found = listed(place(definitions, conf).open(address), operator, state, quick=quick)
        _tell(found, lines, as_json)


@state.command()
@_looks
@_operator_option
@_state_option
@click.option("-k", "--key", metavar="KEY", help="Only this key: as text, or JSON for what is no text.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Entries of each state.")
@click.argument("address", metavar="STATE")
def show(
    address: str,
    operator: str | None,
    state: str | None,
    key: str | None,
    limit: int,
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """Show entries: key, namespace, key within a map, value.

    \b
      penstock state show SAVEPOINT --operator count --state n --key word
      penstock state show SAVEPOINT --key '["eu", 7]' --limit 5

    \b
    JSON: one object a line, {"operator", "uid", "state", "kind", "key_group", "key", "value"} and, where there are,
    "namespace", "map_key", "last_used". For how values are written see `penstock state export --help`.
    """
    with answering(as_json):
        from penstock.cli.state.looking import place
        from penstock.cli.state.showing import shown

        for line in shown(place(definitions, conf).open(address), operator, state, key, limit, as_json=as_json):
            click.echo(line)


@state.command()
@_looks
@_operator_option
@_state_option
@click.option("--to", "target", required=True, metavar="PATH", help="A folder, a file for one state, or - .")
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv", "jsonl"]), help="[default: by PATH's ending, or parquet]"
)
@click.argument("address", metavar="STATE")
def export(
    address: str,
    operator: str | None,
    state: str | None,
    target: str,
    form: str | None,
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """Write states as tables that other tools read: Parquet, CSV or JSON lines.

    \b
      penstock state export SAVEPOINT --to tables/
      penstock state export SAVEPOINT --operator count --state n --to counts.csv
      penstock state export SAVEPOINT --state n --to - --format jsonl

    Each state becomes PATH/<uid>/<state>.<format>; if --operator and --state leave one and PATH has an ending, PATH
    itself. Columns: key_group, key, namespace, map_key, value, last_used, those that the state has; the index of a
    list's elements; of operator state subtask in place of key_group and key.

    In Parquet, declared types become columns of that type, and what is undeclared JSON text. In CSV and JSON lines:
    bytes are {"base64": ...}, dates and times ISO text, maps with keys other than text lists of pairs, and objects
    {"class": ..., field: ...}.

    \b
    JSON: a list of {"uid", "state", "path", "rows"}
    """
    with answering(as_json):
        from penstock.cli.state.exporting import exported
        from penstock.cli.state.looking import place

        written = exported(place(definitions, conf).open(address), operator, state, target, form)
        if as_json:
            print_json(written)
        elif target != "-":
            for table in written:
                click.echo(f"{table['path']}: {table['rows']} rows")


@state.command()
@_looks
@_operator_option
@_state_option
@click.option("-n", "--limit", type=click.IntRange(min=0), default=5, show_default=True, help="Examples of each kind.")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
def diff(
    before: str,
    after: str,
    operator: str | None,
    state: str | None,
    limit: int,
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """Compare two checkpoints or savepoints, whatever backend, format and parallelism they have.

    \b
      penstock state diff SAVEPOINT-1 SAVEPOINT-2
      penstock state diff chk-7 chk-8 --operator count --limit 100

    Operators are matched by uid, states by name. Times of last use are not compared; a list is one value; elements of
    operator lists count by themselves, whichever subtask has them.

    Exit code: 0 if nothing differs, 1 if something does, as diff has it; 2 if they cannot be compared.

    \b
    JSON: {"before", "after", "equal", "tables": [{"uid", "operator", "state", "only-in": null | "before" | "after",
    "type-before", "type-after", "added", "removed", "changed", "same", "examples": [{"change", "key", "before",
    "after"}]}]}; tables that do not differ are in it too
    """
    with answering(as_json, code=ending.UNKNOWN):
        from penstock.cli.state.comparing import compared, lines
        from penstock.cli.state.looking import place

        where = place(definitions, conf)
        found = compared(where.open(before), where.open(after), operator, state, limit)
        _tell(found, lines, as_json)
    if not found["equal"]:
        sys.exit(ending.FAILED)


@state.command()
@_looks
@_operator_option
@_state_option
@click.option("-n", "--top", type=click.IntRange(min=0), default=10, show_default=True, help="Largest keys of each.")
@click.option("--groups", is_flag=True, help="Every key group too. JSON has them always.")
@click.argument("address", metavar="STATE")
def stats(
    address: str,
    operator: str | None,
    state: str | None,
    top: int,
    groups: bool,
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """Tell how keyed state is spread: keys and bytes by state and key group, the largest keys.

    \b
      penstock state stats SAVEPOINT
      penstock state stats SAVEPOINT --operator sessions --top 100

    Bytes are those of the entries as they are serialised. Skew is what the largest key group has over the mean: with
    10, one subtask may get ten times its share.

    \b
    JSON: {"state": {...}, "tables": [{"uid", "operator", "state", "kind", "keys", "entries", "bytes", "skew", "groups":
    [{"key-group", "keys", "entries", "bytes"}], "largest": [{"key", "key-group", "entries", "bytes"}]}]}
    """
    with answering(as_json):
        from penstock.cli.state.counting import counted, lines
        from penstock.cli.state.looking import place

        found = counted(place(definitions, conf).open(address), operator, state, top)
        _tell(found, lambda given: lines(given, groups=groups), as_json)


def _tell(found: dict[str, Any], lines: Callable[[dict[str, Any]], list[str]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        click.echo(line)


@state.command(context_settings={"allow_interspersed_args": True})
@_looks
@click.option("--to", "target", required=True, metavar="NEW", help="Folder of the new savepoint; it must be empty.")
@click.argument("address", metavar="SAVEPOINT")
@click.argument("script", metavar="SCRIPT.py")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENTS]...")
def edit(
    address: str,
    target: str,
    script: str,
    arguments: tuple[str, ...],
    as_json: bool,
    definitions: tuple[str, ...],
    conf: str | None,
) -> None:
    """Write a new savepoint: SAVEPOINT (or a checkpoint) as a script changes it. The old one stays as it is.

    \b
      penstock state edit SAVEPOINT --to /savepoints/fixed fix.py
      penstock state edit - --to s3://bucket/savepoints/first fill.py

    SAVEPOINT - begins with nothing, for state that comes from files. The result stands alone, is canonical, and so is
    read by both backends. Until it is complete NEW holds no _metadata and is no savepoint, whatever happens.

    \b
    A script:
      from penstock.common import Types
      from penstock.state.edit import Entry, bootstrap, drop, edit, rename
    \b
      @edit("count", "n")              # operator uid, state: called with each entry
      def halve(entry):
          if entry.key.startswith("test-"):
              return None              # drop it
          entry.value //= 2
          return entry                 # or an iterable of entries
    \b
      drop("count", "debug")           # a state; drop("uid"): an operator
      rename("count", "n", to="total") # a state; rename("uid", to=...): an operator
    \b
      @bootstrap("prices", "price", file="prices.parquet",
                 key_type=Types.STRING(), value_type=Types.DOUBLE())
      def price(row):                  # a dict per row of Parquet, CSV, JSON lines
          return Entry(row["article"], row["price"])

    An entry has key, value, map_key (of a map; of timers their time), namespace (of windows) and used_ms (with time to
    live). A list has an entry per element, operator state one whose key is the subtask. An entry whose key changes
    moves; of two with one key the later one stays. Types stay: values that do not fit them are refused. Names are those
    of SAVEPOINT; bootstrap's are those of the result. Files are looked for beside the script.

    Objects of the job's own classes can be read and changed by attribute; classes of modules have to be importable.

    \b
    JSON: {"location", "bytes", "tables": [{"uid", "state", "read", "written", "dropped"}]}
    """
    with answering(as_json):
        from pathlib import Path

        from penstock.cli.state.editing import edited, lines
        from penstock.cli.state.looking import place

        found = edited(place(definitions, conf, stand_in=False), address, target, Path(script), arguments)
        _tell(found, lines, as_json)
