"""How commands end: one sentence on standard error and an exit code."""

import os
import signal
import sys
import threading
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
_LEAVING_S: Final = 2.0


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(TERMINATED)


def say(sentence: str) -> None:
    """To people, on standard error: standard output belongs to the job."""
    click.echo(sentence, err=True)


def interruptible() -> None:
    """From here on Ctrl-C and SIGTERM are exceptions: there is something to clean up, and nothing to load any more."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminate)


def leave_soon(code: int) -> None:
    """All is said and cleaned up: end the process with this code, at the latest in some seconds.

    Threads that wait for a store that does not answer would hold it up for minutes: Python waits for them.
    """
    leaving = threading.Timer(_LEAVING_S, os._exit, (code,))
    leaving.daemon = True
    leaving.start()


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
