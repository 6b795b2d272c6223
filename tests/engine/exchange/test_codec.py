"""What a batch is between workers: whatever was written is read, and one list for values and keys stays one list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exchange.codec import BatchDecoder, BatchEncoder
from penstock.exchange.texts import TextDictionary
from penstock.records.batch import Batch

values = st.lists(st.text() | st.integers() | st.none() | st.tuples(st.text(), st.floats(allow_nan=False)), min_size=1)
texts = st.lists(st.text(), min_size=1)


def sent(batch: Batch, piece_bytes: int = 1 << 20) -> list[Batch]:
    encoder, decoder = BatchEncoder(piece_bytes, TextDictionary()), BatchDecoder()
    return [decoder.decode(memoryview(data)) for _, data in encoder.encode(batch)]


@given(values | texts, st.booleans(), st.sampled_from(["none", "own", "values"]))
def test_what_is_decoded_is_what_was_encoded(column: list[Any], timed: bool, keyed: str) -> None:
    keys = {"none": None, "own": list(column), "values": column}[keyed]
    batch = Batch(column, list(range(len(column))) if timed else None, keys)
    (received,) = sent(batch)
    assert received == batch
    assert (received.keys is received.values) == (keyed == "values")


@given(texts, st.integers(1, 40))
def test_a_batch_of_its_own_keys_is_sent_in_pieces_that_are_so_too(column: list[str], piece_bytes: int) -> None:
    received = sent(Batch(column, None, column), piece_bytes)
    assert all(piece.keys is piece.values for piece in received)
    assert [value for piece in received for value in piece.values] == column


@pytest.mark.parametrize("column", [["half of a pair \ud800"], [type("Word", (str,), {})("w")], ["w", 1]])
def test_what_is_not_quite_text_is_sent_as_it_is(column: list[Any]) -> None:
    if type(column[0]) is str:
        assert sent(Batch(column, None, column)) == [Batch(column, None, column)]
    else:
        with pytest.raises(Exception, match="cannot be sent"):
            sent(Batch(column, None, column))


@pytest.mark.parametrize("timestamps", [[1 << 70], [True]])
def test_timestamps_that_do_not_fit_8_bytes_are_sent_as_they_are(timestamps: list[int]) -> None:
    assert sent(Batch(["w"], timestamps, ["w"])) == [Batch(["w"], timestamps, ["w"])]
