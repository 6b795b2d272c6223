"""One bucket of one S3 endpoint: botocore's client, made on first use, and its errors in our own words.

Used by the object store and by multipart uploads. botocore is what boto3 is made of, and is there sooner. Even so a
client takes longer to make than most requests, so buckets that are reached in the same way share one. It must not cross
a fork: whoever forks does so before the first request.
"""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, final
from urllib.parse import urlsplit

from penstock.base.errors import (
    AlreadyExists,
    NoSuchUpload,
    NotFound,
    PartsLost,
    StorageError,
    StoreRefused,
    StoreUnavailable,
)
from penstock.storage.settings import S3Settings

_BODY_PIECE_BYTES: Final = 4 << 20
_UNASKED_BYTES_MAX: Final = 256 << 10
_ABSENT: Final = frozenset({"NoSuchKey", "404"})
_LOST: Final = frozenset({"InvalidPart", "XMinioObjectExistsAsDirectory"})
"""What MinIO says of an upload whose completion was cut off: its parts are gone, or lie where the object is to be."""
_TAKEN: Final = frozenset({"PreconditionFailed", "412"})
_PASSING: Final = frozenset({"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"})
_FINAL: Final = frozenset({"XMinioStorageFull", "NotImplemented"})
_GIVEN_UP: Final = 499
"""MinIO's answer to everything on a connection on which it once waited in vain for the rest of a request: that of a
process that was frozen meanwhile."""
_CONFLICT: Final = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})


class ConcurrentCreate(Exception):
    """Two conditional writes of one key met; S3 asks the loser to send its own again."""


class BeyondEnd(Exception):
    """A range begins where the object has ended."""


@final
class Endpoint:
    """Where S3 is reached and how, for any number of buckets."""

    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._client: Any = None
        self._lock = threading.Lock()

    @property
    def client(self) -> Any:
        """botocore's."""
        if self._client is None:
            with self._lock:
                if self._client is None:
                    self._client = _connect(self.settings)
        return self._client

    def drop_connections(self) -> None:
        """Those that nobody uses; the next request opens one."""
        self.client.close()


