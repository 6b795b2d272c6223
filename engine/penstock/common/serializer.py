"""Serializers of namespaces that custom windows bring; mirrors pyflink.common.serializer."""

from abc import ABC, abstractmethod
from io import BytesIO
from typing import Generic, TypeVar, final

__all__ = ["TypeSerializer", "VoidNamespaceSerializer"]

T = TypeVar("T")


class TypeSerializer(ABC, Generic[T]):
    """Writes elements to a stream and reads them again."""

    @abstractmethod
    def serialize(self, element: T, stream: BytesIO) -> None: ...

    @abstractmethod
    def deserialize(self, stream: BytesIO) -> T: ...


@final
class VoidNamespaceSerializer(TypeSerializer[bytes]):
    """The namespace of state that has none: one zero byte."""

    def serialize(self, element: bytes, stream: BytesIO) -> None:
        stream.write(b"\x00")

    def deserialize(self, stream: BytesIO) -> bytes:
        return stream.read(1)
