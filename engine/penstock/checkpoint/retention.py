"""Which completed checkpoints are kept, and which files may go. Pure.

A checkpoint dies in two steps: first the journal forgets it (so that no one recovers from it any more), then those of
its files are deleted that nothing else needs. Needed are the files of every checkpoint that is retained, of every
checkpoint that one under way builds on, and those that acknowledgements of one under way refer to.
"""

import enum
from collections.abc import Collection, Iterable, Mapping
from typing import Final, Literal, final

import msgspec

from penstock.base.ids import CheckpointId
from penstock.checkpoint.layout import METADATA, checkpoint_of, is_shared, provenance_of

FinalState = Literal["FINISHED", "CANCELED", "FAILED"]


class ExternalizedRetention(enum.Enum):
    """`execution.checkpointing.externalized-checkpoint-retention`: what stays when the job has ended."""

    NO_EXTERNALIZED_CHECKPOINTS = "NO_EXTERNALIZED_CHECKPOINTS"
    DELETE_ON_CANCELLATION = "DELETE_ON_CANCELLATION"
    RETAIN_ON_CANCELLATION = "RETAIN_ON_CANCELLATION"

    def keeps(self, state: FinalState) -> bool:
        return state in _KEPT[self]


_KEPT: Final[Mapping[ExternalizedRetention, frozenset[str]]] = {
    ExternalizedRetention.NO_EXTERNALIZED_CHECKPOINTS: frozenset(),
    ExternalizedRetention.DELETE_ON_CANCELLATION: frozenset({"FAILED"}),
    ExternalizedRetention.RETAIN_ON_CANCELLATION: frozenset({"FAILED", "CANCELED"}),
}


@final
class Retained(msgspec.Struct, frozen=True):
    """A completed checkpoint and what it needs."""

    id: CheckpointId
    exclusive: frozenset[str]
    """Paths of its own files, `_metadata` included."""

    shared: frozenset[str] | None
    """Paths of the shared files it refers to; None when its `_metadata` could not be read."""

    abandoned: bool = False
    """The job has turned away from it; it goes as soon as there is another."""


