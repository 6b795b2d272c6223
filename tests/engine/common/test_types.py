"""Rows, declared types and time as PyFlink programs use them."""

import copy
import pickle

import pytest

from penstock.common import Duration, Instant, Row, RowKind, Time, TypeInformation, Types
from penstock.common.conversion import coercer
from penstock.records.keys import encode_key


def test_a_row_answers_to_positions_and_names() -> None:
    row = Row(word="a", n=1)
    assert (row[0], row["word"], row.word, row[0:2], list(row), len(row)) == ("a", "a", "a", ["a", 1], ["a", 1], 2)
    assert "word" in row and "a" not in row and "a" in Row("a")
    assert row.as_dict() == {"word": "a", "n": 1}
    assert row.get_fields_by_names(["n"]) == [1]
    assert repr(row) == "Row(word='a', n=1)"
    assert str(row) == repr(row)
    with pytest.raises(AttributeError, match="no field 'm'"):
        _ = row.m
    with pytest.raises(AttributeError):
        row.other = 1  # type: ignore[attr-defined]


def test_a_row_without_names_answers_to_f0() -> None:
    row = Row("a", 1)
    assert (row.f0, row["f1"]) == ("a", 1)
    row[0] = "b"
    row["f1"] = 2
    assert row == Row("b", 2)
    assert repr(row) == "<Row('b', 2)>"
    with pytest.raises(TypeError, match="has no field names"):
        row.as_dict()
    row.set_field_names(["x", "y"])
    assert row.y == 2


def test_a_row_of_a_type_without_names_shows_its_fields_by_position() -> None:
    row = coercer(Types.ROW([Types.INT(), Types.STRING()]))((1, "a"))
    assert (repr(row), row.as_dict(), "f1" in row) == ("Row(f0=1, f1='a')", {"f0": 1, "f1": "a"}, True)
    assert row == Row(1, "a") and hash(row) == hash(Row(1, "a")) and encode_key(row) == encode_key(Row(1, "a"))
    with pytest.raises(ValueError, match="no field 'f2'"):
        _ = row["f2"]


def test_a_row_of_names_makes_rows() -> None:
    person = Row("name", "age")
    assert person("Alice", 11) == Row(name="Alice", age=11)
    with pytest.raises(ValueError, match="3 values were given"):
        person(1, 2, 3)


def test_rows_are_equal_by_values_names_and_kind() -> None:
    assert Row(1, 2) == Row(1, 2)
    assert Row(1, 2) != Row(a=1, b=2)
    assert Row(1) != Row.of_kind(RowKind.DELETE, 1)
    assert Row(a=1, b=2) == Row(b=2, a=1) != Row(a=2, b=1)
    assert hash(Row(a=1, b=2)) == hash(Row(b=2, a=1))
    assert hash(Row(1, 2)) == hash(Row(1, 2))


def test_rows_are_copied_and_pickled_whole() -> None:
    row = Row.of_kind(RowKind.UPDATE_AFTER, a=[1], b=Row("x"))
    for twin in (copy.deepcopy(row), pickle.loads(pickle.dumps(row, 5))):
        assert twin == row
        assert twin.get_row_kind() is RowKind.UPDATE_AFTER
    assert row.as_dict(recursive=False)["b"] == Row("x")


def test_nested_rows_become_nested_dicts() -> None:
    assert Row(a=Row(b=1), c=[Row(d=2)]).as_dict(True) == {"a": {"b": 1}, "c": [{"d": 2}]}


def test_types_are_values() -> None:
    def build() -> TypeInformation:
        inner = Types.MAP(Types.STRING(), Types.LIST(Types.SQL_TIMESTAMP()))
        return Types.ROW_NAMED(["a", "b"], [Types.TUPLE([Types.INT(), Types.INSTANT()]), inner])

    assert build() == build()
    assert hash(build()) == hash(build())
    assert pickle.loads(pickle.dumps(build())) == build()
    assert eval(repr(build()), {"Types": Types}) == build()
    assert build() != Types.ROW([Types.INT()])
    assert Types.INT() != Types.LONG()


def test_a_row_without_names_has_default_names() -> None:
    declared = Types.ROW([Types.INT(), Types.STRING()])
    assert declared.get_field_names() == ["f0", "f1"]
    assert declared.get_field_index("f1") == 1
    assert declared.get_field_index("x") == -1
    assert declared == Types.ROW_NAMED(["f0", "f1"], [Types.INT(), Types.STRING()])


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Types.ROW_NAMED(["a"], []), "cannot have 1 names"),
        (lambda: Types.ROW_NAMED(["a", "a"], [Types.INT(), Types.INT()]), "must differ"),
        (lambda: Types.PRIMITIVE_ARRAY(Types.STRING()), "not Types.STRING"),
        (lambda: Types.BASIC_ARRAY(Types.ROW([])), "of a basic type"),
    ],
)
def test_types_that_cannot_be_are_refused(build: object, sentence: str) -> None:
    with pytest.raises((ValueError, TypeError), match=sentence):
        build()  # type: ignore[operator]


def test_a_java_only_call_says_what_to_do_instead() -> None:
    with pytest.raises(NotImplementedError, match="there is no JVM here"):
        Types.INT().get_java_type_info()


def test_durations_compare_and_print_as_javas() -> None:
    assert Duration.of_minutes(1) == Duration.of_seconds(60) == Duration.of_millis(60_000)
    assert Duration.of_days(1) > Duration.of_hours(23)
    texts = [str(Duration.of_millis(millis)) for millis in (0, 100, 90_000, 3_600_000, 86_400_000)]
    assert texts == ["PT0S", "PT0.1S", "PT1M30S", "PT1H", "PT24H"]
    assert Time.minutes(1).to_milliseconds() == 60_000
    with pytest.raises(TypeError, match=r"Duration.of_seconds\(\) takes a Real, not '5'"):
        Duration.of_seconds("5")  # type: ignore[arg-type]


@pytest.mark.parametrize("millis", [0, 1, 999, 1_000, -1, -1_001, 1_700_000_000_123])
def test_instants_keep_their_milliseconds(millis: int) -> None:
    assert Instant.of_epoch_milli(millis).to_epoch_milli() == millis
