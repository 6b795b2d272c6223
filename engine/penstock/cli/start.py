"""Where `penstock` begins: has Ctrl-C end it with a line from the first moment on, while everything else is loaded."""

import os
import signal
from types import FrameType
from typing import NoReturn


def main() -> None:
    """The command line; commands take over what Ctrl-C does once they are loaded."""
    signal.signal(signal.SIGINT, _end)
    from penstock.cli.main import main as commands

    commands(prog_name="penstock")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    # Not by an exception: libraries that are being loaded turn those into errors of their own.
    os.write(2, b"penstock: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    main()
