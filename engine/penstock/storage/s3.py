"""Objects in a bucket of S3, or of any service that speaks it and honours conditional writes.

Creation is a PUT with `If-None-Match: *`. Each call marks what it writes, so that a retry after a lost answer, met by
"precondition failed", finds its own mark and reports success. Bytes go out with `put_object`, not boto3's transfer
manager, which is slower beside a busy main thread.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, final

from penstock.base.errors import AlreadyExists, StorageError, StoreUnavailable
from penstock.storage.objects import TEMPORARY_PREFIX, Entry, checked_path, checked_prefix, probe_creates
from penstock.storage.s3_client import BeyondEnd, Body, Bucket, ConcurrentCreate
from penstock.storage.s3_uploads import MARK, S3Uploads, bears, new_mark
from penstock.storage.uploads import Part, Upload

SINGLE_PUT_BYTES_MAX: Final = 64 << 20
"""Up to here a file goes out in one request."""

_PARTS_MAX: Final = 10_000
_DELETES_MAX: Final = 1000
_READ_BYTES: Final = 4 << 20


@final
class S3Store:
    """An ObjectStore over one bucket, below one prefix."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._uploads = S3Uploads(bucket)

    @property
    def uri(self) -> str:
        return self._bucket.uri

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        # No range is empty: reading nothing asks for one byte, so that a missing object is still noticed.
        wanted = None if length is None else max(length, 1)
        pieces = list(self._pieces(checked_path(path), offset, wanted))
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces))[:length]

    def create(self, path: str, data: bytes | memoryview) -> None:
        self._put(checked_path(path), Body.of_bytes(data))

    def put_file(self, path: str, local_file: Path) -> None:
        checked_path(path)
        with local_file.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= SINGLE_PUT_BYTES_MAX:
                self._put(path, _section(file.fileno(), 0, size))
            else:
                self._put_in_parts(path, file.fileno(), size)

    def fetch_file(self, path: str, local_file: Path, *, unchanging: bool = False) -> None:
        partial = local_file.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            with partial.open("xb", buffering=0) as copy:
                for piece in self._pieces(checked_path(path), 0, None):
                    copy.write(piece)
            partial.replace(local_file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def delete(self, path: str) -> None:
        self._bucket.call("delete", path, "delete_object", Key=self._bucket.key(checked_path(path)))

    def delete_many(self, paths: Iterable[str]) -> None:
        keys = [self._bucket.key(checked_path(path)) for path in paths]
        for start in range(0, len(keys), _DELETES_MAX):
            self._delete_keys(keys[start : start + _DELETES_MAX])

    def list(self, prefix: str) -> list[Entry]:
        pages = self._bucket.pages(prefix, "list_objects_v2", Prefix=self._bucket.key(checked_prefix(prefix)))
        return sorted(self._entry(found) for page in pages for found in page.get("Contents", ()))

    def probe(self) -> None:
        probe_creates(self)

    def _entry(self, found: Any) -> Entry:
        return Entry(self._bucket.path(found["Key"]), found["Size"], int(found["LastModified"].timestamp() * 1000))

    def _put(self, path: str, body: Body) -> None:
        mark = new_mark()
        for _ in range(self._bucket.attempts):
            try:
                self._bucket.call(
                    "create",
                    path,
                    "put_object",
                    Key=self._bucket.key(path),
                    Body=body,
                    IfNoneMatch="*",
                    Metadata={MARK: mark},
                )
            except ConcurrentCreate:
                body.seek(0)
            except AlreadyExists:
                if bears(self._bucket, path, mark):
                    return
                raise
            else:
                return
        raise StoreUnavailable(f"cannot create {path} in {self._bucket.where}: others keep writing the same object")

    def _put_in_parts(self, path: str, file: int, size: int) -> None:
        upload = self._uploads.start(path)
        try:
            parts = list(self._send_parts(upload, file, size))
            self._publish(upload, parts)
        except BaseException:
            self._abandon(upload)
            raise

    def _send_parts(self, upload: Upload, file: int, size: int) -> Iterator[Part]:
        part_bytes = max(self._bucket.part_bytes, -(-size // _PARTS_MAX))
        for number, offset in enumerate(range(0, size, part_bytes), start=1):
            yield self._uploads.send(upload, number, _section(file, offset, min(part_bytes, size - offset)))

    def _publish(self, upload: Upload, parts: Sequence[Part]) -> None:
        for _ in range(self._bucket.attempts):
            try:
                self._uploads.publish(upload, parts, IfNoneMatch="*")
            except ConcurrentCreate:
                continue
            except AlreadyExists:
                if bears(self._bucket, upload.path, upload.mark):
                    return
                raise
            else:
                return
        raise StoreUnavailable(
            f"cannot create {upload.path} in {self._bucket.where}: others keep writing the same object"
        )

    def _abandon(self, upload: Upload) -> None:
        """Free what was sent, if the store still answers; the error that led here matters more."""
        try:
            self._uploads.abort(upload)
        except StorageError:
            return

    def _pieces(self, path: str, offset: int, length: int | None) -> Iterator[bytes]:
        """The bytes asked for; a connection that breaks half-way is taken up again where it broke."""
        end = None if length is None else offset + length
        failures = 0
        while end is None or offset < end:
            try:
                with self._bucket.translated("read", path):
                    for piece in self._answer(path, offset, end):
                        yield piece
                        offset += len(piece)
                return
            except StoreUnavailable:
                failures += 1
                if failures >= self._bucket.attempts:
                    raise

    def _answer(self, path: str, offset: int, end: int | None) -> Iterator[bytes]:
        span = {} if offset == 0 and end is None else {"Range": f"bytes={offset}-{'' if end is None else end - 1}"}
        try:
            answer = self._bucket.call("read", path, "get_object", Key=self._bucket.key(path), **span)
        except BeyondEnd:
            return
        with closing(answer["Body"]) as body:
            yield from body.iter_chunks(_READ_BYTES)

    def _delete_keys(self, keys: Sequence[str]) -> None:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = self._bucket.call("delete", "", "delete_objects", Delete=wanted)
        for failed in answer.get("Errors", ()):
            path = self._bucket.path(failed.get("Key", ""))
            raise self._bucket.refusal("delete", path, failed.get("Code", ""), failed.get("Message", ""))


def _section(file: int, start: int, size: int) -> Body:
    return Body(lambda offset, wanted: os.pread(file, wanted, start + offset), size)
