"""A checkpoint or savepoint that is looked at from outside, with no job at hand: found, verified, readable.

Pre-flight, and the command line's `check` and `state`, use it. Reads only. Whoever starts a job from one goes through
`recovery`.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, final

import xxhash

from penstock.base.clock import utc_text
from penstock.base.errors import DamagedData
from penstock.checkpoint.files import SnapshotReading
from penstock.checkpoint.handles import FileHandle
from penstock.checkpoint.layout import METADATA
from penstock.checkpoint.metadata import Metadata
from penstock.checkpoint.recovery import read_metadata
from penstock.storage.objects import ObjectStore

OpenRoot = Callable[[str], ObjectStore]
_SUGGESTIONS_MAX: Final = 5
_PIECE_BYTES: Final = 8 << 20


@final
@dataclass(frozen=True, slots=True)
class FileFault:
    """A file that a restore would not get as it was written."""

    path: str
    """With the folder it begins in."""
    kind: Literal["missing-file", "damaged-file"]
    reason: str


@final
@dataclass(frozen=True, slots=True)
class OpenedState:
    """One checkpoint or savepoint."""

    address: str
    """The folder of its `_metadata`."""
    metadata: Metadata
    """With the folder that each path begins in."""
    reading: SnapshotReading
    _open_root: OpenRoot

    def faults(self) -> list[FileFault]:
        """Files that are missing or have another size: what a listing shows."""
        wanted = {(f.root or "", f.path): f for f in self._files()}
        found: dict[tuple[str, str], int] = {}
        for root, folder in sorted({(root, path.rpartition("/")[0]) for root, path in wanted}):
            listed = self._open_root(root).list(f"{folder}/" if folder else "")
            found |= {(root, entry.path): entry.size for entry in listed}
        return [fault for key, file in sorted(wanted.items()) if (fault := _fault_of(file, found.get(key)))]

    def read_faults(self, known: Collection[str] = ()) -> Iterator[FileFault]:
        """Files whose bytes are not those that were written: reads all whose paths are not `known`, in pieces."""
        for file in self._files():
            if _where(file) in known:
                continue
            digest, at = xxhash.xxh3_128(), 0
            while piece := self._open_root(file.root or "").read(file.path, offset=at, length=_PIECE_BYTES):
                digest.update(piece)
                at += len(piece)
            found = f"xxh3:{digest.hexdigest()}"
            if found != file.checksum:
                text = f"{_where(file)} is damaged: checksum {found}, expected {file.checksum}"
                yield FileFault(_where(file), "damaged-file", text)

    def _files(self) -> Iterator[FileHandle]:
        seen: set[tuple[str | None, str]] = set()
        for state in self.metadata.files():
            file = state.file
            if file.inline is None and (file.root, file.path) not in seen:
                seen.add((file.root, file.path))
                yield file


def open_state(address: str, open_root: OpenRoot) -> OpenedState:
    """The checkpoint or savepoint in this folder (or whose `_metadata` this is).

    `address` is a path, relative or not, or a URI. DamagedData when it is none, or not what was written.
    """
    folder = absolute(address).rstrip("/").removesuffix(f"/{METADATA}") or "/"
    store = open_root(folder)
    try:
        metadata = read_metadata(store, METADATA)
    except DamagedData as error:
        raise DamagedData(f"{error}{_suggestion(folder)}") from error
    root = folder if metadata.kind == "savepoint" else folder.rsplit("/", 2)[0]
    return OpenedState(folder, metadata.rebased(root), SnapshotReading(None, open_root=open_root), open_root)


def fields_of(opened: OpenedState) -> dict[str, Any]:
    """What JSON answers say of the checkpoint or savepoint that they are about."""
    metadata = opened.metadata
    return {
        "path": opened.address,
        "kind": metadata.kind,
        "job": metadata.job,
        "job-name": metadata.job_name,
        "checkpoint": metadata.checkpoint,
        "triggered": utc_text(metadata.triggered_ms),
        "bytes": metadata.state_bytes(),
        "fingerprint": metadata.fingerprint,
    }


def absolute(address: str) -> str:
    """A path from here on made one from the root on; URIs as they are."""
    return address if ":" in address.partition("/")[0] else str(Path.cwd() / address)


def _suggestion(folder: str) -> str:
    """Which ones lie below a local folder: people name the job's folder instead of a checkpoint's."""
    local = Path(folder.removeprefix("file://"))
    if ":" in str(local).partition("/")[0] or not local.is_dir():
        return ""
    try:
        found = sorted(str(path.parent) for path in local.glob(f"*/{METADATA}"))
    except OSError:
        return ""
    names = ", ".join(found[-_SUGGESTIONS_MAX:])
    return f"; below it there are {names}" if found else ""


def _fault_of(file: FileHandle, size: int | None) -> FileFault | None:
    if size is None:
        return FileFault(_where(file), "missing-file", f"{_where(file)} is missing: {file.size} bytes expected")
    if size != file.size:
        text = f"{_where(file)} has {size} bytes where {file.size} were written"
        return FileFault(_where(file), "damaged-file", text)
    return None


def _where(file: FileHandle) -> str:
    return file.path if file.root is None else f"{file.root.rstrip('/')}/{file.path}"
