"""From records to the bytes of a file: row encoders, whose output may be cut after any record, and bulk writers.

The file sink's writer calls these with whole batches, on the task's thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, final

from penstock.common.printing import file_formatter
from penstock.common.serialization import Encoder, SimpleStringEncoder
from penstock.common.type_infos import TypeInformation


class RowEncoder(Encoder):
    """Writes each record on its own, so that a file can go on after any of them; many records at once."""

    def for_type(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
        return lambda value: self.encode_each([value])[0]

    @abstractmethod
    def encode_each(self, values: list[Any]) -> list[bytes]:
        """The bytes of each record, its end included."""

    def encode_all(self, values: list[Any]) -> bytes:
        """The bytes of all of them."""
        return b"".join(self.encode_each(values))


class BatchEncoder(Encoder):
    """Makes an encoder of batches for the type of the stream."""

    @abstractmethod
    def for_batches(self, type_info: TypeInformation | None) -> RowEncoder:
        """The encoder for records of this type."""


class ByteSink(Protocol):
    """Where a bulk writer writes."""

    def write(self, data: bytes) -> None:
        """Append."""


class BulkWriter(ABC):
    """Writes one file of a format that is only whole once it is finished."""

    @abstractmethod
    def add(self, values: list[Any]) -> None:
        """Take records."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is left. The file itself is closed by its owner."""


class BulkWriterFactory(ABC):
    """Begins files of one bulk format."""

    @abstractmethod
    def create(self, out: ByteSink) -> BulkWriter:
        """Begin a file."""


@final
class LineEncoder(RowEncoder):
    """One line of text for each record."""

    def __init__(self, to_text: Callable[[Any], str], charset: str = "UTF-8") -> None:
        self._to_text = to_text
        self._charset = charset

    def encode_each(self, values: list[Any]) -> list[bytes]:
        to_text, charset = self._to_text, self._charset
        return [f"{to_text(value)}\n".encode(charset) for value in values]

    def encode_all(self, values: list[Any]) -> bytes:
        return ("\n".join(map(self._to_text, values)) + "\n").encode(self._charset) if values else b""


@final
class _OneByOne(RowEncoder):
    """The user's own encoder."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        self._encode = encode

    def encode_each(self, values: list[Any]) -> list[bytes]:
        return list(map(self._encode, values))


def row_encoder(encoder: Encoder, input_type: TypeInformation | None) -> RowEncoder:
    """The encoder for batches of records of this type."""
    if isinstance(encoder, RowEncoder):
        return encoder
    if isinstance(encoder, BatchEncoder):
        return encoder.for_batches(input_type)
    if isinstance(encoder, SimpleStringEncoder):
        return LineEncoder(file_formatter(input_type), encoder.charset)
    return _OneByOne(encoder.for_type(input_type))
