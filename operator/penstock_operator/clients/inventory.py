"""What a job has in the store, and what its journal says of it: read without the epoch, for facts and for retention.

Blocks, and is called in threads; reads only.
"""

from dataclasses import dataclass
from typing import Final, Literal, final

from penstock_operator.clients.journal import Journal
from penstock_operator.clients.journal_format import (
    Candidate,
    Damaged,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    JournalState,
)
from penstock_operator.clients.layout import METADATA, checkpoint_folder, is_savepoint_name
from penstock_operator.clients.metadata_format import Metadata, checksum_of, decode
from penstock_operator.clients.objects import Address, Found
from penstock_operator.clients.soundness import OpenAt, read_metadata, size_fault, sound_checkpoint, sound_state_at
from penstock_operator.errors import Missing

_METADATA_END: Final = f"/{METADATA}"


@final
@dataclass(frozen=True, slots=True)
class Restorable:
    """What a start of the job could go on from."""

    path: str
    """Address of its folder."""
    id: int
    time_ms: int
    """When it was taken: what came later is not in it."""
    max_parallelism: int | None


@final
@dataclass(frozen=True, slots=True)
class Newest:
    """The best of it that is whole."""

    restorable: Restorable | None
    damaged: str = ""
    """What is wrong with what would be better, in a sentence."""


@final
@dataclass(frozen=True, slots=True)
class Kept:
    """A retained checkpoint or a savepoint."""

    kind: Literal["checkpoint", "savepoint"]
    path: str
    id: int
    time_ms: int
    bytes: int
    """All that a restore reads; shared files count with each that needs them."""
    needed: bool = False
    """The job would go on from it: never removed by retention."""
    damaged: str = ""


@final
@dataclass(frozen=True, slots=True)
class Looked:
    """At a folder in which a savepoint was to be written."""

    path: str = ""
    """Of its own folder; empty where there is none."""
    sound: bool = False
    bytes: int = 0
    finding: str = ""


def newest(journal: Journal, open_at: OpenAt) -> Newest:
    """Of what the journal, as it was read last, says may be recovered from."""
    faults: list[str] = []
    for candidate in journal.state.candidates:
        try:
            found = _restorable(journal, open_at, candidate)
        except Damaged as error:
            faults.append(str(error))
        else:
            return Newest(found, "; ".join(faults))
    return Newest(None, "; ".join(faults))


def retained(journal: Journal) -> tuple[Kept, ...]:
    """The checkpoints that the journal, as it was read last, retains; newest first."""
    best = next(iter(journal.state.candidates), None)
    found = []
    for completed in reversed(journal.state.retained):
        path = f"{journal.objects.uri}/{checkpoint_folder(journal.job, completed.id)}"
        needed = best is not None and best.origin == FromCheckpoint(completed.id)
        try:
            metadata = read_metadata(journal.objects, completed.path, completed.checksum)
        except Damaged as error:
            found.append(Kept("checkpoint", path, completed.id, 0, 0, needed, str(error)))
        else:
            found.append(Kept("checkpoint", path, completed.id, metadata.triggered_ms, metadata.state_bytes, needed))
    return tuple(found)


def savepoints(journal: Journal, open_at: OpenAt, directory: Address) -> tuple[Kept, ...]:
    """The job's savepoints below a folder, newest first."""
    objects = open_at(directory)
    needed = {address.uri for address in savepoints_named(journal.state)}
    found = []
    for folder in _folders(objects.list(""), journal.job):
        address = directory.below(folder)
        try:
            metadata = read_metadata(objects, f"{folder}/{METADATA}")
        except Damaged as error:
            found.append(Kept("savepoint", address.uri, 0, 0, 0, address.uri in needed, str(error)))
            continue
        if metadata.job == journal.job and metadata.kind == "savepoint":
            size, time_ms = metadata.state_bytes, metadata.triggered_ms
            found.append(Kept("savepoint", address.uri, metadata.checkpoint, time_ms, size, address.uri in needed))
    return tuple(sorted(found, key=lambda kept: (kept.time_ms, kept.id), reverse=True))


def look_for_savepoint(journal: Journal, open_at: OpenAt, asked: str) -> Looked:
    """Find and judge the one savepoint in a folder of its own, or that folder's, also without the JobManager's answer.
    Addresses come back as they were written."""
    directory = Address.of(asked)
    objects = open_at(directory)
    listed = objects.list("")
    folders = [""] if any(found.path == METADATA for found in listed) else _folders(listed, journal.job)
    stopped = journal.state.stopped
    if stopped is not None and len(folders) > 1:
        folders = [each for each in folders if directory.below(each) == Address.of(stopped.path)] or folders
    if not folders:
        return Looked(finding=f"there is no complete savepoint in {asked}")
    if len(folders) > 1:
        return Looked(finding=f"there are {len(folders)} savepoints in {asked} where one was to be")
    folder, path = directory.below(folders[0]), f"{asked.rstrip('/')}/{folders[0]}".rstrip("/")
    prefix = f"{folders[0]}/" if folders[0] else ""
    checksum = stopped.checksum if stopped is not None and Address.of(stopped.path) == folder else ""
    try:
        data = objects.read(prefix + METADATA)
        metadata = _judged(data, f"{path}/{METADATA}", journal.job, checksum)
    except Missing:
        return Looked(finding=f"there is no complete savepoint in {asked}")
    except Damaged as error:
        return Looked(path, False, finding=str(error))
    sizes = {f.path.removeprefix(prefix): f.size for f in listed if f.path.startswith(prefix)}
    fault = size_fault(sizes, metadata.files)
    if fault:
        return Looked(path, False, finding=f"the savepoint {path} is not whole: {fault}")
    return Looked(path, True, sum(metadata.files.values()) + len(data))


def savepoints_named(state: JournalState) -> list[Address]:
    """Savepoints that the journal names among what the job may be recovered from."""
    return [Address.of(c.origin.path) for c in state.candidates if isinstance(c.origin, FromSavepoint)]


def _judged(data: bytes, where: str, job: str, checksum: str) -> Metadata:
    if checksum and checksum_of(data) != checksum:
        raise Damaged(f"{where} is not what the journal says was written: checksum {checksum} expected")
    metadata = decode(data, where)
    if metadata.kind != "savepoint" or metadata.job != job:
        raise Damaged(f"{where} is of a {metadata.kind} of job {metadata.job}, not of a savepoint of job {job}")
    return metadata


def _restorable(journal: Journal, open_at: OpenAt, candidate: Candidate) -> Restorable | None:
    match candidate.origin:
        case FromEmpty():
            return None
        case FromCheckpoint(id):
            metadata = sound_checkpoint(journal.objects, journal.job, id, candidate.metadata_path, candidate.checksum)
            address = f"{journal.objects.uri}/{checkpoint_folder(journal.job, id)}"
        case FromSavepoint(path):
            metadata = sound_state_at(open_at, Address.of(path), candidate.checksum)
            address = path
    return Restorable(address, metadata.checkpoint, metadata.triggered_ms, metadata.max_parallelism)


def _folders(listed: list[Found], job: str) -> list[str]:
    """Folders of complete savepoints of the job."""
    found = [entry.path.removesuffix(_METADATA_END) for entry in listed if entry.path.endswith(_METADATA_END)]
    return [folder for folder in found if is_savepoint_name(folder.rpartition("/")[2], job)]
