"""What source readers and their enumerator say to each other.

Travels as pickle, between processes that trust each other.
"""

import pickle
from dataclasses import dataclass
from typing import Any, final


@final
@dataclass(frozen=True, slots=True)
class SplitRequested:
    """Reader to enumerator: give me a split."""

    hostname: str | None


@final
@dataclass(frozen=True, slots=True)
class SplitsAdded:
    """Enumerator to reader: more to read; each split with its serialiser's version."""

    splits: tuple[tuple[int, bytes], ...]


@final
@dataclass(frozen=True, slots=True)
class NoMoreSplits:
    """Enumerator to reader: there will be no other splits."""


@final
@dataclass(frozen=True, slots=True)
class CustomEvent:
    """Either way: something of the source's own."""

    event: Any


SourceEvent = SplitRequested | SplitsAdded | NoMoreSplits | CustomEvent


def encode(event: SourceEvent) -> bytes:
    return pickle.dumps(event, protocol=5)


def decode(data: bytes) -> SourceEvent:
    event: SourceEvent = pickle.loads(data)
    return event
