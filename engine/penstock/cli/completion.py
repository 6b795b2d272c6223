"""`penstock completion`: what a shell needs to complete commands, flags and job ids."""

import click
from click.shell_completion import get_completion_class

from penstock.base.errors import ConfigurationError
from penstock.cli.ending import one_sentence


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> None:
    """Print what SHELL needs to complete commands, flags, and the ids of running jobs.

    \b
      penstock completion fish > ~/.config/fish/completions/penstock.fish
      eval "$(penstock completion bash)"   # in ~/.bashrc
      eval "$(penstock completion zsh)"    # in ~/.zshrc
    """
    with one_sentence():
        made = get_completion_class(shell)
        if made is None:
            raise ConfigurationError(f"there is no completion for {shell}")
        group = click.get_current_context().find_root().command
        complete = made(group, {}, "penstock", "_PENSTOCK_COMPLETE")
        click.echo(complete.source_template % complete.source_vars())
