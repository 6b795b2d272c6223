"""What a worker says of an exception."""

import msgspec

from penstock.base.errors import UserFunctionError
from penstock.taskmanager.worker import error_report


def users_error(text: str) -> UserFunctionError:
    error = UserFunctionError(f"operator 'Map' failed in record 1: ValueError: {text}")
    error.__cause__ = ValueError(text)
    return error


def test_a_text_that_is_too_long_is_shortened_in_the_middle() -> None:
    report = error_report(users_error("x" * 5_000_000 + "the end"))
    assert len(report.message) < 5_000 and report.message.startswith("operator 'Map' failed in record 1: ValueError: x")
    assert "characters left out" in report.message and report.message.endswith("the end")


def test_what_is_no_text_to_others_is_escaped_so_that_the_failure_is_heard_of() -> None:
    report = error_report(users_error("no number: '\udc80'"))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(report), type=type(report)) == report
    assert report.message.endswith(r"no number: '\udc80'")


def test_where_no_line_of_the_users_was_reached_ours_are_not_shown() -> None:
    assert error_report(users_error("not iterable")).traceback == ""
