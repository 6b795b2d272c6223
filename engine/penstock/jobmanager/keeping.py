"""What a job keeps in its store while it runs: retained checkpoints and savepoints, with what each amounts to.

The job master is asked over REST and calls these in threads. They read only.
"""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Final, final

import msgspec

from penstock.base.errors import DamagedData, IncompatibleState
from penstock.base.ids import CheckpointId, JobId
from penstock.checkpoint.journal_state import FromCheckpoint, JournalState
from penstock.checkpoint.layout import METADATA, checkpoint_folder
from penstock.checkpoint.metadata import Metadata
from penstock.checkpoint.recovery import OpenRoot, read_metadata
from penstock.checkpoint.savepoints import address_of
from penstock.storage.objects import ObjectStore

_END: Final = f"/{METADATA}"
_NUMBER: Final = re.compile(r"chk-(\d+)")


@final
class Kept(msgspec.Struct, frozen=True):
    """A retained checkpoint or a savepoint."""

    path: str
    """Address of its folder."""
    id: CheckpointId | None
    triggered_ms: int | None
    state_bytes: int | None
    needed: str | None
    """Why the job needs it, if it does."""
    pinned: bool = False
    """It is not removed, whatever comes after it."""
    damaged: str | None = None


@final
class Retaining(msgspec.Struct, frozen=True):
    """How much is kept."""

    retained_max: int | None
    """Completed checkpoints; None while this JobManager does not drive the job."""
    pinned: tuple[str, ...]
    """Addresses of checkpoints and savepoints that are kept besides."""


def own_checkpoint(store: ObjectStore, job: JobId, address: str, open_root: OpenRoot) -> CheckpointId | None:
    """The number of the job's checkpoint whose folder this is."""
    found = _NUMBER.fullmatch(address.rpartition("/")[2])
    if found is None:
        return None
    number = CheckpointId(int(found[1]))
    own = f"{store.uri.rstrip('/')}/{checkpoint_folder(job, number)}"
    return number if open_root(address).uri.rstrip("/") == own else None


def own_checkpoints(
    store: ObjectStore, job: JobId, addresses: Iterable[str], open_root: OpenRoot
) -> frozenset[CheckpointId]:
    """The numbers of those that are the job's checkpoints."""
    found = (own_checkpoint(store, job, address_of(address), open_root) for address in addresses)
    return frozenset(number for number in found if number is not None)


def retained_checkpoints(
    store: ObjectStore, job: JobId, state: JournalState, pinned: Collection[CheckpointId]
) -> list[Kept]:
    """Newest first."""
    best = next(iter(state.candidates()), None)
    found = []
    for completed in reversed(state.retained):
        path = f"{store.uri.rstrip('/')}/{checkpoint_folder(job, completed.id)}"
        newest = best is not None and best.origin == FromCheckpoint(completed.id)
        needed = "the job would be restored from it" if newest else None
        try:
            metadata = read_metadata(store, completed.path, completed.checksum)
        except (DamagedData, IncompatibleState) as error:
            found.append(Kept(path, completed.id, None, None, needed, completed.id in pinned, str(error)))
        else:
            found.append(_kept(path, metadata, needed, completed.id in pinned))
    return found


def savepoints_below(
    open_root: OpenRoot,
    directory: str,
    job: JobId,
    needed: Callable[[str], str | None],
    pinned: Callable[[str], bool],
) -> list[Kept]:
    """The job's, newest first. Damaged ones whose name is a savepoint's of the job are among them."""
    store, folder = open_root(directory), directory.rstrip("/")
    found = []
    for entry in store.list(""):
        name = entry.path.removesuffix(_END)
        if name == entry.path or not name.rpartition("/")[2].startswith(f"savepoint-{job[:6]}-"):
            continue
        path = f"{folder}/{name}"
        try:
            metadata = read_metadata(store, entry.path)
        except (DamagedData, IncompatibleState) as error:
            found.append(Kept(path, None, None, None, needed(path), pinned(path), str(error)))
        else:
            if metadata.job == job and metadata.kind == "savepoint":
                found.append(_kept(path, metadata, needed(path), pinned(path)))
    return sorted(found, key=lambda kept: kept.triggered_ms or 0, reverse=True)


def _kept(path: str, metadata: Metadata, needed: str | None, pinned: bool) -> Kept:
    return Kept(path, metadata.checkpoint, metadata.triggered_ms, metadata.state_bytes(), needed, pinned)
