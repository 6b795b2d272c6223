"""Where `penstock` begins: Ctrl-C and SIGTERM end it from the first moment on, while everything else is loaded.

SIGTERM too, because the first process of a container would ignore it.
"""

import gc
import os
import signal
from types import FrameType
from typing import Final, NoReturn

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_YOUNG_OBJECTS: Final = 20_000


def main() -> None:
    """The command line; commands take over what the signals do once they are loaded."""
    for number in _ENDING:
        signal.signal(number, _end)
    # Whoever starts the first process of a container has them blocked until here, so that none is missed.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    spare_the_young()
    from penstock.cli.main import main as commands

    commands(prog_name="penstock")


def spare_the_young() -> None:
    """Look for garbage less often; before anything is loaded, for none of that is any.

    To look for some each 700 objects, as Python does, takes a tenth of the time that loading takes.
    """
    gc.set_threshold(_YOUNG_OBJECTS)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: libraries that are being loaded turn those into errors of their own.
    if number == signal.SIGINT:
        os.write(2, b"penstock: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()
