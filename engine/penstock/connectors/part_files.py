"""What the file sink needs of a place to write to: files that grow hidden, and appear whole when committed.

Two implementations: local folders (`local_parts`) and S3 (`s3_parts`). The sink's writer drives one on the task's
thread, its committer carries out what the writer left to be done once the checkpoint holds. What goes into
checkpoints are the plain values of this module.
"""

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final, final

import msgspec

from penstock.base.ids import CheckpointId, JobId, OperatorUid
from penstock.storage.uploads import Part, Upload


@final
class LocalResumable(msgspec.Struct, frozen=True, tag="local"):
    """A hidden local file that was durable up to `size` when the checkpoint was taken."""

    hidden: str
    target: str
    size: int
    replaced: list[str]
    """Files of earlier attempts that this one was copied from: older checkpoints go on from them."""


@final
class LocalCommit(msgspec.Struct, frozen=True, tag="local-commit"):
    """Give the finished hidden file its name; then nobody needs the ones it was copied from."""

    hidden: str
    target: str
    size: int
    replaced: list[str]


@final
class LocalDiscard(msgspec.Struct, frozen=True, tag="local-discard"):
    """Remove a hidden file that nobody goes on with."""

    hidden: str


@final
class UploadResumable(msgspec.Struct, frozen=True, tag="upload"):
    """An upload below the URI `base`, whose parts hold all bytes but `tail`."""

    base: str
    upload: Upload
    parts: list[Part]
    tail: bytes

    def as_it_stands(self) -> "UploadCommit":
        """What publishes these bytes and no more."""
        return UploadCommit(self.base, self.upload, self.parts, self.tail)


@final
class UploadCommit(msgspec.Struct, frozen=True, tag="upload-commit"):
    """Send the tail, if there is one, as the last part, and make the uploaded object visible."""

    base: str
    upload: Upload
    parts: list[Part]
    tail: bytes
    spare: bytes = b""
    """What the part holds, where there is only one: it is sent again if the store has lost it."""


@final
class UploadAbort(msgspec.Struct, frozen=True, tag="upload-abort"):
    """Throw away an upload that nobody goes on with."""

    base: str
    upload: Upload


Resumable = LocalResumable | UploadResumable
Commit = LocalCommit | LocalDiscard | UploadCommit | UploadAbort

LINEAGE_DIGITS: Final = 16
_OTHERS_MAX: Final = 64
"""Up to this parallelism, or twice the present one, leavings from before a rescaling are known: 2.5 us each."""


@final
class Lineage:
    """Marks the unfinished files of one subtask, so that a later attempt can tell its predecessors' leavings.

    Every hidden file is named by a UUID that begins with 16 digits for the subtask, then 8 for the newest
    checkpoint its writer had taken part in. Whoever is restored from checkpoint n therefore knows that the files of
    his own subtask marked n or later belong to an attempt whose work is being done again; so do those of the
    operator's subtasks when it had another parallelism. Files of other subtasks, operators and jobs, and those that
    checkpoint n itself may refer to, bear other marks. They are removed at the
    commit of the next checkpoint, which an attempt that is itself lost never sees.
    """

    def __init__(
        self,
        job: JobId,
        operator: OperatorUid,
        subtask: int,
        parallelism: int,
        restored: CheckpointId | None,
        rng: Random,
    ) -> None:
        self._owner = _owner(job, operator, subtask, parallelism)
        others = range(1, max(_OTHERS_MAX, 2 * parallelism) + 1) if restored is not None else ()
        self._owners = {self._owner} | {
            _owner(job, operator, past, other)
            for other in others
            if other != parallelism
            for past in range(subtask, other, parallelism)
        }
        """With those subtasks of other parallelisms whose leavings are ours to remove: each is one of ours'."""
        self._restored = int(restored or 0)
        self._newest = self._restored
        self._rng = rng

    def took_part_in(self, checkpoint: CheckpointId) -> None:
        """What is begun from now on is younger than this checkpoint."""
        self._newest = int(checkpoint)

    def new_mark(self) -> str:
        """A name that tells our own unfinished files by, and no two of them share."""
        return str(uuid.UUID(hex=f"{self._owner}{self._newest:08x}{self._rng.getrandbits(32):08x}"))

    def is_leaving(self, mark: str) -> bool:
        """Whether a file of this mark was begun by a lost attempt of this subtask after what we were restored from."""
        try:
            digits = uuid.UUID(mark).hex
        except ValueError:
            return False
        if digits[:LINEAGE_DIGITS] not in self._owners:
            return False
        return int(digits[LINEAGE_DIGITS : LINEAGE_DIGITS + 8], 16) >= self._restored


def _owner(job: JobId, operator: OperatorUid, subtask: int, parallelism: int) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{job}/{operator}/{subtask}/{parallelism}").hex[:LINEAGE_DIGITS]


@final
@dataclass(frozen=True, slots=True)
class PartName:
    """`<prefix>-<uuid>-<counter><suffix>`"""

    prefix: str
    uuid: str
    counter: int
    suffix: str

    def __str__(self) -> str:
        return f"{self.prefix}-{self.uuid}-{self.counter}{self.suffix}"


Finishing = Callable[[], Commit]


class PartFile(ABC):
    """A file that grows. It exists nowhere before its first byte is written."""

    size: int

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append."""

    @abstractmethod
    def persist(self) -> Resumable:
        """Make all bytes written so far durable, and say how to go on from here."""

    @abstractmethod
    def finish(self) -> Finishing:
        """Begin to make all bytes durable, for good. What comes back waits for that and says how to publish them."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of it, without removing what a checkpoint may refer to."""


class PartFiles(ABC):
    """One subtask's way into the sink's base folder."""

    @abstractmethod
    def begin(self, bucket: str, name: "PartName") -> PartFile:
        """A new file, to be published under this name in the bucket's folder."""

    @abstractmethod
    def resume(self, state: Resumable) -> PartFile | Commit:
        """Go on with a file of an earlier attempt, or, where that cannot be, its commit as it stands.

        Nobody else may be able to change the file that comes back, though the earlier attempt may still run. It may
        lie elsewhere, where the sink's folder was another when the checkpoint was taken: there it stays.
        """

    @abstractmethod
    def leavings(self) -> list[Commit]:
        """How to remove what lost attempts of this subtask began after the checkpoint we were restored from.

        To be asked before the first `begin`, and done once a checkpoint has completed.
        """
