"""`penstock-operator`: one command, loaded as far as it is needed."""

import importlib
import os
import signal
from types import FrameType
from typing import Any, Final, NoReturn, final

import click

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)
_COMMANDS: Final = {
    "crds": ("penstock_operator.handlers.definitions", "crds"),
    "local": ("penstock_operator.local.command", "local"),
    "release": ("penstock_operator.handlers.command", "release"),
    "run": ("penstock_operator.handlers.command", "run"),
    "validate": ("penstock_operator.local.command", "validate"),
}


@final
class _Commands(click.Group):
    """Commands by name, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: Any = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command), "the table names commands"
        return command


@click.group(cls=_Commands)
def commands() -> None:
    """Run FlinkJobs: start, upgrade, heal and retain stateful streaming jobs from their manifests."""


def main() -> None:
    """The command line. Ctrl-C and SIGTERM end it at once until a command is loaded, and listens for them itself."""
    for number in _ENDING:
        signal.signal(number, _end)
    # Whoever starts the first process of a container has them blocked until here, so that none is missed.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    commands(prog_name="penstock-operator")


def _end(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(128 + number)


if __name__ == "__main__":
    main()
