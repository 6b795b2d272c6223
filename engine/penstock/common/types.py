"""Rows, and the kind of change a row stands for; mirrors pyflink.common.types.

User functions build and read rows; the records layer copies, encodes and serialises them. A row knows
nothing of its declared type: that is `penstock.common.typeinfo`'s business.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, final

__all__ = ["Row", "RowKind"]


@final
class RowKind(Enum):
    """What a row does to the collection it belongs to."""

    INSERT = 0
    UPDATE_BEFORE = 1
    UPDATE_AFTER = 2
    DELETE = 3

    def __str__(self) -> str:
        return _SHORT[self.value]


_SHORT = ("+I", "-U", "+U", "-D")
_INSERT = RowKind.INSERT


@final
class Row:
    """Fields by position, and by name where names were given: `row[0]`, `row["word"]`, `row.word`.

    `Row("a", 1)` has positions only (its fields still answer to f0, f1, ...); `Row(word="a", n=1)` keeps the
    order of its keywords. Called as a function, a row of names makes rows: `Row("word", "n")("a", 1)`.

    A row of a declared type without names shows its fields as f0, f1, ...: its `_fields` are empty, not None.
    """

    __slots__ = ("_fields", "_row_kind", "_values")
    _values: list[Any]
    _fields: tuple[str, ...] | None
    _row_kind: RowKind

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("a Row is made either of positional or of named fields, not of both")
        self._row_kind = _INSERT
        if kwargs:
            self._fields = tuple(kwargs)
            self._values = list(kwargs.values())
        else:
            self._fields = None
            self._values = list(args)

    @staticmethod
    def of_kind(row_kind: RowKind, *args: Any, **kwargs: Any) -> "Row":
        row = Row(*args, **kwargs)
        row._row_kind = row_kind
        return row

    def as_dict(self, recursive: bool = False) -> dict[str, Any]:
        """The fields by name; rows within rows, lists and dicts too if `recursive`."""
        if self._fields is None:
            raise TypeError(f"{self!r} has no field names: give them with set_field_names before as_dict")
        values = map(_plain, self._values) if recursive else self._values
        return dict(zip(self._names(), values, strict=False))

    def get_row_kind(self) -> RowKind:
        return self._row_kind

    def set_row_kind(self, row_kind: RowKind) -> None:
        self._row_kind = row_kind

    def set_field_names(self, field_names: Sequence[str]) -> None:
        self._fields = tuple(field_names)

    def get_fields_by_names(self, names: Iterable[str]) -> list[Any]:
        return [self._values[self._position(name)] for name in names]

    def _names(self) -> tuple[str, ...]:
        return self._fields or tuple(f"f{at}" for at in range(len(self._values)))

    def _position(self, name: str) -> int:
        fields = self._fields
        if fields:
            if name in fields:
                return fields.index(name)
        elif name[:1] == "f" and name[1:].isdecimal() and int(name[1:]) < len(self._values):
            return int(name[1:])
        raise ValueError(f"no field {name!r} in {self!r}")

    def __call__(self, *args: Any) -> "Row":
        if len(args) > len(self._values):
            raise ValueError(f"cannot make a row of the fields {self._values}: {len(args)} values were given")
        row = Row(*args)
        row._fields = tuple(self._values)
        row._row_kind = self._row_kind
        return row

    def __contains__(self, item: object) -> bool:
        """Whether there is a field of this name; where there are no names, such a value."""
        return item in (self._values if self._fields is None else self._names())

    def __getitem__(self, item: int | slice | str) -> Any:
        if isinstance(item, str):
            return self._values[self._position(item)]
        return self._values[item]

    def __setitem__(self, key: int | slice | str, value: Any) -> None:
        if isinstance(key, str):
            self._values[self._position(key)] = value
        else:
            self._values[key] = value

    def __getattr__(self, name: str) -> Any:
        # Only names that are no attribute come here; dunder look-ups of copy and pickle must fail at once.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[self._position(name)]
        except ValueError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        if self._row_kind is not other._row_kind:
            return False
        mine, theirs = self._fields or None, other._fields or None
        if mine == theirs:
            return self._values == other._values
        if mine is None or theirs is None or len(mine) != len(theirs):
            return False
        return dict(zip(mine, self._values, strict=False)) == dict(zip(theirs, other._values, strict=False))

    def __hash__(self) -> int:
        return hash(frozenset(zip(self._fields, self._values, strict=False)) if self._fields else tuple(self._values))

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._fields, tuple(self._values), self._row_kind.value)

    def __repr__(self) -> str:
        if self._fields is None:
            return f"<Row({', '.join(map(repr, self._values))})>"
        pairs = zip(self._names(), self._values, strict=False)
        return f"Row({', '.join(f'{name}={value!r}' for name, value in pairs)})"


_KINDS = tuple(RowKind)
_new_row = Row.__new__


def make_row(fields: tuple[str, ...] | None, values: list[Any], kind: RowKind = _INSERT) -> Row:
    """A row that owns `values`: the records layer's way past the checks of the constructor."""
    row = _new_row(Row)
    row._fields = fields
    row._values = values
    row._row_kind = kind
    return row


def _restore(fields: tuple[str, ...] | None, values: tuple[Any, ...], kind: int) -> Row:
    return make_row(fields, list(values), _KINDS[kind])


def _plain(value: Any) -> Any:
    if isinstance(value, Row):
        return value.as_dict(recursive=True)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
