"""The file sink's writer: records into part files, part files rolled, and what is to be committed.

Driven by the sink operator on the task's thread through `file_sink`. Opens, writes and syncs files through `PartFiles`;
publishes nothing: what it closes is handed over as commits at the next checkpoint. A bucket costs nothing while
no record comes for it.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Final, final

import msgspec

from penstock.base.ids import CheckpointId
from penstock.connectors.bucket_writer import BucketState, BucketWriter, FileLayout
from penstock.connectors.buckets import BucketContext
from penstock.connectors.part_files import Commit, Finishing, Lineage, PartFile, PartFiles

_NO_TIMESTAMP: Final = -(2**63)


@final
class FileWriter:
    """One subtask's writer."""

    def __init__(
        self, layout: FileLayout, files: PartFiles, lineage: Lineage, *, now_ms: Callable[[], int], rng: Random
    ) -> None:
        self._layout = layout
        self._files = files
        self._lineage = lineage
        self._now_ms = now_ms
        self._rng = rng
        self._buckets: dict[str, BucketWriter] = {}
        self._leavings: list[Commit] = []
        self._finishing: list[Finishing] = []

    def restore(self, states: Iterable[bytes]) -> None:
        """Before anything else: take up what earlier attempts had under way, and note what they left."""
        self._leavings = self._files.leavings()
        for state in states:
            self._take_up(msgspec.msgpack.decode(state, type=BucketState))

    def write(self, values: list[Any], timestamps: Sequence[int] | None, watermark: int) -> None:
        """Take records."""
        if not values:
            return
        now_ms, assigner = self._now_ms(), self._layout.assigner
        common = assigner.get_common_bucket_id(BucketContext(now_ms, watermark, None))
        if common is not None:
            self._bucket(common).write(values, now_ms)
            return
        by_bucket: dict[str, list[Any]] = {}
        for index, value in enumerate(values):
            timestamp = None if timestamps is None or timestamps[index] == _NO_TIMESTAMP else timestamps[index]
            bucket = assigner.get_bucket_id(value, BucketContext(now_ms, watermark, timestamp))
            by_bucket.setdefault(bucket, []).append(value)
        for bucket, members in by_bucket.items():
            self._bucket(bucket).write(members, now_ms)

    def roll_by_time(self) -> None:
        """To be called at each bucket check interval."""
        now_ms = self._now_ms()
        for bucket in self._buckets.values():
            bucket.roll_by_time(now_ms)

    def prepare_commit(self, *, end_of_input: bool) -> list[Commit]:
        """Close what is to be closed, and hand over all that is to be published once the checkpoint holds."""
        for bucket in self._buckets.values():
            bucket.roll_at_checkpoint(end_of_input)
        commits = self._leavings + [finished() for finished in self._finishing]
        self._leavings, self._finishing = [], []
        return commits

    def snapshot_state(self, checkpoint: CheckpointId) -> list[bytes]:
        """After `prepare_commit`: make what is under way durable, and say how to go on with it."""
        self._lineage.took_part_in(checkpoint)
        states = [state for bucket in self._buckets.values() if (state := bucket.state()) is not None]
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if bucket.in_use(self._now_ms())}
        return [msgspec.msgpack.encode(state) for state in states]

    def close(self) -> None:
        """Let go of all files. What checkpoints refer to stays."""
        for bucket in self._buckets.values():
            bucket.abandon()

    def _bucket(self, bucket_id: str) -> BucketWriter:
        bucket = self._buckets.get(bucket_id)
        if bucket is None:
            name = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
            bucket = BucketWriter(bucket_id, name, self._layout, self._files, self._hand_over)
            self._buckets[bucket_id] = bucket
        return bucket

    def _hand_over(self, finishing: Finishing) -> None:
        self._finishing.append(finishing)

    def _take_up(self, state: BucketState) -> None:
        resumed = self._files.resume(state.part)
        if isinstance(resumed, PartFile):
            self._bucket(state.bucket).take_up(resumed, state)
        else:
            self._finishing.append(lambda: resumed)
