"""From what a job goes on: the journal's candidates, verified in the store, best first.

The JobManager asks when it starts, and again whenever tasks are restored; the command line's checks and the operator's
local world ask too. Reads only. A damaged checkpoint is passed over only where the user allows it, and is always
reported. That a store cannot be reached is never taken for damage.

Step a fault test may stop at: `recovery.chosen`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, final

import msgspec

from penstock.base.errors import DamagedData, NotFound
from penstock.base.ids import CheckpointId, JobId
from penstock.base.steps import reached
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.journal_state import (
    Candidate,
    Completed,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    JournalState,
    Origin,
)
from penstock.checkpoint.layout import METADATA, checkpoint_folder, shared_prefix
from penstock.checkpoint.metadata import Metadata, decode
from penstock.checkpoint.retention import Retained
from penstock.storage.objects import ObjectStore

OpenRoot = Callable[[str], ObjectStore]
"""Opens the folder at an address; StoreRefused when there is no such place."""

_NONE_EXCLUDED: Final[Mapping[Origin, str]] = {}


@final
class PassedOver(msgspec.Struct, frozen=True):
    """A candidate that could not be used."""

    origin: Origin
    reason: str


@final
class RestorePlan(msgspec.Struct, frozen=True):
    """What the job is to be restored from."""

    origin: Origin
    metadata: Metadata | None = None
    """None: without state."""

    passed_over: tuple[PassedOver, ...] = ()
    """Better candidates that were damaged: the user must hear of them."""

    @property
    def checkpoint(self) -> CheckpointId | None:
        """The checkpoint of this very job that it is restored from; its files may be built upon."""
        return self.origin.id if isinstance(self.origin, FromCheckpoint) else None


@final
class Recovery(msgspec.Struct, frozen=True):
    """Chooses and verifies."""

    store: ObjectStore | None
    """The checkpoint folder; None while checkpoints are kept nowhere."""

    job: JobId
    open_root: OpenRoot
    allow_older: bool
    """Whether a damaged newest checkpoint may be passed over for the one before it."""

    confirm: Callable[[], None]
    """Raises LeadershipLost when the journal has gone on under another JobManager (`Journal.confirm`): it may have
    deleted what now looks like damage."""

    excluded: Mapping[Origin, str] = msgspec.field(default_factory=lambda: _NONE_EXCLUDED)
    """Checkpoints and savepoints in which restoring tasks have met damage that shows on reading, and what it was."""

    def plan(self, state: JournalState) -> RestorePlan:
        """The best usable candidate; DamagedData when there are candidates but none may be used."""
        passed: list[PassedOver] = []
        for candidate in state.candidates():
            if isinstance(candidate.origin, FromEmpty) and passed:
                break  # To begin again without state, over damaged checkpoints, is not ours to decide.
            try:
                metadata = self._verified(candidate)
            except DamagedData as error:
                self.confirm()
                passed.append(PassedOver(candidate.origin, str(error)))
                if not self.allow_older:
                    break
            else:
                reached("recovery.chosen")
                return RestorePlan(candidate.origin, metadata, tuple(passed))
        if passed:
            raise DamagedData(_refusal(self.job, passed, self.allow_older))
        return RestorePlan(FromEmpty())

    def of(self, origin: Origin) -> RestorePlan:
        """What a user asked for by name, verified."""
        plan = RestorePlan(origin, self._verified(Candidate(origin)))
        reached("recovery.chosen")
        return plan

    def _verified(self, candidate: Candidate) -> Metadata | None:
        if candidate.origin in self.excluded:
            raise DamagedData(self.excluded[candidate.origin])
        match candidate.origin:
            case FromEmpty():
                return None
            case FromCheckpoint(id):
                return self._checkpoint(id, candidate)
            case FromSavepoint(path):
                return self._savepoint(path, candidate.checksum)

    def _checkpoint(self, id: CheckpointId, candidate: Candidate) -> Metadata:
        if self.store is None:
            raise DamagedData(f"checkpoint {id} cannot be read: no checkpoint folder is configured")
        path = candidate.metadata_path or f"{checkpoint_folder(self.job, id)}/{METADATA}"
        metadata = read_metadata(self.store, path, candidate.checksum)
        prefixes = (f"{checkpoint_folder(self.job, id)}/", shared_prefix(self.job))
        _check_sizes(self.store, prefixes, metadata, f"checkpoint {id}")
        return metadata

    def _savepoint(self, path: str, checksum: str) -> Metadata:
        """A savepoint's folder, which holds all its files; or `chk-<n>` of another job, two levels below its root."""
        metadata = read_metadata(self.open_root(path), METADATA, checksum)
        if metadata.kind == "savepoint":
            root, prefixes = path, [""]
        else:
            root = path.rstrip("/").rsplit("/", 2)[0]
            prefixes = [f"{checkpoint_folder(metadata.job, metadata.checkpoint)}/", shared_prefix(metadata.job)]
        _check_sizes(self.open_root(root), prefixes, metadata, path)
        return metadata.rebased(root)


def read_metadata(store: ObjectStore, path: str, checksum: str = "") -> Metadata:
    """`_metadata`, verified; against the journal's checksum too, where one is known."""
    try:
        data = store.read(path)
    except NotFound as error:
        raise DamagedData(f"{path} is missing in {store.uri}") from error
    if checksum and checksum_of(data) != checksum:
        raise DamagedData(
            f"{path} in {store.uri} is not what the journal says was written: checksum {checksum} expected"
        )
    return decode(data, f"{store.uri.rstrip('/')}/{path}")


def retained_of(store: ObjectStore, state: JournalState) -> tuple[Retained, ...]:
    """What the journal retains, with the files each needs: how a new reign's `Retention` begins."""
    lineage = {completed.id for completed in state.lineage}
    return tuple(_retained(store, completed, completed.id not in lineage) for completed in state.retained)


def _retained(store: ObjectStore, completed: Completed, abandoned: bool) -> Retained:
    try:
        metadata = read_metadata(store, completed.path, completed.checksum)
    except DamagedData:
        return Retained(completed.id, frozenset({completed.path}), None, abandoned)
    exclusive = metadata.paths(shared=False) | {completed.path}
    return Retained(completed.id, exclusive, metadata.paths(shared=True), abandoned)


def _check_sizes(store: ObjectStore, prefixes: Iterable[str], metadata: Metadata, what: str) -> None:
    """Missing and truncated files show in a listing, before any task is started; the rest shows on reading."""
    wanted = {f.file.path: f.file.size for f in metadata.files() if f.file.inline is None and f.file.root is None}
    if not wanted:
        return
    found = {entry.path: entry.size for prefix in prefixes for entry in store.list(prefix)}
    for path, size in sorted(wanted.items()):
        if path not in found:
            raise DamagedData(f"{what}: {path} is missing in {store.uri}")
        if found[path] != size:
            raise DamagedData(f"{what}: {path} in {store.uri} has {found[path]} bytes where {size} were written")


def _refusal(job: JobId, passed: list[PassedOver], allow_older: bool) -> str:
    reasons = "; ".join(item.reason for item in passed)
    if allow_older:
        return f"no checkpoint of job {job} can be restored: {reasons}"
    return f"the newest checkpoint of job {job} is damaged, and falling back to an older one is not allowed: {reasons}"
