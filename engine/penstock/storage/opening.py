"""From a URI, as users write it in the configuration, to a store."""

from pathlib import Path
from typing import Final, final
from urllib.parse import unquote

from penstock.base.errors import ConfigurationError
from penstock.storage.files import FileStore
from penstock.storage.objects import ObjectStore
from penstock.storage.s3 import S3Store
from penstock.storage.s3_client import Bucket, Endpoint
from penstock.storage.s3_uploads import S3Uploads
from penstock.storage.settings import S3Settings
from penstock.storage.uploads import MultipartUploads

_S3_SCHEMES: Final = ("s3", "s3a", "s3p")


@final
class Opening:
    """Opens any number of places that are reached in the same way: those in S3 share a client."""

    def __init__(self, settings: S3Settings) -> None:
        self._endpoint = Endpoint(settings)

    def store(self, uri: str) -> ObjectStore:
        """The store at `file:///folder`, `/folder` or `s3://bucket/prefix`. Sends no request; `probe` does."""
        bucket = _bucket(uri, self._endpoint)
        return FileStore(folder_of(uri)) if bucket is None else S3Store(bucket)

    def uploads(self, uri: str) -> MultipartUploads:
        """Multipart uploads below `s3://bucket/prefix`, the same paths as those of the store there."""
        bucket = _bucket(uri, self._endpoint)
        if bucket is None:
            raise ConfigurationError(f"{uri}: only s3:// locations have multipart uploads")
        return S3Uploads(bucket)


def open_store(uri: str, settings: S3Settings) -> ObjectStore:
    """One place alone."""
    return Opening(settings).store(uri)


def open_uploads(uri: str, settings: S3Settings) -> MultipartUploads:
    """The same for uploads."""
    return Opening(settings).uploads(uri)


def _bucket(uri: str, endpoint: Endpoint) -> Bucket | None:
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme.lower() not in _S3_SCHEMES:
        return None
    name, _, prefix = rest.partition("/")
    if not name:
        raise ConfigurationError(f"{uri}: expected s3://bucket/prefix, found no bucket")
    parts = [part for part in prefix.split("/") if part]
    if {".", ".."} & set(parts):
        raise ConfigurationError(f"{uri}: '.' and '..' mean nothing in a bucket")
    return Bucket(name, "/".join(parts), endpoint)


def folder_of(uri: str) -> Path:
    """The folder at `file:///folder` or `/folder`; ConfigurationError for what is neither."""
    scheme, separator, rest = uri.partition(":")
    path = _local_path(uri, scheme, rest) if separator and "/" not in scheme else uri
    if not path.startswith("/"):
        raise ConfigurationError(f"{uri}: expected an absolute path, file:///... or s3://bucket/...")
    return Path(path)


def _local_path(uri: str, scheme: str, rest: str) -> str:
    if scheme.lower() != "file":
        raise ConfigurationError(f"{uri}: no store for {scheme}:, only for file:, s3:, s3a: and s3p:")
    if not rest.startswith("//"):
        return unquote(rest)
    host, slash, path = rest[2:].partition("/")
    if host not in ("", "localhost"):
        raise ConfigurationError(f"{uri}: files on the host {host!r} are out of reach; write file:///{path}")
    return unquote(slash + path)
