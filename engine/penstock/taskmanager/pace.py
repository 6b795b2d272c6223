"""How many records of a task fit its slice, by recent experience. Called once per batch."""

import math
from typing import Final, final

_FIRST_BATCH_RECORDS: Final = 16


@final
class Pace:
    """Learns what a record costs."""

    __slots__ = ("_batch_records", "_record_s", "_records_max", "_slice_s")

    def __init__(self, slice_s: float, records_max: int) -> None:
        """`records_max`: the most that a source is asked for at once."""
        self._slice_s = slice_s
        self._records_max = records_max
        self._record_s = 5e-6
        self._batch_records = _FIRST_BATCH_RECORDS

    def fitting(self) -> int:
        """How many records fit a slice, growing from few: the first ones may turn out slow."""
        return max(1, min(int(self._slice_s / self._record_s), self._batch_records))

    def wanted(self) -> int:
        """How many to ask a source for."""
        return min(self.fitting(), self._records_max)

    def learn(self, took_s: float, records: int) -> None:
        """A batch of `records` took so long per record."""
        # The geometric mean: a function a hundred times slower shows at once, and a batch during which the machine had
        # no core for us is soon forgotten.
        self._record_s = math.sqrt(self._record_s * max(took_s, 1e-9))
        self._batch_records = max(_FIRST_BATCH_RECORDS, 2 * records)
