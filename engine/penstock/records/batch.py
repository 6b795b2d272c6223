"""What travels between operators: batches of records, and control elements between batches.

Operators, exchange and checkpoints pass these on; nothing here is done per record. A batch owns its lists:
who hands a batch on does not touch it again.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, final

import msgspec

from penstock.base.ids import CheckpointId

MIN_TIMESTAMP: Final = -(2**63)
"""The timestamp of a record that has none."""

MAX_WATERMARK: Final = 2**63 - 1
"""The watermark after which no record can follow: the end of event time."""


@final
class Batch:
    """Values, and beside them their timestamps and keys where they have any.

    `timestamps` is None when no record has one; a single record without one has MIN_TIMESTAMP.
    `keys` is None until the stream is keyed. Where every value is its own key, `keys` and `values` are one list: what
    is done to the one need not be done to the other.
    `cls` is the class that each value is known to be of exactly, so that nobody looks again; None says nothing.
    """

    __slots__ = ("cls", "keys", "timestamps", "values")

    def __init__(
        self,
        values: list[Any],
        timestamps: list[int] | None = None,
        keys: list[Any] | None = None,
        cls: type | None = None,
    ) -> None:
        self.values = values
        self.timestamps = timestamps
        self.keys = keys
        self.cls = cls

    def __len__(self) -> int:
        return len(self.values)

    def each(self, take: Callable[[list[Any]], list[Any]]) -> "Batch":
        """The batch of what `take` makes of each list."""
        values, timestamps, keys = self.values, self.timestamps, self.keys
        taken = take(values)
        return Batch(
            taken,
            None if timestamps is None else take(timestamps),
            None if keys is None else taken if keys is values else take(keys),
        )

    def slice(self, start: int, stop: int) -> "Batch":
        """The records from `start` up to, without, `stop`."""
        return self.each(lambda column: column[start:stop])

    def select(self, indices: Sequence[int]) -> "Batch":
        """The records at `indices`, in that order."""
        return self.each(lambda column: [column[i] for i in indices])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Batch):
            return NotImplemented
        return self.values == other.values and self.timestamps == other.timestamps and self.keys == other.keys

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Batch(values={self.values!r}, timestamps={self.timestamps!r}, keys={self.keys!r})"


class Watermark(msgspec.Struct, frozen=True):
    """No record with a timestamp at or below this one follows."""

    timestamp: int


class WatermarkStatus(msgspec.Struct, frozen=True):
    """Whether this input takes part in the watermark of what is downstream."""

    idle: bool


SavepointFormat = Literal["native", "canonical"]
"""As the backend has it, or as every backend and other programs read it."""

StopMode = Literal["suspend", "drain"]
"""Stop as if to go on later, or as if all input had ended: MAX_WATERMARK and `finish` go ahead of the barrier."""


class SavepointOptions(msgspec.Struct, frozen=True):
    """The snapshot is part of a savepoint: whole, and written where nothing else lies."""

    target: str
    """Address of the savepoint's own folder."""
    format: SavepointFormat = "native"


class BarrierOptions(msgspec.Struct, frozen=True):
    """How the snapshot that a barrier asks for is to be taken, and what comes after it."""

    exactly_once: bool = True
    """False: at least once, no input waits for another."""
    savepoint: SavepointOptions | None = None
    stop: StopMode | None = None
    """Take no record and fire no timer after the snapshot, until the savepoint is known to be complete or given up."""
    anew: bool = False
    """A checkpoint that refers to no file of an earlier one; later ones may build on it."""


class Barrier(msgspec.Struct, frozen=True):
    """Everything before it belongs to the checkpoint, nothing after it."""

    checkpoint: CheckpointId
    timestamp_ms: int
    options: BarrierOptions = BarrierOptions()


class EndOfData(msgspec.Struct, frozen=True):
    """No more records on this channel; barriers may still follow."""


class EndOfPartition(msgspec.Struct, frozen=True):
    """Nothing at all follows on this channel: its producer has ended."""


Control = Watermark | WatermarkStatus | Barrier | EndOfData | EndOfPartition
Element = Batch | Control
