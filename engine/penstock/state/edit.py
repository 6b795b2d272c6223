"""What scripts of `penstock state edit` are written with: which states are changed, dropped, renamed, or filled.

    from penstock.common import Types
    from penstock.state.edit import Entry, bootstrap, drop, edit, rename

    @edit("count", "n")                       # of the operator with uid "count", its state "n": called per entry
    def halve(entry):
        if entry.key.startswith("test-"):
            return None                       # drop it
        entry.value //= 2
        return entry                          # or several: any iterable of entries

    drop("count", "debug")                    # a state
    drop("old operator")                      # an operator with all its state
    rename("count", "n", to="total")          # a state
    rename("count", to="words")               # an operator's uid

    @bootstrap("prices", "price", file="prices.parquet", key_type=Types.STRING(), value_type=Types.DOUBLE())
    def price(row):                           # a dict per row of a Parquet, CSV or JSON lines file
        return Entry(row["article"], row["price"])

Names in `edit`, `drop` and `rename` are those of the savepoint that is read; `bootstrap` names what is written. Edits
of one state are made in the order of the script. An entry whose key changes moves; of two entries with one key the
later one stays, elements of lists are appended. Nothing here does anything: `penstock.checkpoint.editing` carries it
out.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

from penstock.base.errors import StateError
from penstock.common.typeinfo import TypeInformation
from penstock.state.entries import Entry

__all__ = ["Entry", "bootstrap", "drop", "edit", "rename"]

Result = Entry | Iterable[Entry] | None
Edit = Callable[[Entry], Result]
Load = Callable[[dict[str, Any]], Result]
BootstrapKind = Literal["value", "list", "map"]
_KINDS: Final = ("value", "list", "map")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """A file whose rows become entries of a state."""

    uid: str
    state: str
    file: str
    load: Load
    kind: BootstrapKind
    key_type: TypeInformation | None
    value_type: TypeInformation | None
    map_key_type: TypeInformation | None
    max_parallelism: int


@final
@dataclass(slots=True)
class Edits:
    """What a script has said."""

    edits: dict[tuple[str, str], list[Edit]] = field(default_factory=dict)
    dropped_states: set[tuple[str, str]] = field(default_factory=set)
    dropped_operators: set[str] = field(default_factory=set)
    renamed_states: dict[tuple[str, str], str] = field(default_factory=dict)
    renamed_operators: dict[str, str] = field(default_factory=dict)
    bootstraps: list[Bootstrap] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return self == Edits()


said: Final = Edits()
"""By the script of this process."""


def edit(uid: str, state: str) -> Callable[[Edit], Edit]:
    """Decorates the function that is called with each entry of a state and returns what is to stand in its place."""

    def note(function: Edit) -> Edit:
        said.edits.setdefault((uid, state), []).append(function)
        return function

    return note


def drop(uid: str, state: str | None = None) -> None:
    """Leave out a state, or an operator with all its state."""
    if state is None:
        said.dropped_operators.add(uid)
    else:
        said.dropped_states.add((uid, state))


def rename(uid: str, state: str | None = None, *, to: str) -> None:
    """Give a state, or an operator, another name."""
    if not to:
        raise StateError(f"rename({uid!r}, ...): a name is not empty")
    if state is None:
        said.renamed_operators[uid] = to
    else:
        said.renamed_states[uid, state] = to


def bootstrap(
    uid: str,
    state: str,
    *,
    file: str,
    kind: BootstrapKind = "value",
    key_type: TypeInformation | None = None,
    value_type: TypeInformation | None = None,
    map_key_type: TypeInformation | None = None,
    max_parallelism: int = 128,
) -> Callable[[Load], Load]:
    """Decorates the function that makes entries of the rows of a file, each a dict by column.

    A state that is there already is added to; types then are its own and need not be given.

    Args:
        file: Parquet, CSV (values are text) or JSON lines, by its ending; a path or URI.
        kind: of a new state.
        key_type: of a new operator's keys; None: as the first key is.
        value_type: of a new state's values, or elements; None: any Python object.
        map_key_type: of a new map's keys.
        max_parallelism: of a new operator; it cannot be changed later.
    """
    if kind not in _KINDS:
        raise StateError(f"bootstrap({uid!r}, {state!r}): kind is one of {', '.join(_KINDS)}; found {kind!r}")

    def note(function: Load) -> Load:
        said.bootstraps.append(
            Bootstrap(
                uid=uid,
                state=state,
                file=file,
                load=function,
                kind=kind,
                key_type=key_type,
                value_type=value_type,
                map_key_type=map_key_type,
                max_parallelism=max_parallelism,
            )
        )
        return function

    return note


def results(given: Result) -> Iterable[Entry]:
    """What a function returned, as entries; StateError if it is something else."""
    if given is None:
        return ()
    if isinstance(given, Entry):
        return (given,)
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | dict):
        return _checked(given)
    raise StateError(f"expected an Entry, None, or an iterable of entries; found {given!r}")


def _checked(given: Iterable[Any]) -> Iterable[Entry]:
    for item in given:
        if not isinstance(item, Entry):
            raise StateError(f"expected an Entry, None, or an iterable of entries; found {item!r} among them")
        yield item
