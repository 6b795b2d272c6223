"""What source readers and their enumerator say to each other.

Travels as pickle, between processes that trust each other.
"""

import pickle
from typing import Any, final

import msgspec


@final
class SplitRequested(msgspec.Struct, frozen=True):
    """Reader to enumerator: give me a split."""

    hostname: str | None


@final
class SplitsAdded(msgspec.Struct, frozen=True):
    """Enumerator to reader: more to read; each split with its serialiser's version."""

    splits: tuple[tuple[int, bytes], ...]


@final
class NoMoreSplits(msgspec.Struct, frozen=True):
    """Enumerator to reader: there will be no other splits."""


@final
class CustomEvent(msgspec.Struct, frozen=True):
    """Either way: something of the source's own."""

    event: Any


SourceEvent = SplitRequested | SplitsAdded | NoMoreSplits | CustomEvent


def encode(event: SourceEvent) -> bytes:
    return pickle.dumps(event, protocol=5)


def decode(data: bytes) -> SourceEvent:
    event: SourceEvent = pickle.loads(data)
    return event