@final
class Bucket:
    """Requests to one bucket below one key prefix; the only place where botocore is seen."""

    def __init__(self, name: str, prefix: str, endpoint: Endpoint) -> None:
        self.name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self._endpoint = endpoint
        self._settings = endpoint.settings

    @property
    def uri(self) -> str:
        return f"s3://{self.name}/{self._prefix}".rstrip("/")

    @property
    def where(self) -> str:
        """The URI and, where it is not AWS, the endpoint: what every message names."""
        if self._settings.endpoint is None:
            return self.uri
        endpoint = urlsplit(self._settings.endpoint)
        return f"{self.uri} at {endpoint.scheme}://{endpoint.netloc.rpartition('@')[2]}"

    @property
    def attempts(self) -> int:
        return self._settings.attempts

    @property
    def part_bytes(self) -> int:
        return self._settings.part_bytes

    def key(self, path: str) -> str:
        return self._prefix + path

    def path(self, key: str) -> str:
        return key.removeprefix(self._prefix)

    def call(self, action: str, path: str, operation: str, **parameters: Any) -> Any:
        """Send one request and return its answer; every failure is one of penstock.base.errors."""
        with self.translated(action, path):
            send = getattr(self._connected(), operation)
            return send(Bucket=self.name, **parameters)

    def pages(self, path: str, operation: str, **parameters: Any) -> Iterator[Any]:
        """All pages of a listing."""
        with self.translated("list", path):
            yield from self._connected().get_paginator(operation).paginate(Bucket=self.name, **parameters)

    @contextmanager
    def translated(self, action: str, path: str) -> Iterator[None]:
        """Turn what botocore raises into our errors, with a sentence that names path, bucket, endpoint and reason."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            if _status(error.response) == _GIVEN_UP:
                self._endpoint.drop_connections()
            raise self._of_answer(action, path, error.response) from error
        except BotoCoreError as error:
            raise self._of_no_answer(action, path, error) from error

    def refusal(self, action: str, path: str, code: str, reason: str) -> Exception:
        """The error for one object that a bulk request reports as failed."""
        return self._of_answer(action, path, {"Error": {"Code": code, "Message": reason}})

    def _connected(self) -> Any:
        try:
            return self._endpoint.client
        except ValueError as error:
            raise StoreRefused(f"cannot reach {self.uri}: {error}") from error

    def _of_answer(self, action: str, path: str, response: Any) -> StorageError | ConcurrentCreate | BeyondEnd:
        code = str(response["Error"].get("Code", ""))
        status = _status(response)
        if code in _ABSENT:
            return NotFound(f"{path} is not in {self.where}")
        if code in _TAKEN:
            return AlreadyExists(f"{path} is already in {self.where}")
        if code == "NoSuchUpload":
            return NoSuchUpload(f"no such upload of {path} to {self.where}")
        if code in _CONFLICT:
            return ConcurrentCreate(path)
        if code == "InvalidRange":
            return BeyondEnd(path)
        reason = " ".join(part for part in (code, str(response["Error"].get("Message", "")).strip()) if part)
        text = f"cannot {action} {path or 'objects'} in {self.where}: {reason}"
        if code in _LOST:
            return PartsLost(text)
        passing = code in _PASSING or status in (429, _GIVEN_UP) or (status >= 500 and code not in _FINAL)
        return StoreUnavailable(text) if passing else StoreRefused(text)

    def _of_no_answer(self, action: str, path: str, error: Exception) -> StorageError:
        from botocore.exceptions import ConnectionError as NoConnection
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        reason = " ".join(str(error).split())
        text = f"cannot {action} {path or 'objects'} in {self.where}: {reason}"
        passing = isinstance(error, NoConnection | HTTPClientError | IncompleteReadError)
        return StoreUnavailable(text) if passing else StoreRefused(text)


def _status(response: Any) -> int:
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))


@final
class Body:
    """What is sent, handed out in pieces of some megabytes.

    Given plain bytes, urllib3 sends all of them under one connect timeout, so a large object would fail on a slow
    link; given a file, it sends 16 KiB at a time and asks for the interpreter lock as often.
    """

    def __init__(self, fetch: Callable[[int, int], bytes | memoryview], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._position = 0

    @classmethod
    def of_bytes(cls, data: bytes | memoryview) -> "Body":
        view = memoryview(data).cast("B")
        return cls(lambda offset, size: view[offset : offset + size], len(view))

    def read(self, size: int = -1) -> bytes | memoryview:
        wanted = max(size, _BODY_PIECE_BYTES) if size >= 0 else self._size
        piece = self._fetch(self._position, min(wanted, self._size - self._position))
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._position, self._size)[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def __len__(self) -> int:
        return self._size


def load_descriptions() -> None:
    """Read what clients are made of, so that processes forked from this one need not; opens no connection.

    Where the user's own settings of S3 do not make a client, whoever needs one is told so.
    """
    from botocore.exceptions import BotoCoreError

    with suppress(BotoCoreError, ValueError):
        _connect(S3Settings("http://localhost", "nobody", "nothing", region="us-east-1"))


@functools.cache
def _descriptions() -> Any:
    """S3's requests and endpoints: megabytes of JSON, which each session would read anew, in a tenth of a second."""
    from botocore.session import get_session

    return get_session().get_component("data_loader")


def _connect(settings: S3Settings) -> Any:
    # Importing it takes 0.2 s, which a job that keeps its state elsewhere need not pay.
    from botocore.config import Config
    from botocore.session import get_session

    path_style = settings.path_style_access
    if path_style is None:
        path_style = settings.endpoint is not None
    config = Config(
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        max_pool_connections=settings.connections,
        s3={"addressing_style": "path" if path_style else "auto"},
        # Other services than AWS may not know the newer checksums; ours are in the checkpoint's metadata.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = get_session()
    session.register_component("data_loader", _descriptions())
    region = settings.region or session.get_config_variable("region") or ("us-east-1" if settings.endpoint else None)
    client = session.create_client(
        "s3",
        endpoint_url=settings.endpoint,
        region_name=region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        aws_session_token=settings.session_token,
        verify=None if settings.verify_tls else False,
        config=config,
    )
    client.meta.events.register_last("before-call.s3", _without_asking)
    return client


def _without_asking(params: dict[str, Any], **_: Any) -> None:
    """Send what is small on the heels of its headers.

    botocore would send the headers alone, and wait to be asked for the rest: a round trip, in which MinIO has the
    object locked, so that whoever succeeds a process that was frozen there could not even read it.
    """
    body = params.get("body")
    if isinstance(body, Body) and len(body) <= _UNASKED_BYTES_MAX:
        params["headers"].pop("Expect", None)
