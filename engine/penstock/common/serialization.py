"""Between records and the bytes of messages and files; mirrors pyflink.common.serialization.

Connectors call these. Schemas of the user's own subclass `SerializationSchema` or `DeserializationSchema`, with the
methods of Flink's Java API in snake_case.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, final

from penstock.base.errors import JobDefinitionError
from penstock.common.printing import file_formatter
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.utils import JavaObjectWrapper

__all__ = [
    "BulkWriterFactory",
    "ByteArraySchema",
    "DeserializationSchema",
    "Encoder",
    "RowDataBulkWriterFactory",
    "RowFieldExtractorSchema",
    "SerializationSchema",
    "SimpleStringSchema",
]


class SerializationSchema(ABC):
    """Makes the bytes of a message of a record."""

    def open(self) -> None:
        """Called once before the first record."""

    @abstractmethod
    def serialize(self, element: Any) -> bytes:
        """The bytes of one record."""


class DeserializationSchema(ABC):
    """Makes a record of the bytes of a message."""

    def open(self) -> None:
        """Called once before the first message."""

    @abstractmethod
    def deserialize(self, message: bytes) -> Any:
        """The record; None leaves the message out."""

    def is_end_of_stream(self, next_element: Any) -> bool:
        """Whether this record ends the stream."""
        return False

    def get_produced_type(self) -> TypeInformation | None:
        """The type of the records, if it is declared."""
        return None


@final
class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """Text."""

    def __init__(self, charset: str = "UTF-8") -> None:
        check_charset(charset)
        self._charset = charset

    def serialize(self, element: Any) -> bytes:
        return str(element).encode(self._charset)

    def deserialize(self, message: bytes) -> str:
        return message.decode(self._charset)

    def get_produced_type(self) -> TypeInformation:
        return Types.STRING()


@final
class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """Bytes as they are."""

    def serialize(self, element: Any) -> bytes:
        return bytes(element)

    def deserialize(self, message: bytes) -> bytes:
        return message

    def get_produced_type(self) -> TypeInformation:
        return Types.PRIMITIVE_ARRAY(Types.BYTE())


@final
class RowFieldExtractorSchema(SerializationSchema):
    """One field of a row, which must hold bytes."""

    def __init__(self, field_index: int) -> None:
        if field_index < 0:
            raise JobDefinitionError(f"field_index is a position from 0; found {field_index}")
        self._field_index = field_index

    def serialize(self, element: Any) -> bytes:
        return bytes(element[self._field_index])


class Encoder(ABC):
    """Writes records to a file, one after the other."""

    @abstractmethod
    def for_type(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
        """The function that makes the bytes of one record of this type, its end included."""

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> "Encoder":
        """A line of text per record."""
        check_charset(charset_name)
        return SimpleStringEncoder(charset_name)


@final
class SimpleStringEncoder(Encoder):
    """A line of text per record, as the record's type prints in files."""

    def __init__(self, charset: str) -> None:
        self.charset = charset

    def for_type(self, type_info: TypeInformation | None) -> Callable[[Any], bytes]:
        text_of, charset = file_formatter(type_info), self.charset
        return lambda value: f"{text_of(value)}\n".encode(charset)


class BulkWriterFactory(JavaObjectWrapper):
    """Wraps a Java class in PyFlink; the connectors bring their own."""


class RowDataBulkWriterFactory(BulkWriterFactory):
    """Wraps a Java class in PyFlink."""


def check_charset(charset: str) -> None:
    """Refuse a charset that Python does not know."""
    try:
        "".encode(charset)
    except LookupError:
        raise JobDefinitionError(f"no charset is named {charset!r}: use for example UTF-8") from None
