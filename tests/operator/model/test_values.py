"""Texts of a manifest that mean amounts and places."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock_operator.errors import InvalidValue
from penstock_operator.model import values
from penstock_operator.model.values import (
    Uri,
    read_bytes,
    read_duration_ms,
    read_millicores,
    read_quantity,
    read_uri,
    write_duration,
    write_memory,
)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("10 s", 10_000),
        ("500ms", 500),
        ("5 min", 300_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("1 h 30 min", 5_400_000),
        ("7 d", 604_800_000),
        ("PT30S", 30_000),
        ("P1DT2H", 93_600_000),
    ],
)
def test_durations_are_read_as_flink_and_kubernetes_write_them(text: str, milliseconds: int) -> None:
    assert read_duration_ms(text) == milliseconds


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1 s", "1.5 s", "0 s", "P", "PT", "PT0S", "10 s\n", "10 weeks", "9999999 d"]
)
def test_what_is_no_duration_above_zero_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="a duration above zero such as"):
        read_duration_ms(text)


@given(st.integers(1, 3_650 * 86_400_000))
def test_a_duration_that_was_written_is_read_as_it_was(milliseconds: int) -> None:
    assert read_duration_ms(write_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        (2, Fraction(2)),
        ("500m", Fraction(1, 2)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("2.", Fraction(2)),
        ("1Ki", Fraction(1024)),
        ("1k", Fraction(1000)),
        ("1.5Gi", Fraction(3 * 2**29)),
        ("1e3", Fraction(1000)),
        ("1E3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1Ei", Fraction(2**60)),
        ("1e-2", Fraction(1, 100)),
        ("100n", Fraction(1, 10**7)),
    ],
)
def test_quantities_are_read_exactly(value: int | str, amount: Fraction) -> None:
    assert read_quantity(value) == amount


@pytest.mark.parametrize("value", ["", "-1", "1 Gi", "1GB", "1mb", "Gi", ".", "1e", "1e1000", "1" * 65, True, "0.5.5"])
def test_what_is_no_quantity_is_refused(value: int | str) -> None:
    with pytest.raises(InvalidValue, match="a Kubernetes quantity"):
        read_quantity(value)


def test_amounts_are_rounded_up() -> None:
    assert read_millicores("0.0001") == 1
    assert read_bytes("1024m") == 2


@given(st.integers(0, 2**50))
def test_memory_is_written_for_the_engine_without_loss(size: int) -> None:
    number, unit = write_memory(size).split()
    assert int(number) * {"bytes": 1, "kb": 2**10, "mb": 2**20, "gb": 2**30}[unit] == size


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("s3://bucket/a/b/", Uri("s3", "bucket", "a/b")),
        ("s3://bucket", Uri("s3", "bucket", "")),
        ("file:///var/state/", Uri("file", "", "/var/state")),
        ("file:///", Uri("file", "", "/")),
    ],
)
def test_places_are_read(text: str, uri: Uri) -> None:
    assert read_uri(text) == uri
    assert read_uri(str(uri)) == uri


@pytest.mark.parametrize(
    "text",
    ["", "/tmp/x", "hdfs://x/y", "s3a://bucket/x", "s3://B", "file://host/x", "s3://bucket/a/../b", "s3://bucket/a b"],
)
def test_other_places_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="s3://BUCKET/PATH or file:///PATH"):
        read_uri(text)


def test_a_place_below_another_is_held_by_it() -> None:
    for root in ("s3://bucket", "s3://bucket/a", "file:///", "file:///a"):
        uri = read_uri(root)
        assert uri.holds(uri.below("x", "y"))
        assert uri.holds(uri)
        assert not uri.below("x").holds(uri.below("xy"))
    assert not read_uri("s3://bucket/a").holds(read_uri("file:///a/b"))


NAMES = ("DURATION_PATTERN", "QUANTITY_PATTERN", "URI_PATTERN", "S3_PATTERN")


@pytest.mark.parametrize("name", NAMES)
def test_patterns_are_of_the_kind_that_the_api_server_knows(name: str) -> None:
    """RE2 has neither look-arounds nor back references."""
    assert not re.search(r"\(\?|\\[1-9]", getattr(values, name))
