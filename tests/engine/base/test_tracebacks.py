"""Tracebacks begin and end with lines of the user's own."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from penstock.base.errors import UserFunctionError
from penstock.base.tracebacks import said, users_line, users_traceback


class Mute(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("no words")


class Broken:
    def __deepcopy__(self, memo: object) -> NoReturn:
        raise ValueError("as asked")


def failing_in_a_thread() -> Exception:
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(copy.deepcopy, [Broken()]).exception()
    assert isinstance(error, ValueError)
    return error


def test_frames_of_libraries_that_lead_to_the_users_code_are_left_out() -> None:
    lines = users_traceback(failing_in_a_thread()).splitlines()
    frames = [line for line in lines if line.startswith("  File ")]
    assert len(frames) == 1
    assert frames[0].endswith("in __deepcopy__")
    assert lines[-1] == "ValueError: as asked"


def test_the_sentence_about_a_failure_is_not_repeated_below_its_traceback() -> None:
    cause = failing_in_a_thread()
    error = UserFunctionError("operator 'a' failed")
    error.__cause__ = cause
    assert users_traceback(error) == users_traceback(cause)


def test_the_line_is_the_users_last() -> None:
    assert users_line(failing_in_a_thread()).startswith(f"{__file__}, line ")


def test_an_exception_that_cannot_say_what_it_is_is_told_all_the_same() -> None:
    assert said(Mute()) == "Mute: <its text fails: RuntimeError>"
    assert said(KeyboardInterrupt()) == "KeyboardInterrupt"
