"""What a worker says of an exception."""

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


def test_where_no_line_of_the_users_was_reached_ours_are_not_shown() -> None:
    assert error_report(users_error("not iterable")).traceback == ""
