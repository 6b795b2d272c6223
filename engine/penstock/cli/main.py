"""`penstock`: the commands, each loaded only when it is asked for, because a job's first output is to come soon."""

import importlib
from typing import Final, final

import click

_COMMANDS: Final = {
    "run": "penstock.cli.run:run",
    "check": "penstock.cli.check:check",
    "jobmanager": "penstock.cli.processes:jobmanager",
    "taskmanager": "penstock.cli.processes:taskmanager",
    "list": "penstock.cli.jobs:list_jobs",
    "info": "penstock.cli.jobs:info",
    "savepoint": "penstock.cli.savepoints:savepoint",
    "stop": "penstock.cli.savepoints:stop",
    "cancel": "penstock.cli.jobs:cancel",
    "checkpoint": "penstock.cli.savepoints:checkpoint",
    "state": "penstock.cli.state.commands:state",
    "fetch": "penstock.cli.fetch:fetch",
    "completion": "penstock.cli.completion:completion",
    "version": "penstock.cli.jobs:version",
}


@final
class _Commands(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if name not in _COMMANDS and not name.startswith("-") and not context.resilient_parsing:
            context.fail(f"No such command {name!r}.{_meant(name)}")
        return super().resolve_command(context, arguments)


def _meant(name: str) -> str:
    """Commands that are called nearly so."""
    import difflib

    near = [repr(command) for command in difflib.get_close_matches(name, _COMMANDS)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def _say_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    version = main.get_command(context, "version") if asked else None
    if version is not None:
        context.invoke(version, as_json=False)
        context.exit()


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-v",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_say_version,
    help="As `penstock version`.",
)
def main() -> None:
    """Stateful stream processing in Python, with Apache Flink's semantics.

    \b
    Run a job on this machine:
      penstock run job.py
    \b
    Run it on a cluster, one process at a time:
      penstock jobmanager --job job.py
      penstock taskmanager --slots 2
    \b
    See and steer what runs:
      penstock list
      penstock savepoint
      penstock stop
    \b
    Before an upgrade:
      penstock check --against SAVEPOINT job.py
      penstock state list SAVEPOINT

    `penstock COMMAND --help` tells more about each.
    """
