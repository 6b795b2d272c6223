"""Texts that are their own keys go by number, each once; what comes out is what went in, in order, at its owner."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import SystemClock
from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel, OutputChannel
from penstock.exchange.codec import BatchDecoder, BatchEncoder
from penstock.exchange.input import RemoteInput
from penstock.exchange.local import local_channel
from penstock.exchange.output import RemoteOutput
from penstock.exchange.partitioners import Hash
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.texts import TextDealer, TextDictionary
from penstock.exchange.writer import RecordWriter
from penstock.records.batch import Batch, Element, EndOfData, EndOfPartition
from penstock.records.key_groups import key_group, range_for

MAX_PARALLELISM = 128
TEXTS = st.text(max_size=3) | st.sampled_from(["half of a pair \ud800", "w" * 300])
COLUMNS = st.lists(st.lists(TEXTS | st.none(), min_size=1, max_size=20), max_size=6)
SETTINGS = ExchangeSettings(batch_records=10)


class Channels:
    """Both ends of the channels of one writer, some of them to another worker."""

    def __init__(self, remote: list[bool], settings: ExchangeSettings = SETTINGS) -> None:
        self.frames: list[bytes] = []
        self.wire: deque[Callable[[], None]] = deque()
        self.inputs: list[InputChannel] = []
        outputs: list[OutputChannel] = []
        for index, is_remote in enumerate(remote):
            output, consumer = self._remote(index, settings) if is_remote else _local(index, settings)
            outputs.append(output)
            self.inputs.append(consumer)
        self.hash = Hash(len(remote), MAX_PARALLELISM, [output.dictionary for output in outputs])
        self.writer = RecordWriter(outputs, self.hash, buffer_timeout_ms=-1, call_later=lambda delay, callback: None)

    def _remote(self, index: int, settings: ExchangeSettings) -> tuple[OutputChannel, InputChannel]:
        consumer = RemoteInput(ChannelId(index), settings.window_bytes, lambda gone: None)

        def send(kind: Any, *parts: bytes | memoryview) -> None:
            self.frames.append(b"".join(parts))
            self.wire.append(partial(consumer.arrived, kind, self.frames[-1]))

        output = RemoteOutput(ChannelId(index), settings, SystemClock(), send, lambda gone: None)
        consumer.opened(lambda count: self.wire.append(partial(output.granted, count)))
        self.settle()
        return output, consumer

    def settle(self) -> None:
        """Deliver what lies on the wire."""
        while self.wire:
            self.wire.popleft()()

    def taken(self) -> list[list[Element]]:
        """All that each consumer gets."""
        return [list(self._all_of(consumer)) for consumer in self.inputs]

    def _all_of(self, consumer: InputChannel) -> Iterator[Element]:
        self.settle()
        while (element := consumer.take()) is not None:
            yield element
            self.settle()


def _local(index: int, settings: ExchangeSettings) -> tuple[OutputChannel, InputChannel]:
    return local_channel(ChannelId(index), settings, SystemClock())


def keyed_by_itself(column: list[Any]) -> Batch:
    return Batch(column, None, column)


def owner(key: Any, channels: int) -> int:
    group = key_group(key, MAX_PARALLELISM)
    return next(index for index in range(channels) if group in range_for(MAX_PARALLELISM, channels, index))


def values_of(elements: list[Element]) -> list[Any]:
    return [value for element in elements if isinstance(element, Batch) for value in element.values]


@given(st.lists(st.booleans(), min_size=2, max_size=5), COLUMNS)
def test_every_text_comes_to_its_owner_in_order_and_is_its_own_key(
    remote: list[bool], columns: list[list[Any]]
) -> None:
    channels = Channels(remote)
    for column in columns:
        channels.writer.write_batch(keyed_by_itself(column))
    channels.writer.write_control(EndOfData())
    for index, elements in enumerate(channels.taken()):
        expected = [text for column in columns for text in column if owner(text, len(remote)) == index]
        assert values_of(elements) == expected
        assert isinstance(elements[-1], EndOfData)
        assert all(element.keys is element.values for element in elements if isinstance(element, Batch))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1))
def test_equal_texts_are_one_object_wherever_they_come_from(column: list[str]) -> None:
    channels = Channels([False, True])
    for first in (column, column[::-1]):
        channels.writer.write_batch(keyed_by_itself(["".join(("text of ", letter)) for letter in first]))
    channels.writer.flush()
    for elements in channels.taken():
        values = values_of(elements)
        assert len(set(map(id, values))) == len(set(values))


def test_a_text_goes_over_the_wire_once() -> None:
    channels = Channels([True, True])
    for _ in range(5):
        channels.writer.write_batch(keyed_by_itself([f"a text of some length {number}" for number in range(10)]))
        channels.writer.flush()
    sent = b"".join(channels.frames)
    assert [sent.count(b"of some length %d" % number) for number in range(10)] == [1] * 10


@given(COLUMNS, st.integers(1, 60))
def test_what_is_encoded_in_pieces_or_later_than_it_was_dealt_brings_the_texts_it_needs(
    columns: list[list[Any]], piece_bytes: int
) -> None:
    dictionary = TextDictionary()
    dealer = TextDealer(MAX_PARALLELISM, [dictionary])
    pieces = [piece for column in columns for _, piece in dealer.split(column)]
    encoder, decoder = BatchEncoder(piece_bytes, dictionary), BatchDecoder()
    received = []
    for piece in pieces:
        frames = encoder.encode(piece)
        assert sum(records for records, _ in frames) == len(piece.values)
        received += [value for _, data in frames for value in decoder.decode(memoryview(data)).values]
    assert received == [text for column in columns for text in column]


def test_texts_that_hardly_come_again_are_given_up_on_before_there_are_too_many() -> None:
    dealer = TextDealer(MAX_PARALLELISM, [None])
    come_again = TextDealer(MAX_PARALLELISM, [None])
    for start in range(0, 60_000, 1_000):
        column = [str(number) for number in range(start, start + 1_000)]
        dealer.split(column)
        come_again.split(column * 4)
    assert dealer.is_full
    assert not come_again.is_full


def test_more_texts_than_two_bytes_can_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.exchange.texts._TEXTS_SURE", 100_000)
    channels = Channels([True], ExchangeSettings())
    column = [str(number) for number in range(70_000)]
    channels.writer.write_batch(keyed_by_itself(column))
    channels.writer.write_batch(keyed_by_itself(column[-10:] + column[:10]))
    channels.writer.flush()
    (elements,) = channels.taken()
    assert values_of(elements) == [*column, *column[-10:], *column[:10]]


@pytest.mark.parametrize(
    "many", [[str(number) for number in range(101)], [f"{number}{'long' * 250_000}" for number in range(17)]]
)
def test_where_too_many_texts_differ_batches_go_as_they_are_and_nothing_is_lost_on_the_way(
    many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.exchange.texts._TEXTS_MAX", 100)
    channels = Channels([False, True])
    columns = [["begin"], many, ["then", "begin", "end"]]
    for column in columns:
        channels.writer.write_batch(keyed_by_itself(column))
    channels.writer.write_control(EndOfPartition())
    assert {type(piece) for _, piece in channels.hash.split(keyed_by_itself(many))} == {Batch}
    for index, elements in enumerate(channels.taken()):
        assert values_of(elements) == [text for column in columns for text in column if owner(text, 2) == index]


@pytest.mark.parametrize("column", [[1, 2, 3], [b"a", b"b"], [None, "a", "b"], [(1, "a"), (2, "b")]])
def test_keys_that_are_no_texts_go_as_they_are(column: list[Any]) -> None:
    pieces = Channels([True, True]).hash.split(keyed_by_itself(column))
    assert {type(piece) for _, piece in pieces} == {Batch}


def test_texts_with_timestamps_come_with_them() -> None:
    channels = Channels([False, True])
    column = [f"w{number}" for number in range(30)]
    channels.writer.write_batch(keyed_by_itself(column))
    channels.writer.write_batch(Batch(column, list(range(30)), column))
    channels.writer.write_batch(keyed_by_itself(column))
    channels.writer.flush()
    for index, elements in enumerate(channels.taken()):
        mine = [(number, text) for number, text in enumerate(column) if owner(text, 2) == index]
        got = [
            row
            for element in elements
            if isinstance(element, Batch)
            for row in zip(element.timestamps or [None] * len(element), element.values, strict=True)
        ]
        untimed = [(None, text) for _, text in mine]
        assert got == [*untimed, *mine, *untimed]


def test_a_frame_whose_predecessor_is_missing_is_refused() -> None:
    dictionary = TextDictionary()
    dealer = TextDealer(MAX_PARALLELISM, [dictionary])
    encoder = BatchEncoder(1 << 16, dictionary)
    ((_, first),), ((_, second),) = dealer.split(["a"]), dealer.split(["b"])
    _, ((_, data),) = encoder.encode(first), encoder.encode(second)
    with pytest.raises(ProtocolError, match="builds on 1 that were sent before, found 0"):
        BatchDecoder().decode(data)
