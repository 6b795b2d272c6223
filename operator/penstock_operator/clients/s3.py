"""Objects in a bucket of S3, or of any service that speaks it and honours conditional writes: the one user of boto3.

Blocks, and is called in threads. Credentials are handed in and show in no text. Clients are costly, so that all jobs
with the same access share one.
"""

import importlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, final
from urllib.parse import urlsplit

from penstock_operator.clients.objects import AlreadyThere, Found
from penstock_operator.clients.s3_reading import CONNECTIONS, Plain, Reader
from penstock_operator.errors import Conflict, Missing, OperatorError, Rejected, Unavailable
from penstock_operator.telemetry.masking import hide

_one_at_a_time: Final = threading.Lock()
_MARK: Final = "penstock-mark"
"""Metadata by which a repeated create recognises what it wrote itself."""
_CREATES_MAX: Final = 4
_DELETES_MAX: Final = 1000
_CLIENTS_MAX: Final = 32
_ANY_REGION: Final = "us-east-1"
"""Where a service that is not AWS asks for one."""
_LOADED_LATE: Final = ("boto3", "botocore.auth", "botocore.httpsession")
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404"})
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_CONTESTED: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_PASSING: Final = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"})
_FINAL: Final = frozenset({"XMinioStorageFull", "NotImplemented"})
_GIVEN_UP: Final = 499
"""MinIO's answer to everything on a connection on which it once waited in vain for the rest of a request."""


@final
@dataclass(frozen=True, slots=True)
class S3Access:
    """How a bucket is reached. What is left out is taken from where boto3 looks: environment, profile, role."""

    endpoint: str | None = None
    """URL of any service that speaks S3; AWS where absent."""
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    path_style: bool | None = None
    """Bucket in the path, not in the host name. Where absent: yes for a given endpoint."""
    verify_tls: bool = True
    connect_timeout_s: float = 3.0
    read_timeout_s: float = 10.0
    attempts: int = 2

    @property
    def in_path(self) -> bool:
        """Whether the bucket's name stands there."""
        return self.path_style if self.path_style is not None else self.endpoint is not None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must show nowhere."""
        return tuple(value for value in (self.secret_key, self.session_token) if value)


@final
class Bucketed:
    """Objects of one bucket below one prefix."""

    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._access = access

    @property
    def uri(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, path: str) -> bytes:
        plain = self._read_plainly(path)
        if plain is not None and plain.data is not None:
            return plain.data
        if plain is not None:
            raise self._missing(path)
        found: bytes = self._call("read", path, "get_object", lambda a: a["Body"].read(), Key=self._prefix + path)
        return found

    def create(self, path: str, data: bytes) -> None:
        mark = secrets.token_hex(8)
        for _ in range(_CREATES_MAX):
            try:
                self._call(
                    "create",
                    path,
                    "put_object",
                    _nothing,
                    Key=self._prefix + path,
                    Body=data,
                    IfNoneMatch="*",
                    Metadata={_MARK: mark},
                )
            except Conflict:
                continue
            except AlreadyThere:
                if self._mark_of(path) == mark:
                    return
                raise
            return
        raise Unavailable(f"cannot create {path} in {self._where}: others keep writing the same object")

    def delete(self, paths: Iterable[str]) -> None:
        keys = [self._prefix + path for path in paths]
        for start in range(0, len(keys), _DELETES_MAX):
            wanted = {"Objects": [{"Key": key} for key in keys[start : start + _DELETES_MAX]], "Quiet": True}
            failed = self._call("delete", "", "delete_objects", lambda a: list(a.get("Errors", ())), Delete=wanted)
            for each in failed:
                raise self._of_answer("delete", each.get("Key", ""), {"Error": each})

    def list(self, prefix: str) -> list[Found]:
        with self._translated("list", prefix):
            pages = (
                _client(self._access)
                .get_paginator("list_objects_v2")
                .paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
            )
            return sorted(self._found(item) for page in pages for item in page.get("Contents", ()))

    def abandon(self, prefix: str) -> None:
        for key, upload in self._uploads(prefix):
            with suppress(Missing):
                path = key.removeprefix(self._prefix)
                self._call("abort the upload of", path, "abort_multipart_upload", _nothing, Key=key, UploadId=upload)

    def _read_plainly(self, path: str) -> Plain | None:
        with self._translated("read", path):
            reader = _reader(self._access, self._bucket)
            return None if reader is None else reader.read(self._prefix + path)

    def _uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Keys and upload ids. Some services list uploads by a whole key or all, but not by the beginning of a key."""
        begin = self._prefix + prefix
        for asked in (begin, ""):
            with self._translated("list uploads of", prefix):
                pages = _client(self._access).get_paginator("list_multipart_uploads")
                listed = pages.paginate(Bucket=self._bucket, Prefix=asked)
                found = [(u["Key"], u["UploadId"]) for page in listed for u in page.get("Uploads", ())]
            if found:
                yield from (each for each in found if each[0].startswith(begin))
                return

    @property
    def _where(self) -> str:
        if self._access.endpoint is None:
            return self.uri
        endpoint = urlsplit(self._access.endpoint)
        return f"{self.uri} at {endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}"

    def _mark_of(self, path: str) -> str | None:
        """Of what stands there; None where it has gone again."""
        try:
            head = self._call("read", path, "head_object", lambda a: a, Key=self._prefix + path)
        except Missing:
            return None
        mark: str | None = head["Metadata"].get(_MARK)
        return mark

    def _found(self, item: Any) -> Found:
        path = item["Key"].removeprefix(self._prefix)
        return Found(path, item["Size"], int(item["LastModified"].timestamp() * 1000))

    def _call(self, action: str, path: str, operation: str, take: Callable[[Any], Any], **parameters: Any) -> Any:
        with self._translated(action, path):
            return take(getattr(_client(self._access), operation)(Bucket=self._bucket, **parameters))

    @contextmanager
    def _translated(self, action: str, path: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if _status(error.response) == _GIVEN_UP:
                _client(self._access).close()  # The connections that nobody uses; the next request opens one.
            raise self._of_answer(action, path, error.response) from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise self._of_no_answer(action, path, error) from error

    def _missing(self, path: str) -> Missing:
        return Missing(f"{path} is not in {self._where}")

    def _of_answer(self, action: str, path: str, response: Any) -> OperatorError:
        code = str(response["Error"].get("Code", ""))
        status = _status(response)
        if code in _ABSENT:
            return self._missing(path)
        if code in _TAKEN:
            return AlreadyThere(f"{path} is already in {self._where}")
        reason = " ".join(part for part in (code, str(response["Error"].get("Message", "")).strip()) if part)
        text = f"cannot {action} {path or 'objects'} in {self._where}: {reason}"
        if code in _CONTESTED:
            return Conflict(text)
        passing = code in _PASSING or status in (429, _GIVEN_UP) or (status >= 500 and code not in _FINAL)
        return Unavailable(text) if passing else Rejected(text, status)

    def _of_no_answer(self, action: str, path: str, error: Exception) -> OperatorError:
        from botocore.exceptions import ConnectionError as NoConnection
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        text = f"cannot {action} {path or 'objects'} in {self._where}: {error}"
        passing = isinstance(error, NoConnection | HTTPClientError | IncompleteReadError | OSError)
        return Unavailable(text) if passing else Rejected(text)


def make_ready() -> None:
    """Load what speaks with a bucket: half a second that the first jobs would wait for."""
    for module in _LOADED_LATE:
        importlib.import_module(module)


def _status(response: Any) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))


