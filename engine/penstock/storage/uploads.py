"""Multipart uploads as exactly-once sinks use them: written during a checkpoint, made visible at its commit.

Only S3 has them. What `start` returns is a plain value that a sink keeps in its checkpoint; whoever restores it can
go on with the upload, complete it, or abort it.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Upload(msgspec.Struct, frozen=True):
    """An upload that was started: the object it will become, S3's name for it, and the mark its object will bear."""

    path: str
    upload_id: str
    mark: str


class Part(msgspec.Struct, frozen=True, order=True):
    """One part that S3 has; numbers run from 1 to 10,000."""

    number: int
    etag: str
    size: int


class MultipartUploads(Protocol):
    """Objects that become visible all at once, long after their bytes were sent, perhaps by another process.

    Every method may raise StoreUnavailable and StoreRefused.
    """

    def start(self, path: str) -> Upload:
        """Begin an upload. Nothing is visible until it is completed."""

    def upload_part(self, upload: Upload, number: int, data: bytes | memoryview) -> Part:
        """Send one part, again if need be: the last one sent under a number counts. Raises NoSuchUpload."""

    def complete(self, upload: Upload, parts: Sequence[Part]) -> None:
        """Make the object visible, replacing what is under its path. Doing so again changes nothing.

        Raises NoSuchUpload where the upload is gone and the object under its path does not come from it.
        """

    def publish_whole(self, upload: Upload, data: bytes) -> None:
        """Make the object visible with these bytes, as if they had been its parts, where the store has lost those."""

    def abort(self, upload: Upload) -> None:
        """Throw away what was sent; an upload that is gone is as good as aborted."""

    def pending(self, prefix: str) -> list[Upload]:
        """Uploads that were neither completed nor aborted, of objects whose path begins with `prefix`. Their marks are
        not known: they can be aborted, not completed."""

    def parts(self, upload: Upload) -> list[Part]:
        """The parts that S3 has, in order. Raises NoSuchUpload."""
