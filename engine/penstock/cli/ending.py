"""How commands end: one sentence on standard error and an exit code."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from penstock.base.errors import PenstockError

FAILED: Final = 1
DEPOSED: Final = 3
"""Another JobManager leads the job."""
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def say(sentence: str) -> None:
    """To people, on standard error: standard output belongs to the job."""
    click.echo(sentence, err=True)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn errors that are raised on purpose into their sentence; interruptions into a word."""
    try:
        yield
    except PenstockError as error:
        say(f"penstock: {error}")
        sys.exit(FAILED)
    except KeyboardInterrupt:
        say("penstock: interrupted")
        sys.exit(INTERRUPTED)
