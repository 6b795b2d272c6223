"""How heap snapshots list a table while batches change it, and go through sets of touched keys."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, Final

from penstock.state.hashmap.chunks import Table
from penstock.state.hashmap.touched import Touched

PIECE_KEYS: Final = 1 << 16
"""How many keys of a whole table are listed at a time: about 2 ms."""


def pieces_of(table: Table) -> Iterator[list[Any]]:
    """All keys that were there at the barrier, listed piece by piece while the table changes.

    A dict keeps its order; keys put in since the barrier were prepared since, so they do not matter; keys taken
    out were prepared too, and have moved the others up by at most as many places as were removed.
    """
    cells, at, size = table.cells, 0, PIECE_KEYS
    keys, count, removed = iter(cells), len(cells), table.removals.count
    while True:
        moved = table.removals.count - removed
        if moved or len(cells) != count:
            # The iterator has lost its place; finding it again takes 30 ns for each key before it.
            at, size = max(0, at - moved), max(PIECE_KEYS, 4 * moved)
            keys, count, removed = iter(islice(cells, at, None)), len(cells), table.removals.count
        piece = list(islice(keys, size))
        if not piece:
            return
        at += len(piece)
        yield piece


def pieces_once(table: Table, is_touched: Callable[[Any], bool]) -> Iterator[list[Any]]:
    """As `pieces_of`, each key once: keys that were listed before are left out, but for touched ones.

    Untouched keys keep their order, so the last of them that was listed parts what was listed from what was not.
    """
    listed: list[list[Any]] = []
    removed = table.removals.count
    for piece in pieces_of(table):
        moved, removed = table.removals.count - removed, table.removals.count
        if moved:
            before = chain.from_iterable(map(reversed, reversed(listed)))
            last = next((key for key in before if not is_touched(key)), None)
            if last is not None and last in piece:
                piece = piece[piece.index(last) + 1 :]
        listed.append(piece)
        yield piece


def sets_of(intervals: Iterable[Touched]) -> Iterator[set[Any]]:
    """Every set of some intervals."""
    return chain.from_iterable(touched.sets for touched in intervals)
