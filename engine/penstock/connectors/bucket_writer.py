"""One bucket of the file sink: the part file under way, and when it is closed for a new one.

Owned by `FileWriter`. A file is begun by the first record, never before, so that there are none without records.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec

from penstock.connectors.buckets import BucketAssigner, OutputFileConfig, PartFileInfo, RollingPolicy
from penstock.connectors.encoders import BulkWriter, BulkWriterFactory, RowEncoder
from penstock.connectors.part_files import Finishing, PartFile, PartFiles, PartName, Resumable

_FORGOTTEN_AFTER_MS: Final = 3_600_000
"""A bucket without records for so long gives up its place in memory; it starts anew with another UUID."""


@final
class BucketState(msgspec.Struct, frozen=True):
    """What a checkpoint keeps of a bucket with a file under way."""

    bucket: str
    counter: int
    created_ms: int
    updated_ms: int
    part: Resumable


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayout:
    """How the records of a sink become files."""

    encoder: RowEncoder | BulkWriterFactory
    assigner: BucketAssigner
    policy: RollingPolicy
    names: OutputFileConfig


@final
class BucketWriter:
    """Writes the records of one bucket."""

    def __init__(
        self, bucket: str, name: str, layout: FileLayout, files: PartFiles, hand_over: Callable[[Finishing], None]
    ) -> None:
        self._id = bucket
        self._name = name
        self._layout = layout
        self._files = files
        self._hand_over = hand_over
        self._part: PartFile | None = None
        self._bulk: BulkWriter | None = None
        self._created_ms = 0
        self._updated_ms = 0
        self._counter = 0

    def take_up(self, part: PartFile, state: BucketState) -> None:
        """Go on with an earlier attempt's file; of several, with the last one, the others being closed."""
        self._close_part()
        self._part = part
        self._created_ms, self._updated_ms = state.created_ms, state.updated_ms
        self._counter = max(self._counter, state.counter)

    def write(self, values: list[Any], now_ms: int) -> None:
        """Append records."""
        encoder = self._layout.encoder
        if isinstance(encoder, RowEncoder):
            self._write_rows(encoder, values, now_ms)
        else:
            self._write_bulk(encoder, values, now_ms)
        self._updated_ms = now_ms

    def roll_by_time(self, now_ms: int) -> None:
        """Close the file if it has become too old."""
        if self._part is not None and self._layout.policy.should_roll_on_processing_time(self._info(), now_ms):
            self._close_part()

    def roll_at_checkpoint(self, end_of_input: bool) -> None:
        """Close the file if the policy says so, or nothing follows, or its format cannot go on later."""
        if self._part is None:
            return
        if end_of_input or self._bulk is not None or self._layout.policy.should_roll_on_checkpoint(self._info()):
            self._close_part()

    def state(self) -> BucketState | None:
        """Make the file under way durable; None: there is none."""
        if self._part is None:
            return None
        return BucketState(self._id, self._counter, self._created_ms, self._updated_ms, self._part.persist())

    def in_use(self, now_ms: int) -> bool:
        """Whether it is worth keeping in memory."""
        return self._part is not None or now_ms - self._updated_ms < _FORGOTTEN_AFTER_MS

    def abandon(self) -> None:
        """Let go of the file."""
        if self._part is not None:
            self._part.abandon()

    def _write_rows(self, encoder: RowEncoder, values: list[Any], now_ms: int) -> None:
        data = encoder.encode_all(values)
        size_max = self._layout.policy.size_max
        if size_max is None or (self._part is not None and self._part.size + len(data) <= size_max):
            self._current(now_ms).write(data)
            return
        # A file is left by the first record that finds it full, wherever batches begin and end.
        for record in encoder.encode_each(values):
            part = self._current(now_ms)
            if part.size >= size_max:
                self._close_part()
                part = self._current(now_ms)
            part.write(record)

    def _write_bulk(self, factory: BulkWriterFactory, values: list[Any], now_ms: int) -> None:
        part, size_max = self._current(now_ms), self._layout.policy.size_max
        if size_max is not None and part.size >= size_max:
            self._close_part()
            part = self._current(now_ms)
        if self._bulk is None:
            self._bulk = factory.create(part)
        self._bulk.add(values)

    def _current(self, now_ms: int) -> PartFile:
        if self._part is None:
            names = self._layout.names
            name = PartName(names.part_prefix, self._name, self._counter, names.part_suffix)
            self._part = self._files.begin(self._id, name)
            self._counter += 1
            self._created_ms = self._updated_ms = now_ms
        return self._part

    def _close_part(self) -> None:
        if self._part is None:
            return
        if self._bulk is not None:
            self._bulk.finish()
            self._bulk = None
        self._hand_over(self._part.finish())
        self._part = None

    def _info(self) -> PartFileInfo:
        assert self._part is not None
        return PartFileInfo(self._id, self._part.size, self._created_ms, self._updated_ms)
