"""Where `penstock` begins: Ctrl-C and SIGTERM end it from the first moment on, while everything else is loaded.

SIGTERM too, because the first process of a container would ignore it.
"""

import os
import signal
from types import FrameType
from typing import Final, NoReturn

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """The command line; commands take over what the signals do once they are loaded."""
    for number in _ENDING:
        signal.signal(number, _end)
    # Whoever starts the first process of a container has them blocked until here, so that none is missed.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    from penstock.base.garbage import spare_the_young

    spare_the_young()
    from penstock.cli.main import main as commands

    commands(prog_name="penstock")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: libraries that are being loaded turn those into errors of their own.
    if number == signal.SIGINT:
        os.write(2, b"penstock: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
