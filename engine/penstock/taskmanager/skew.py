"""How unevenly keys, and records, fall into the key groups of one operator's subtask: from small samples, never all.

Asked a few times a second by the worker's `TaskMeter`; a look costs some 0.2 ms however much state there is. A skew is
the greatest key group over the mean one, so 1 is even; 0 stands for 'too little was seen to tell'.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, final

from penstock.records.key_groups import KeyGroupRange, KeyGroups
from penstock.state.backend import KeyedBackend

_RECENT_MAX: Final = 256
"""Keys of the newest batch that are looked at."""
_SAMPLE: Final = 512
"""Stored keys that are looked at at a time."""
_SAMPLED_MAX: Final = 1 << 15
"""Stored keys that a pass looks at; more would cost a longer walk into the table."""
_LOOKS_PER_WINDOW: Final = 16
_TELLING: Final = 64
"""So many of a sample in one key group say something; fewer may be chance."""

Skew = tuple[float, int]
"""The greatest key group over the mean one, and which it is."""
_UNKNOWN: Final[Skew] = (0.0, -1)


def skew(counts: Counter[int], groups: int, *, exact: bool) -> Skew:
    """Of these counts by key group; unknown where chance could have made it."""
    if not counts or groups <= 0:
        return _UNKNOWN
    group, most = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return (most * groups / counts.total(), group) if exact or most >= _TELLING else _UNKNOWN


@final
class SkewGauge:
    """Looks at one backend."""

    def __init__(self, backend: KeyedBackend, max_parallelism: int) -> None:
        self._backend = backend
        self._groups = KeyGroups(max_parallelism, capacity=4 * _SAMPLE)
        self._range: KeyGroupRange = backend.key_groups
        self._recent: Counter[int] = Counter()
        self._recent_before: Counter[int] = Counter()
        self._looks = 0
        self._seen: Sequence[Any] | None = None
        self._stored: Counter[int] = Counter()
        self._at = 0
        self.keys: Skew = _UNKNOWN
        self.records: Skew = _UNKNOWN

    def look(self) -> None:
        """Take the next samples."""
        self._look_at_records()
        self._look_at_keys()

    def _look_at_records(self) -> None:
        recent = self._backend.recent_keys
        if recent is not self._seen:
            self._seen = recent
            self._recent.update(self._groups.groups(recent[:_RECENT_MAX]))
        self._looks += 1
        self.records = skew(self._recent + self._recent_before, len(self._range), exact=False)
        if self._looks >= _LOOKS_PER_WINDOW:
            self._looks = 0
            self._recent_before, self._recent = self._recent, Counter()

    def _look_at_keys(self) -> None:
        keys = self._backend.sample_keys(self._at, _SAMPLE)
        self._stored.update(self._groups.groups(keys))
        self._at += len(keys)
        ended = len(keys) < _SAMPLE
        if not ended and self._at < _SAMPLED_MAX:
            found = skew(self._stored, len(self._range), exact=False)
            self.keys = found if found[0] else self.keys
            return
        self.keys = skew(self._stored, len(self._range), exact=ended)
        self._stored, self._at = Counter(), 0
