"""Savepoints in their folders: written, dropped when they were given up, disposed of when nobody wants them any more.

The JobManager calls these in threads. A folder is a savepoint exactly while its `_metadata` is there and says so: it is
written last; it goes first from a folder that was given up, and last from one that is disposed of, so that what a
death leaves behind is finished by whoever comes next.

While a savepoint is being written, a note in the job's own folder (`<job id>/savepoints/`) says where: a successor
finds by it what was left unfinished.

Steps a fault test may stop at: `savepoint.noted`, `savepoint.metadata.before`, `savepoint.metadata.written`,
`savepoint.drop.before`, `savepoint.dropped`, `savepoint.dispose.before`, `savepoint.dispose.files`,
`savepoint.disposed`.
"""

from collections.abc import Callable
from typing import Final, final

import msgspec

from penstock.base.errors import AlreadyExists, DamagedData, IncompatibleState, NotFound, StoreRefused
from penstock.base.ids import JobId
from penstock.base.steps import reached
from penstock.checkpoint.files import checksum_of
from penstock.checkpoint.layout import METADATA, checkpoints_prefix, savepoint_folder_name
from penstock.checkpoint.metadata import Metadata, decode, encode
from penstock.records.batch import StopMode
from penstock.storage.objects import ObjectStore

OpenRoot = Callable[[str], ObjectStore]
_NAME_PARTS_MAX: Final = 2
"""`chk-<n>` and the job's folder above it."""


@final
class Note(msgspec.Struct, frozen=True):
    """A savepoint that is being written."""

    trigger_id: str
    target: str
    stop: StopMode | None = None


def address_of(path: str) -> str:
    """The folder that people mean: they also name the `_metadata` in it, or end with a slash."""
    path = path.rstrip("/")
    return path.removesuffix(f"/{METADATA}").rstrip("/")


def new_target(directory: str, job: JobId, random: str) -> str:
    """The address of a new savepoint's own folder."""
    return f"{directory.rstrip('/')}/{savepoint_folder_name(job, random)}"


def notes_prefix(job: JobId) -> str:
    return f"{job}/savepoints/"


def _note_path(job: JobId, target: str) -> str:
    return f"{notes_prefix(job)}{target.rpartition('/')[2]}"


def note(store: ObjectStore, job: JobId, noted: Note) -> None:
    """Remember that this savepoint is being written."""
    store.create(_note_path(job, noted.target), msgspec.json.encode(noted))
    reached("savepoint.noted")


def forget_note(store: ObjectStore, job: JobId, target: str) -> None:
    """It is complete, or nothing of it is left."""
    store.delete(_note_path(job, target))


def notes(store: ObjectStore, job: JobId) -> list[Note]:
    """What was being written when a JobManager died, or has just been given up."""
    return [msgspec.json.decode(store.read(entry.path), type=Note) for entry in store.list(notes_prefix(job))]


def write_savepoint(open_root: OpenRoot, target: str, metadata: Metadata) -> str:
    """Complete it; the checksum of its `_metadata`. May be called again after StoreUnavailable, with the same value."""
    store, data = open_root(target), encode(metadata)
    reached("savepoint.metadata.before")
    try:
        store.create(METADATA, data)
    except AlreadyExists:
        if store.read(METADATA) != data:
            raise StoreRefused(f"{target}/{METADATA} exists already and is not this savepoint's") from None
    reached("savepoint.metadata.written")
    return checksum_of(data)


def is_complete(open_root: OpenRoot, target: str) -> bool:
    """Whether its `_metadata` is there."""
    return bool(open_root(target).list(METADATA))


def drop_savepoint(open_root: OpenRoot, target: str) -> None:
    """Delete whatever is in the folder of a savepoint that was given up: all of it is ours."""
    folder = _folder_at(open_root, target)
    reached("savepoint.drop.before")
    folder.store.delete(f"{folder.prefix}{METADATA}")
    folder.store.delete_many([entry.path for entry in folder.store.list(folder.prefix)])
    reached("savepoint.dropped")


def dispose_of_savepoint(open_root: OpenRoot, address: str) -> None:
    """Delete a savepoint, and nothing that is none. StoreRefused says why."""
    metadata = _read(open_root, address)
    if metadata is None:
        raise StoreRefused(f"{address} is no savepoint: it holds no {METADATA}")
    if metadata.kind != "savepoint":
        raise StoreRefused(
            f"{address} is checkpoint {metadata.checkpoint} of job {metadata.job}, not a savepoint: it is deleted by "
            "the job that owns it, or by one that is started from it with claim mode CLAIM"
        )
    _delete_folder(open_root, address, metadata)


def delete_claimed(open_root: OpenRoot, address: str) -> None:
    """Delete what a job has claimed and needs no more, if it is still there: a savepoint, or another job's checkpoint,
    of whose shared files those stay that its other checkpoints name."""
    metadata = _read(open_root, address)
    if metadata is None:
        return
    if metadata.kind == "savepoint":
        _delete_folder(open_root, address, metadata)
        return
    root, name = _job_root(address), f"{metadata.job}/chk-{metadata.checkpoint}"
    store = open_root(root)
    others = [e.path for e in store.list(checkpoints_prefix(metadata.job)) if e.path.endswith(f"/{METADATA}")]
    needed: set[str] = set()
    for path in others:
        if path != f"{name}/{METADATA}":
            needed |= decode(store.read(path), f"{root}/{path}").paths(shared=True)
    reached("savepoint.dispose.before")
    store.delete_many(sorted((metadata.paths(shared=True) - needed) | metadata.paths(shared=False)))
    reached("savepoint.dispose.files")
    store.delete(f"{name}/{METADATA}")
    reached("savepoint.disposed")


@final
class _Folder(msgspec.Struct, frozen=True):
    store: ObjectStore
    prefix: str


def _folder_at(open_root: OpenRoot, address: str) -> _Folder:
    """Through the folder above it, where there is one: a folder of files goes with its last file."""
    parent, slash, name = address.rpartition("/")
    if not slash or not name or not parent.strip("/") or parent.endswith((":/", ":")):
        return _Folder(open_root(address), "")
    return _Folder(open_root(parent), f"{name}/")


def _job_root(address: str) -> str:
    return address.rsplit("/", _NAME_PARTS_MAX)[0]


def _read(open_root: OpenRoot, address: str) -> Metadata | None:
    try:
        return decode(open_root(address).read(METADATA), f"{address}/{METADATA}")
    except NotFound:
        return None
    except (DamagedData, IncompatibleState) as error:
        raise StoreRefused(f"{address} is not deleted, because it cannot be told what it is: {error}") from error


def _delete_folder(open_root: OpenRoot, address: str, metadata: Metadata) -> None:
    """`_metadata` goes last: while it is there, everybody can tell what the rest is."""
    folder = _folder_at(open_root, address)
    files = metadata.paths(shared=False) | metadata.paths(shared=True)
    reached("savepoint.dispose.before")
    folder.store.delete_many(sorted(f"{folder.prefix}{path}" for path in files))
    reached("savepoint.dispose.files")
    folder.store.delete(f"{folder.prefix}{METADATA}")
    reached("savepoint.disposed")
