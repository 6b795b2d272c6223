"""Lines that machines read, without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from penstock_operator.telemetry.logs import set_up_logs
from penstock_operator.telemetry.masking import MASK, hide, masked, masked_value, names_secret


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    found = io.StringIO()
    set_up_logs("info", "json", found)
    yield found
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_object_with_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("penstock_operator.x").info("upgrade began", extra={"job": "a/b", "step": 3, "parts": ("x", {1})})
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "penstock_operator.x",
        "message": "upgrade began",
        "job": "a/b",
        "step": 3,
        "parts": ["x", [1]],
    }


def test_secrets_show_nowhere(stream: io.StringIO) -> None:
    hide(["tiger-in-the-tank", "tiger", "abc"])
    log = logging.getLogger("penstock_operator.x")
    try:
        raise ValueError("bad tiger-in-the-tank")
    except ValueError:
        log.exception("cannot %s", "ride the tiger", extra={"password": "open", "deep": {"apiKey": "k", "n": "tiger"}})
    (line,) = lines(stream)
    assert "tiger" not in json.dumps(line)
    assert line["message"] == f"cannot ride the {MASK}"
    assert (line["password"], line["deep"]) == (MASK, {"apiKey": MASK, "n": MASK})
    assert f"bad {MASK}" in line["exception"] and "Traceback" in line["exception"]
    assert masked("abc") == "abc"  # Too short: it would blot out words.


def test_a_line_is_one_line_whatever_is_in_it(stream: io.StringIO) -> None:
    logging.getLogger("x").warning("two\nlines \u2028 and %s", b"\xff", extra={"object": object()})
    assert len(lines(stream)) == 1


def test_text_is_for_people() -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        set_up_logs("debug", "text", stream)
        logging.getLogger("penstock_operator.x").debug("hello", extra={"job": "a/b"})
        logging.getLogger("kopf.objects").info("noise")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    assert stream.getvalue().rstrip().endswith("DEBUG penstock_operator.x: hello job=a/b")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("s3.secret-key", True),
        ("accessKey", True),
        ("AWS_SESSION_TOKEN", True),
        ("credentialsSecretRef", False),
        ("name", False),
    ],
)
def test_names_of_secrets_are_known(name: str, secret: bool) -> None:
    assert names_secret(name) is secret


def test_depth_has_an_end() -> None:
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    assert json.dumps(masked_value(deep))
