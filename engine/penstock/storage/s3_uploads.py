"""Multipart uploads to S3: for sinks, and for files too large for one request."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from penstock.base.errors import NoSuchUpload, NotFound
from penstock.storage.objects import checked_path
from penstock.storage.s3_client import Body, Bucket
from penstock.storage.uploads import Part, Upload

MARK: Final = "penstock-mark"
"""Metadata of an object that says which call wrote it, so that a retry knows its own earlier success."""


def new_mark() -> str:
    """A value for MARK that no other call has."""
    return secrets.token_hex(8)


def bears(bucket: Bucket, path: str, mark: str) -> bool:
    """Whether the object under `path` was written by the call with this mark."""
    try:
        found = bucket.call("read", path, "head_object", Key=bucket.key(path))
    except NotFound:
        return False
    return _is_of(found, mark)


def _is_of(found: Mapping[str, Any], mark: str) -> bool:
    return bool(found.get("Metadata", {}).get(MARK) == mark)


@final
class S3Uploads:
    """MultipartUploads over one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def start(self, path: str) -> Upload:
        mark = new_mark()
        key = self._bucket.key(checked_path(path))
        answer = self._bucket.call("write", path, "create_multipart_upload", Key=key, Metadata={MARK: mark})
        return Upload(path, answer["UploadId"], mark)

    def upload_part(self, upload: Upload, number: int, data: bytes | memoryview) -> Part:
        return self.send(upload, number, Body.of_bytes(data))

    def send(self, upload: Upload, number: int, body: Body) -> Part:
        """Like `upload_part`, from anything that hands out pieces."""
        answer = self._call("write", upload, "upload_part", PartNumber=number, Body=body)
        return Part(number, answer["ETag"], len(body))

    def complete(self, upload: Upload, parts: Sequence[Part]) -> None:
        self.publish(upload, parts)

    def publish(self, upload: Upload, parts: Sequence[Part], **condition: str) -> None:
        """Complete, under a condition such as `IfNoneMatch="*"`."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in sorted(parts)]
        try:
            self._call("write", upload, "complete_multipart_upload", MultipartUpload={"Parts": listed}, **condition)
        except NoSuchUpload:
            self._check_published(upload, sum(part.size for part in parts))

    def _check_published(self, upload: Upload, size: int) -> None:
        """The upload is gone: its object must be there, with all that was to be in it.

        It may hold more, where a sink goes back to a checkpoint after which the file grew. It holds less where another
        job, started from an earlier one, has published the same upload.
        """
        try:
            found = self._bucket.call("read", upload.path, "head_object", Key=self._bucket.key(upload.path))
        except NotFound:
            found = {}
        if not _is_of(found, upload.mark):
            raise NoSuchUpload(f"{self._named(upload)} is gone, and so is its object, or it comes from elsewhere")
        if found["ContentLength"] < size:
            raise NoSuchUpload(
                f"{self._named(upload)} was completed with {found['ContentLength']} bytes where {size} were sent: "
                "another job was started from an earlier checkpoint, and writes to the same place"
            )

    def _named(self, upload: Upload) -> str:
        return f"the upload of {upload.path}"

    def publish_whole(self, upload: Upload, data: bytes) -> None:
        key = self._bucket.key(checked_path(upload.path))
        body = Body.of_bytes(data)
        self._bucket.call("write", upload.path, "put_object", Key=key, Body=body, Metadata={MARK: upload.mark})
        self.abort(upload)

    def abort(self, upload: Upload) -> None:
        try:
            self._call("abort", upload, "abort_multipart_upload")
        except NoSuchUpload:
            return

    def parts(self, upload: Upload) -> list[Part]:
        key = self._bucket.key(upload.path)
        pages = self._bucket.pages(upload.path, "list_parts", Key=key, UploadId=upload.upload_id)
        found = [part for page in pages for part in page.get("Parts", ())]
        return [Part(part["PartNumber"], part["ETag"], part["Size"]) for part in found]

    def pending(self, prefix: str) -> list[Upload]:
        key = self._bucket.key(prefix)
        # Some services list uploads by a whole key or all of them, but not by the beginning of a key.
        for asked in (key, ""):
            pages = self._bucket.pages(prefix, "list_multipart_uploads", Prefix=asked)
            found = [entry for page in pages for entry in page.get("Uploads", ())]
            if found:
                break
        return [
            Upload(self._bucket.path(entry["Key"]), entry["UploadId"], "")
            for entry in found
            if entry["Key"].startswith(key)
        ]

    def _call(self, action: str, upload: Upload, operation: str, **parameters: Any) -> Any:
        key = self._bucket.key(checked_path(upload.path))
        return self._bucket.call(action, upload.path, operation, Key=key, UploadId=upload.upload_id, **parameters)
