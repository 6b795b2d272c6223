"""Where a file's bytes come from: any offset of a plain file, or a transformed stream read forwards.

Split readers ask for bytes by offset. A compressed file, or one in a charset whose newline is not one byte, is read
through a stream that decodes as it goes; going forward to an offset means decoding up to it. Opened and read
by one thread at a time; whether that is the task's thread or a background one, the caller decides.
"""

import bz2
import codecs
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol, final

from penstock.base.errors import DamagedData, NotFound, StoreRefused

_READ_BYTES: Final = 256 << 10


class ByteStream(Protocol):
    """The bytes of one file as a format is to see them."""

    def read_at(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; empty only at the end. Offsets never go back."""

    def size(self) -> int:
        """How many bytes there are, where that is known without reading them."""

    def close(self) -> None:
        """Release the file."""


class _Decoder(Protocol):
    """What zlib, bz2, lzma and codecs have in common, once adapted."""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """What can be decoded so far."""


@final
class LocalFile:
    """A file of this machine."""

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFound(f"{path} is not there any more") from error
        except OSError as error:
            raise StoreRefused(f"cannot read {path}: {error.strerror}") from error

    def read_at(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@final
class DecodedStream:
    """A stream under a decoder: offsets are those of the decoded bytes."""

    def __init__(self, raw: ByteStream, decoder: _Decoder) -> None:
        self._raw = raw
        self._decoder = decoder
        self._raw_offset = 0
        self._ended = False
        self._buffer = b""
        self._buffer_offset = 0

    def read_at(self, offset: int, length: int) -> bytes:
        assert offset >= self._buffer_offset, "a decoded stream is read forwards"
        while offset >= self._buffer_offset + len(self._buffer):
            if not self._fill():
                return b""
        begin = offset - self._buffer_offset
        return self._buffer[begin : begin + length]

    def size(self) -> int:
        raise AssertionError("a decoded stream's size is known at its end")

    def close(self) -> None:
        self._raw.close()

    def _fill(self) -> bool:
        """Replace the buffer by the next decoded bytes; False at the end."""
        self._buffer_offset += len(self._buffer)
        self._buffer = b""
        while not self._buffer and not self._ended:
            data = self._raw.read_at(self._raw_offset, _READ_BYTES)
            self._raw_offset += len(data)
            self._ended = not data
            self._buffer = self._decoder.feed(data, last=self._ended)
        return bool(self._buffer)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


@final
class _Members:
    """A compressed file: one member after another, as `cat a.gz b.gz` makes them."""

    def __init__(self, new_member: Callable[[], _Decompressor], what: str) -> None:
        self._new_member = new_member
        self._member = new_member()
        self._begun = False
        self._what = what

    def feed(self, data: bytes, *, last: bool) -> bytes:
        pieces = []
        try:
            while data:
                if self._member.eof:
                    self._member = self._new_member()
                pieces.append(self._member.decompress(data))
                self._begun = True
                data = self._member.unused_data if self._member.eof else b""
        except (zlib.error, OSError, lzma.LZMAError) as error:
            raise DamagedData(f"{self._what} is not what its name says: {error}") from error
        if last and self._begun and not self._member.eof:
            raise DamagedData(f"{self._what} ends in the middle of its compressed data")
        return b"".join(pieces)


@final
class _Transcoder:
    """Any charset to UTF-8; a byte-order mark at the beginning decides where the charset leaves it open."""

    def __init__(self, charset: str) -> None:
        self._decoder = codecs.getincrementaldecoder(charset)(errors="replace")

    def feed(self, data: bytes, *, last: bool) -> bytes:
        return self._decoder.decode(data, last).encode("utf-8", "replace")


_COMPRESSIONS: Final[Mapping[str, Callable[[], _Decompressor]]] = {
    ".gz": lambda: zlib.decompressobj(wbits=31),
    ".gzip": lambda: zlib.decompressobj(wbits=31),
    ".deflate": lambda: zlib.decompressobj(wbits=15),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}


def is_compressed(path: str) -> bool:
    """Whether the name says that the file must be decompressed, and so read from its beginning."""
    return os.path.splitext(path)[1].lower() in _COMPRESSIONS


def decompressed(stream: ByteStream, path: str) -> ByteStream:
    """The stream, without the compression that the file's name tells of."""
    new_member = _COMPRESSIONS.get(os.path.splitext(path)[1].lower())
    return stream if new_member is None else DecodedStream(stream, _Members(new_member, path))


def has_byte_newlines(charset: str) -> bool:
    """Whether a newline in this charset is the byte 10, and that byte nothing else."""
    return not codecs.lookup(charset).name.startswith(("utf-16", "utf-32"))


def transcoded(stream: ByteStream, charset: str) -> ByteStream:
    """The stream as UTF-8."""
    return DecodedStream(stream, _Transcoder(charset))
