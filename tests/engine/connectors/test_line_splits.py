"""Splits and blocks may be cut anywhere: the lines are the same, each once."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.connectors.formats import SplitReader
from penstock.connectors.splits import FileSplit, InputFile, Position, decode_split, encode_split, splits_of
from penstock.connectors.text_format import TextLineFormat

TEXTS = st.text(alphabet="ab\n\r€", max_size=60)


class Bytes:
    """A file in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read_at(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def close(self) -> None:
        pass


def java_lines(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def opened(data: bytes, split: FileSplit, piece: int, charset: str = "utf-8") -> SplitReader:
    return TextLineFormat(charset).open_split(split, lambda _: Bytes(data), piece_bytes=piece)


def read(data: bytes, split: FileSplit, piece: int) -> list[str]:
    reader, lines = opened(data, split, piece), []
    while not reader.done:
        lines += reader.decode(reader.load())
    return lines


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 20), st.integers(1, 20))
def test_lines_are_read_once_however_splits_and_blocks_are_cut(text: str, split_bytes: int, piece: int) -> None:
    data = text.encode()
    splits = list(splits_of(InputFile("f", len(data), 0), split_bytes))
    assert [line for split in splits for line in read(data, split, piece)] == java_lines(text)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.data())
def test_a_reader_goes_on_from_any_position_with_any_block_size(
    text: str, split_bytes: int, piece: int, later_piece: int, data: st.DataObject
) -> None:
    content = text.encode()
    for split in splits_of(InputFile("f", len(content), 0), split_bytes):
        whole = read(content, split, piece)
        stop_after = data.draw(st.integers(0, len(whole)))
        lines, position = read_some(content, split, piece, stop_after)
        restored = decode_split(encode_split(replace(split, position=position)))
        assert lines + read(content, restored, later_piece) == whole


def read_some(data: bytes, split: FileSplit, piece: int, count: int) -> tuple[list[str], Position | None]:
    """The first `count` lines of a split, and the position behind them."""
    reader, lines = opened(data, split, piece), []
    while not reader.done:
        records = reader.decode(reader.load())
        if len(lines) + len(records) >= count:
            wanted = count - len(lines)
            lines += records[:wanted]
            at = reader.position
            return lines, at if at is None or not wanted else Position(at.offset, at.records + wanted)
        lines += records
    return lines, reader.position


def test_bytes_that_are_no_text_become_replacement_characters() -> None:
    assert read(b"a\xff\nb", FileSplit("f", 0, None), 100) == ["a�", "b"]


def test_a_charset_with_wide_newlines_is_read_as_a_whole() -> None:
    text = "a\n€\r\n\nਊ\n"
    reader, lines = opened(text.encode("utf-16"), FileSplit("f", 0, None), 3, "utf-16"), []
    while not reader.done:
        lines += reader.decode(reader.load())
    assert lines == ["a", "€", "", "ਊ"]
    assert not TextLineFormat("utf-16").is_splittable("f.txt")


def test_compressed_files_are_not_split() -> None:
    assert not TextLineFormat().is_splittable("f.gz")
    assert TextLineFormat().is_splittable("f.txt")
