"""One row of a keyed state as a value: what tools and edit scripts see, whatever backend wrote it. Pure."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, final

from penstock.base.errors import StateError
from penstock.records.keys import encode_key
from penstock.state.canonical.rows import Rows


@final
@dataclass(slots=True)
class Entry:
    """One value of a key.

    Of a list state there is one entry per element, in order; of a map state one per key of the map.
    """

    key: Any
    value: Any
    """Of reducing and aggregating state the accumulator; of timers, True."""
    map_key: Any = None
    """The key within the map; of timers, their time."""
    namespace: Any = None
    """The window, where state belongs to windows."""
    used_ms: int | None = None
    """When it was last used, where the state has a time to live."""
    key_group: int = -1
    """Follows from the key; what a script gives for it is ignored."""


def entries_of(rows: Rows) -> Iterator[Entry]:
    """Each row of some."""
    return map(
        Entry,
        rows.keys,
        rows.values if rows.values is not None else repeat(True),
        rows.map_keys if rows.map_keys is not None else repeat(None),
        rows.namespaces if rows.namespaces is not None else repeat(None),
        rows.times if rows.times is not None else repeat(None),
        rows.groups,
    )


def dumped_key(key: Any) -> bytes:
    """In the canonical encoding; keys of undeclared maps may be anything."""
    try:
        return encode_key(key)
    except StateError:
        return pickle.dumps(key, 5)
