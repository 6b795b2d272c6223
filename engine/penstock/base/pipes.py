"""Messages over a pipe between a TaskManager and its zygote: a u32 length, then msgpack. Blocking."""

import os
import struct
from collections.abc import Iterator
from typing import Any

import msgspec

_LENGTH = struct.Struct("<I")
_encode = msgspec.msgpack.Encoder().encode


def pack_message(message: msgspec.Struct) -> bytes:
    """A message with its length before it."""
    body = _encode(message)
    return _LENGTH.pack(len(body)) + body


def write_message(fd: int, message: msgspec.Struct) -> None:
    """Write a whole message."""
    view = memoryview(pack_message(message))
    while view:
        view = view[os.write(fd, view) :]


def read_message(fd: int, union: Any) -> Any:
    """The next message of the union's types, or None at the end."""
    head = _read(fd, _LENGTH.size)
    if head is None:
        return None
    body = _read(fd, _LENGTH.unpack(head)[0])
    return None if body is None else msgspec.msgpack.decode(body, type=union)


def split_messages(buffer: bytearray, union: Any) -> Iterator[Any]:
    """Take the whole messages off the front of `buffer`."""
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            return
        message = msgspec.msgpack.decode(bytes(buffer[_LENGTH.size : end]), type=union)
        del buffer[:end]
        yield message


def _read(fd: int, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)
