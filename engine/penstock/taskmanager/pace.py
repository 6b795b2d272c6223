"""For how long a task may hold its worker's loop, and how many records fit into that. Called once per batch."""

import math
from collections.abc import Iterable
from typing import Final, final

import msgspec

_FIRST_BATCH_RECORDS: Final = 16
_SLICE_SHARE: Final = 0.8
"""Of a step: what is begun within the slice ends after it."""
_BRISK_S: Final = 0.05
"""So long a snapshot has up to as much time as records have. A key that a record touches before it is serialised costs
three times as much: a snapshot of few keys is over before that happens to most.
"""
_PROMPT_SLICE_S: Final = 0.001
"""Where some edge sends each batch at once, a record would otherwise wait for the slices of all tasks on its way."""


@final
class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker's time is dealt to its tasks."""

    slice_s: float
    """How long a task works before sockets, timers and other tasks have their turn."""
    snapshot_share: float
    """Time for serialising a snapshot, as a share of the time for records."""
    records_max: int
    """The most that a source is asked for at once."""

    def snapshot_s(self, records_s: float, spent_s: float) -> float:
        """How long to serialise after records took `records_s`, by a snapshot that has had `spent_s` so far."""
        share = self.snapshot_share
        return records_s * (max(share, min(3 * share, 1.0)) if spent_s < _BRISK_S else share)

    @staticmethod
    def of(*, step_s: float, snapshot_duty: float, records_max: int, buffer_timeouts_ms: Iterable[int]) -> "Pacing":
        """From the settings, and the buffer timeouts of the job's edges."""
        slice_s = step_s * _SLICE_SHARE
        return Pacing(
            slice_s=min(slice_s, _PROMPT_SLICE_S) if 0 in buffer_timeouts_ms else slice_s,
            snapshot_share=snapshot_duty / (1 - snapshot_duty) if snapshot_duty < 1 else float("inf"),
            records_max=records_max,
        )


@final
class Pace:
    """Learns what a record costs."""

    __slots__ = ("_batch_records", "_record_s", "_records_max", "_slice_s")

    def __init__(self, pacing: Pacing) -> None:
        self._slice_s = pacing.slice_s
        self._records_max = pacing.records_max
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
