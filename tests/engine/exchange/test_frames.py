"""Frames come out as they went in, however the bytes were cut on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ProtocolError
from penstock.exchange.frames import BUFFER_BYTES, HEADER, FrameReader

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=20)
Frames = list[tuple[int, bytes]]


def encoded(frames: Frames) -> bytes:
    return b"".join(HEADER.pack(len(payload), kind) + payload for kind, payload in frames)


def feed(reader: FrameReader, data: bytes, chunk_bytes: int) -> None:
    position = 0
    while position < len(data):
        buffer = reader.buffer()
        chunk = data[position : position + min(chunk_bytes, len(buffer))]
        buffer[: len(chunk)] = chunk
        reader.advance(len(chunk))
        position += len(chunk)


def read(data: bytes, chunk_bytes: int, payload_bytes_max: int = 10_000_000) -> Frames:
    frames: Frames = []
    feed(FrameReader(lambda kind, payload: frames.append((kind, bytes(payload))), payload_bytes_max), data, chunk_bytes)
    return frames


@given(FRAMES, st.integers(1, 1000))
def test_frames_come_out_whole_however_the_bytes_are_cut(frames: Frames, chunk_bytes: int) -> None:
    assert read(encoded(frames), chunk_bytes) == frames


@pytest.mark.parametrize("size", [BUFFER_BYTES - 5, BUFFER_BYTES - 4, BUFFER_BYTES, 3 * BUFFER_BYTES + 1])
@pytest.mark.parametrize("chunk_bytes", [777, BUFFER_BYTES])
def test_frames_larger_than_the_buffer_come_out_whole(size: int, chunk_bytes: int) -> None:
    frames = [(1, b"before"), (2, bytes(range(256)) * (size // 256) + b"x" * (size % 256)), (3, b"after")]
    assert read(encoded(frames), chunk_bytes) == frames


def test_a_frame_larger_than_allowed_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(ProtocolError, match="announces 1001 bytes, but at most 1000 may come"):
        read(HEADER.pack(1001, 7), 100, payload_bytes_max=1000)


def test_what_is_allowed_may_grow_between_two_frames() -> None:
    seen: list[int] = []

    def opens(kind: int, payload: bytes | bytearray) -> None:
        reader.open(lambda kind, payload: seen.append(len(payload)), 1000)

    reader = FrameReader(opens, 10)
    feed(reader, encoded([(1, b"small"), (2, b"x" * 1000)]), 2000)
    assert seen == [1000]


def test_nothing_is_handed_on_after_a_stop_even_from_the_same_read() -> None:
    seen: list[int] = []

    def stops(kind: int, payload: bytes | bytearray) -> None:
        seen.append(kind)
        reader.stop()

    reader = FrameReader(stops, 100)
    feed(reader, encoded([(1, b""), (2, b""), (3, b"")]), 1000)
    assert seen == [1]