def _nothing(answer: Any) -> None:
    return None


def _client(access: S3Access) -> Any:
    with _one_at_a_time:  # Many jobs ask for the same one at once, and each costs a third of a second to make.
        return _made(access)


def _reader(access: S3Access, bucket: str) -> Reader | None:
    """None: only the client knows where the bucket is, or who may read it."""
    with _one_at_a_time:
        return _made_reader(access, bucket)


@lru_cache(maxsize=_CLIENTS_MAX)
def _made_reader(access: S3Access, bucket: str) -> Reader | None:
    if access.endpoint is None or not access.in_path:
        return None
    session = _session(access)
    credentials = session.get_credentials()
    if credentials is None:
        return None
    return Reader(
        access.endpoint,
        bucket,
        credentials=credentials,
        region=session.region_name or _ANY_REGION,
        verify_tls=access.verify_tls,
        timeouts_s=(access.connect_timeout_s, access.read_timeout_s),
    )


@lru_cache(maxsize=_CLIENTS_MAX)
def _made(access: S3Access) -> Any:
    from botocore.config import Config

    config = Config(
        connect_timeout=access.connect_timeout_s,
        read_timeout=access.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": access.attempts},
        max_pool_connections=CONNECTIONS,
        s3={"addressing_style": "path" if access.in_path else "auto"},
        # Other services than AWS may not know the newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = _session(access)
    region = session.region_name or (_ANY_REGION if access.endpoint else None)
    verify = None if access.verify_tls else False
    return session.client("s3", endpoint_url=access.endpoint, region_name=region, verify=verify, config=config)


@lru_cache(maxsize=_CLIENTS_MAX)
def _session(access: S3Access) -> Any:
    hide(access.secrets)
    import boto3  # See `make_ready`: whose jobs keep their state in files need not pay for it.

    return boto3.session.Session(
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        aws_session_token=access.session_token,
        region_name=access.region,
    )