@final
class Retention:
    """Completed checkpoints of a job and their files."""

    def __init__(
        self,
        retained_max: int,
        known: Iterable[Retained],
        *,
        first_id: CheckpointId,
        pinned: Collection[CheckpointId] = (),
        owns_origin: bool = False,
    ) -> None:
        """`first_id`: of the current reign; no checkpoint before it can refer to files uploaded after it.

        `pinned`: stay whatever comes after them, and are retained beside the others.

        `owns_origin`: the job has claimed the savepoint or checkpoint that it was started from, and still holds it.
        It counts as the oldest one; no checkpoint of the job's own refers to its files.
        """
        assert retained_max >= 1, "at least one checkpoint is kept"
        self._max = retained_max
        self._pinned = frozenset(pinned)
        self._first_id = first_id
        self._kept = {record.id: record for record in known}
        self._forgotten: dict[CheckpointId, Retained] = {}
        self._owns_origin = owns_origin

    @property
    def retained_max(self) -> int:
        return self._max

    @property
    def pinned(self) -> frozenset[CheckpointId]:
        return self._pinned

    @property
    def retained(self) -> tuple[CheckpointId, ...]:
        return tuple(sorted(self._kept))

    @property
    def newest(self) -> CheckpointId | None:
        """Newest checkpoint that the job's present is built on."""
        return max((c.id for c in self._kept.values() if not c.abandoned), default=None)

    def completed(self, record: Retained) -> tuple[CheckpointId, ...]:
        """A checkpoint has come to exist. What the journal should forget now, oldest first."""
        self._kept[record.id] = record
        stay = {*self._lineage()[-self._max :], *self._pinned}
        return tuple(sorted(self._kept.keys() - stay))

    def keep(self, retained_max: int, pinned: Collection[CheckpointId]) -> tuple[CheckpointId, ...]:
        """So many from now on, and these beside them. What the journal should forget at once, oldest first."""
        assert retained_max >= 1, "at least one checkpoint is kept"
        self._max, self._pinned = retained_max, frozenset(pinned)
        return tuple(self._lineage()[:-retained_max])

    def claim_origin(self) -> None:
        """The job has just been started from something that it claims."""
        self._owns_origin = True

    def origin_is_subsumed(self) -> bool:
        """Whether the claimed origin has now had its time. Says so once."""
        own = sum(not record.abandoned for record in self._kept.values())
        subsumed = self._owns_origin and own >= self._max
        self._owns_origin &= not subsumed
        return subsumed

    def origin_may_go(self, state: FinalState, policy: ExternalizedRetention) -> bool:
        """Whether the claimed origin goes now that the job has ended. Says so once."""
        goes = self._owns_origin and not policy.keeps(state)
        self._owns_origin &= not goes
        return goes

    def turned_to(self, checkpoint: CheckpointId | None) -> None:
        """The job is restored from this one (None: from none of these): what came after it is abandoned."""
        for record in list(self._kept.values()):
            if checkpoint is None or record.id > checkpoint:
                self._kept[record.id] = Retained(record.id, record.exclusive, record.shared, abandoned=True)

    def ended(self, state: FinalState, policy: ExternalizedRetention) -> tuple[CheckpointId, ...]:
        """The job has come to its end. What the journal should forget now."""
        return () if policy.keeps(state) else tuple(id for id in self.retained if id not in self._pinned)

    def forgotten(self, checkpoint: CheckpointId) -> None:
        """The journal has forgotten it: no one will recover from it."""
        record = self._kept.pop(checkpoint, None)
        if record is not None:
            self._forgotten[checkpoint] = record

    def is_live(self, path: str) -> bool:
        """Whether a shared file is certain to be there, because a completed checkpoint still holds it."""
        return any(path in (record.shared or ()) for record in (*self._kept.values(), *self._forgotten.values()))

    def collect(self, *, bases: Collection[CheckpointId], referred: Collection[str]) -> tuple[str, ...]:
        """Paths that may be deleted now, `_metadata` first; each is named once.

        `bases`: checkpoints that those under way build on. `referred`: what their acknowledgements refer to.
        """
        dying = [record for id, record in sorted(self._forgotten.items()) if id not in bases]
        for record in dying:
            del self._forgotten[record.id]
        needed = self._needed()
        gone: set[str] = set()
        for record in dying:
            files = record.exclusive | {path for path in record.shared or () if self._may_go(path)}
            gone |= files
            # Held back by a checkpoint that may yet be aborted: looked at again the next time.
            held = (files - needed).intersection(referred)
            if held:
                self._forgotten[record.id] = Retained(record.id, frozenset(), held)
        return _metadata_first(gone - needed - frozenset(referred))

    def sweep(self, found: Iterable[str], *, decided_below: CheckpointId, referred: Collection[str]) -> tuple[str, ...]:
        """Of the job's files that a listing found, those left behind by tasks and JobManagers that died.

        Every checkpoint below `decided_below` has completed or been given up; at the start of a reign that is its
        first id, so that only what was uploaded under an older epoch goes.
        """
        needed = self._needed() | frozenset(referred)
        kept = self._kept.keys() | self._forgotten.keys()
        gone = set()
        for path in found:
            folder, provenance = checkpoint_of(path), provenance_of(path)
            if path in needed:
                continue
            if folder is not None:
                if folder < decided_below and folder not in kept:
                    gone.add(path)
            elif is_shared(path) and provenance and provenance.checkpoint < decided_below and self._may_go(path):
                gone.add(path)
        return _metadata_first(gone)

    def _lineage(self) -> list[CheckpointId]:
        """What counts: oldest first, without those that the job has turned away from and those that stay anyway."""
        return sorted(c.id for c in self._kept.values() if not c.abandoned and c.id not in self._pinned)

    def _needed(self) -> frozenset[str]:
        records = (*self._kept.values(), *self._forgotten.values())
        return frozenset().union(*((r.exclusive | (r.shared or frozenset())) for r in records))

    def _may_go(self, path: str) -> bool:
        """Whether no checkpoint whose needs are unknown can need this shared file."""
        if all(record.shared is not None for record in self._kept.values()):
            return True
        provenance = provenance_of(path)
        return provenance is not None and provenance.checkpoint >= self._first_id


def _metadata_first(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=lambda path: (not path.endswith(f"/{METADATA}"), path)))
