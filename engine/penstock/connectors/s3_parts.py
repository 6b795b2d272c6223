"""Part files as multipart uploads to S3: parts go out in the background as the file grows, the object appears at the
commit.

Each file has a key of its own, so a commit can be repeated: an upload that is gone, and an object that bears its mark,
mean that it was done. An upload that an earlier attempt began is never gone on with, because that attempt may still
send parts: it is published as the checkpoint knew it, with the tail under the last number there is.
"""

import hashlib
import logging
import re
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, TypeVar, final

from penstock.base.errors import NoSuchUpload, PartsLost, StorageError
from penstock.connectors.local_parts import finished_as_it_stands
from penstock.connectors.part_files import (
    Commit,
    Finishing,
    Lineage,
    LocalResumable,
    PartFile,
    PartFiles,
    PartName,
    Resumable,
    UploadAbort,
    UploadCommit,
    UploadResumable,
)
from penstock.storage.settings import PART_BYTES_MIN
from penstock.storage.uploads import MultipartUploads, Part, Upload

log = logging.getLogger(__name__)

_IN_FLIGHT_MAX: Final = 2
"""Parts of one file on their way; who writes faster waits."""
_LAST_NUMBER: Final = 10_000
_MARK: Final = re.compile(r"-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-\d+")

T = TypeVar("T")

RunInBackground = Callable[[Callable[[], None]], None]
"""Have something done in another thread."""


@final
class S3PartFiles(PartFiles):
    """Below one base URI."""

    def __init__(self, base: str, uploads: MultipartUploads, lineage: Lineage, run: RunInBackground) -> None:
        self._base = base
        self._uploads = uploads
        self._lineage = lineage
        self._run = run

    def begin(self, bucket: str, name: PartName) -> PartFile:
        marked = PartName(name.prefix, self._lineage.new_mark(), name.counter, name.suffix)
        path = f"{bucket.strip('/')}/{marked}".lstrip("/")
        return _UploadedPart(self._base, self._uploads, path, self._run)

    def resume(self, state: Resumable) -> PartFile | Commit:
        match state:
            case UploadResumable():
                return state.as_it_stands()
            case LocalResumable():
                return finished_as_it_stands(state, self._lineage)

    def leavings(self) -> list[Commit]:
        try:
            pending = self._uploads.pending("")
        except StorageError as error:
            log.warning("cannot look for uploads of lost attempts", extra={"error": str(error)})
            return []
        return [UploadAbort(self._base, upload) for upload in pending if self._is_leaving(upload)]

    def _is_leaving(self, upload: Upload) -> bool:
        found = _MARK.search(upload.path.rpartition("/")[2])
        return found is not None and self._lineage.is_leaving(found.group(1))


@final
class S3Publisher:
    """Completes uploads below one base URI."""

    def __init__(self, uploads: MultipartUploads) -> None:
        self._uploads = uploads

    def publish(self, commit: UploadCommit | UploadAbort) -> None:
        """Carry out, once or several times."""
        match commit:
            case UploadCommit(_, upload, parts, tail, spare):
                self._complete(upload, parts, tail, spare)
            case UploadAbort(_, upload):
                self._uploads.abort(upload)

    def _complete(self, upload: Upload, parts: list[Part], tail: bytes, spare: bytes) -> None:
        whole = spare if parts else tail
        if tail:
            # No such upload: completed before, or lost. Completing it finds out which, given the part that it had.
            last = Part(_LAST_NUMBER, f'"{hashlib.md5(tail, usedforsecurity=False).hexdigest()}"', len(tail))
            with suppress(NoSuchUpload):
                last = self._uploads.upload_part(upload, _LAST_NUMBER, tail)
            parts = [*parts, last]
        try:
            self._uploads.complete(upload, parts)
        except PartsLost as error:
            # MinIO loses them when the connection is cut while it completes the upload: when we are killed then.
            if not whole:
                raise PartsLost(
                    f"{error} (the store had taken them, and lost them since: only an earlier checkpoint can bring "
                    "back what they held)"
                ) from error
            log.warning("the store has lost a part, it is sent again", extra={"path": upload.path})
            self._uploads.publish_whole(upload, whole)


@final
class _UploadedPart(PartFile):
    def __init__(self, base: str, uploads: MultipartUploads, path: str, run: RunInBackground) -> None:
        self._base = base
        self._uploads = uploads
        self._path = path
        self._run = run
        self._upload: Future[Upload] | None = None
        self._parts: list[Future[Part]] = []
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._spare = b""
        self.size = 0

    def write(self, data: bytes) -> None:
        if self._upload is None:
            self._upload = self._in_background(lambda: self._uploads.start(self._path))
        self._tail.append(data)
        self._tail_bytes += len(data)
        self.size += len(data)
        if self._tail_bytes >= PART_BYTES_MIN:
            self._send()

    def persist(self) -> UploadResumable:
        assert self._upload is not None, "a part file has at least one record"
        parts = [part.result() for part in self._parts]
        return UploadResumable(self._base, self._upload.result(), parts, b"".join(self._tail))

    def finish(self) -> Finishing:
        if self._tail:
            if not self._parts:
                self._spare = b"".join(self._tail)
            self._send()
        return self._finished

    def abandon(self) -> None:
        """What was sent stays until it is committed or aborted."""

    def _finished(self) -> UploadCommit:
        assert self._upload is not None, "a part file has at least one record"
        parts = [part.result() for part in self._parts]
        return UploadCommit(self._base, self._upload.result(), parts, b"", self._spare)

    def _send(self) -> None:
        assert self._upload is not None
        upload, number, data = self._upload, len(self._parts) + 1, b"".join(self._tail)
        self._tail.clear()
        self._tail_bytes = 0
        if number > _IN_FLIGHT_MAX:
            self._parts[-_IN_FLIGHT_MAX].result()
        self._parts.append(self._in_background(lambda: self._uploads.upload_part(upload.result(), number, data)))

    def _in_background(self, work: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

        self._run(run)
        return future
