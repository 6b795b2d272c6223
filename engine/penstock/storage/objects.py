"""What an object store is: the protocol that journal, checkpoints and sinks are written against.

Objects are written once, whole, and never changed; paths are relative to the store's root. Everything blocks and
is thread safe: callers bring their own threads. Nothing here knows what the objects mean.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from penstock.base.errors import AlreadyExists, StoreRefused

_COMPONENT_BYTES_MAX: Final = 255
_PATH_BYTES_MAX: Final = 900
"""S3 allows 1024 bytes for a key; the rest is left to the store's own prefix."""

TEMPORARY_PREFIX: Final = ".penstock-tmp-"
"""Names of half-written files where the file system knows no nameless ones."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One object as a listing shows it."""

    path: str
    size: int
    modified_ms: int


class ObjectStore(Protocol):
    """A flat, write-once name space of objects.

    Every method may raise StoreUnavailable (trying again may help) and StoreRefused (it will not).
    """

    @property
    def uri(self) -> str:
        """Where this store is, for messages and for opening it elsewhere; holds no secret."""

    def read(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """The bytes from `offset`, at most `length` of them; fewer where the object ends. Raises NotFound."""

    def create(self, path: str, data: bytes | memoryview) -> None:
        """Write a new object, atomically and durably. Raises AlreadyExists and then changes nothing.

        After StoreUnavailable the outcome is unknown: the object may be there. Who then creates again and meets
        AlreadyExists must read the object to learn whose it is, for example by a nonce inside it. Retries within one
        call are told apart by the store itself.
        """

    def put_file(self, path: str, local_file: Path) -> None:
        """Like `create`, with the content of a file, streamed. The file must never be changed afterwards:
        a store on the same file system may share its blocks."""

    def fetch_file(self, path: str, local_file: Path, *, unchanging: bool = False) -> None:
        """Copy an object to a local file, which appears whole or not at all, replaces what was there, and is the
        caller's own. Raises NotFound.

        `unchanging`: the caller will only read it and remove it, so a store on the same file system may share its
        blocks.
        """

    def delete(self, path: str) -> None:
        """Remove an object; one that is not there is as good as removed."""

    def delete_many(self, paths: Iterable[str]) -> None:
        """Remove many objects in as few requests as possible; those that are not there count as removed."""

    def list(self, prefix: str) -> list[Entry]:
        """All objects whose path begins with `prefix` (any string, also within a name), in order of path."""

    def probe(self) -> None:
        """Make sure that the store can be written and refuses a second create. Raises StoreRefused where not."""


def checked_path(path: str) -> str:
    """`path`, if it names one object below a store's root; otherwise StoreRefused."""
    reason = _fault_in(path)
    if reason is not None:
        raise StoreRefused(f"{path!r} is no path within a store: {reason}")
    return path


def checked_prefix(prefix: str) -> str:
    """`prefix`, if a path may begin with it; otherwise StoreRefused."""
    whole = prefix.removesuffix("/")
    if whole:
        checked_path(whole)
    elif prefix:
        raise StoreRefused(f"{prefix!r} is no prefix within a store: it begins at the root itself")
    return prefix


def probe_creates(store: ObjectStore) -> None:
    """The probe that all stores share: write, read back, be refused a second write, remove."""
    path = f"probe-{secrets.token_hex(8)}"
    store.create(path, b"first")
    try:
        store.create(path, b"second")
    except AlreadyExists:
        found = store.read(path)
    else:
        raise StoreRefused(
            f"{store.uri} let an object be created twice: checkpoints need a store that honours conditional writes"
        )
    finally:
        store.delete(path)
    if found != b"first":
        raise StoreRefused(f"{store.uri} returned {found!r} where b'first' had been written")


def _fault_in(path: str) -> str | None:
    if len(path.encode("utf-8", "surrogatepass")) > _PATH_BYTES_MAX:
        return f"it is longer than {_PATH_BYTES_MAX} bytes"
    if "\0" in path:
        return "it holds a NUL"
    for component in path.split("/"):
        if component in ("", ".", ".."):
            return f"a part of it is {component!r}"
        if len(component.encode("utf-8", "surrogatepass")) > _COMPONENT_BYTES_MAX:
            return f"a part of it is longer than {_COMPONENT_BYTES_MAX} bytes"
        if component.startswith(TEMPORARY_PREFIX):
            return f"a part of it begins with {TEMPORARY_PREFIX!r}, which is reserved"
    return None
