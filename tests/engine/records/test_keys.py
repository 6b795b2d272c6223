"""Canonical keys: equal keys have equal bytes, different keys different ones, and nothing else is let in."""

import math
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import DamagedData, StateError
from penstock.common import Instant, Row, RowKind
from penstock.records.keys import decode_key, decode_key_at, encode_key


class Colour(Enum):
    RED = "r"
    GREEN = "g"


class Rights(Flag):
    READ = 1
    WRITE = 2


class Place(NamedTuple):
    city: str
    zip: int


@dataclass(frozen=True)
class Account:
    bank: str
    number: int


@dataclass(frozen=True, slots=True)
class Nested:
    account: Account
    colour: Colour | None = None


@dataclass
class Open:
    n: int


@dataclass(frozen=True)
class Partly:
    n: int
    note: str = field(compare=False, default="")


class Plain:
    pass


atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None), max_size=12),
    st.binary(max_size=12),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.sampled_from(Colour),
    st.builds(Instant, st.integers(-(2**40), 2**40), st.integers(0, 999_999_999)),
)
keys = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3).map(lambda values: Row(*values)),
        st.builds(Account, st.text(max_size=3), st.integers()),
        st.builds(Nested, st.builds(Account, st.text(max_size=3), st.integers())),
        st.builds(Place, st.text(max_size=3), st.integers()),
    ),
    max_leaves=6,
)


@given(keys)
def test_a_decoded_key_has_the_type_and_the_bytes_of_the_original(key: object) -> None:
    encoded = encode_key(key)
    decoded = decode_key(encoded)
    assert type(decoded) is type(key)
    assert encode_key(decoded) == encoded
    assert decoded == key or "nan" in repr(key).lower()


@given(keys, keys)
def test_keys_of_one_type_are_equal_exactly_if_their_bytes_are(left: object, right: object) -> None:
    if type(left) is type(right) and not isinstance(left, (tuple, Row, float)):
        assert (left == right) == (encode_key(left) == encode_key(right))


@given(st.lists(keys, min_size=1, max_size=4))
def test_encodings_put_one_behind_the_other_come_apart_again(several: list[object]) -> None:
    joined = b"".join(map(encode_key, several))
    at, parts = 0, []
    while at < len(joined):
        start = at
        _, at = decode_key_at(joined, at)
        parts.append(joined[start:at])
    assert parts == [encode_key(key) for key in several]


@given(keys, keys)
def test_no_encoding_is_a_prefix_of_another(left: object, right: object) -> None:
    a, b = encode_key(left), encode_key(right)
    assert a == b or not (a.startswith(b) or b.startswith(a))


@settings(max_examples=300)
@given(st.binary(max_size=30))
def test_garbage_is_refused_and_never_crashes_otherwise(garbage: bytes) -> None:
    try:
        decode_key(garbage)
    except (DamagedData, StateError):
        return


def test_one_true_and_one_point_zero_are_three_keys() -> None:
    assert len({encode_key(key) for key in (1, True, 1.0, "1", Decimal(1))}) == 5


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (0.0, -0.0),
        (math.nan, -math.nan),
        (Decimal("2.50"), Decimal("2.5")),
        (Decimal("-0"), Decimal("0.000")),
        (Decimal("1E+3"), Decimal(1000)),
        (
            datetime(2026, 1, 1, 12, tzinfo=UTC),
            datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))),
        ),
        (Rights.READ | Rights.WRITE, Rights.WRITE | Rights.READ),
    ],
)
def test_two_forms_of_one_key_have_one_encoding(left: object, right: object) -> None:
    assert encode_key(left) == encode_key(right)
    assert encode_key((left, "x")) == encode_key((right, "x"))


def test_rows_differ_by_names_and_kind_as_they_do_in_python() -> None:
    rows = [Row(1, 2), Row(a=1, b=2), Row.of_kind(RowKind.DELETE, 1, 2)]
    assert len(set(map(encode_key, rows))) == 3
    assert [decode_key(encode_key(row)) for row in rows] == rows


def test_encodings_are_part_of_the_checkpoint_format() -> None:
    pinned = {
        None: "4e", True: "54", 0: "690100", 127: "69017f", 128: "69020080", -1: "6901ff", -128: "690180",
        "é": "7302c3a9", b"\x00": "620100", 1.5: "663ff8000000000000", ("a", 1): "7402730161690101",
        Decimal("-12.50"): "6d072d313235452d31", date(2026, 2, 3): "44000b4942",
        time(1, 2, 3, 4): "6800000000dde878c4",
        UUID(int=1): "75" + "00" * 15 + "01", datetime(1970, 1, 1, 0, 0, 1): "6400000000000f4240",
    }  # fmt: skip
    assert {key: encode_key(key).hex() for key in pinned} == pinned


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ([1], "use tuple(key)"),
        ({"a": 1}, "use tuple(sorted(key.items()))"),
        ({1}, "use tuple(sorted(key))"),
        (bytearray(b"a"), "use bytes(key)"),
        (Plain(), "Plain cannot be a key: use None, bool, int"),
        (Open(1), "Open cannot be a key: declare it @dataclass(frozen=True)"),
        (Partly(1), "its field note does not take part in comparison"),
        (("a", [1]), "use tuple(key)"),
        (time(1, tzinfo=UTC), "use key.replace(tzinfo=None)"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_advice(key: object, sentence: str) -> None:
    with pytest.raises(StateError) as caught:
        encode_key(key)
    assert sentence in str(caught.value)


def test_a_class_defined_in_a_function_is_refused() -> None:
    @dataclass(frozen=True)
    class Local:
        n: int

    with pytest.raises(StateError, match="defined inside a function"):
        encode_key(Local(1))


def test_a_key_of_a_class_that_is_gone_says_so() -> None:
    encoded = encode_key(Colour.RED).replace(b"RED", b"PUR")
    with pytest.raises(StateError, match=r"Colour\.PUR, which this program no longer defines"):
        decode_key(encoded)


def test_bytes_do_not_depend_on_the_hash_seed() -> None:
    program = "from penstock.records.keys import encode_key; print(encode_key(('a', 1, b'b')).hex())"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert seen == {encode_key(("a", 1, b"b")).hex() + "\n"}
