"""How commands end: one sentence on standard error and an exit code."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

import click

from penstock.base.errors import PenstockError

FAILED: Final = 1
UNKNOWN: Final = 2
"""Of commands whose 1 is an answer: there is none. Also what wrong flags end with."""
DEPOSED: Final = 3
"""Another JobManager leads the job."""
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)


def say(sentence: str) -> None:
    """To people, on standard error: standard output belongs to the job."""
    click.echo(sentence, err=True)


def interruptible() -> None:
    """From here on Ctrl-C and SIGTERM are exceptions: there is something to clean up, and nothing to load any more."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)


@contextmanager
def one_sentence(code: int = FAILED) -> Iterator[None]:
    """Turn errors that are raised on purpose into their sentence; interruptions into a word."""
    try:
        yield
    except PenstockError as error:
        say(f"penstock: {error}")
        sys.exit(code)
    except BrokenPipeError:
        raise  # Whoever reads has had enough, which is no error; click ends the process.
    except OSError as error:
        # A full disk, a folder that nobody may write: the place is what there is to say.
        where = f"{error.filename}: " if error.filename else ""
        say(f"penstock: {where}{error.strerror or error}")
        sys.exit(code)
    except KeyboardInterrupt:
        say("penstock: interrupted")
        sys.exit(INTERRUPTED)
