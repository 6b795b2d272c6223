"""What the commands have in common: the configuration from files and flags, and where its folder is."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import click

from penstock.base.errors import ConfigurationError
from penstock.cli.ending import say
from penstock.common.configuration import Configuration, is_secret
from penstock.common.options import find, is_flinks, nearest

_SECRET_PLACES: Final = (
    "write it into config.yaml (--conf), or into the environment as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
    "PENSTOCK_SECRET"
)
PORT: Final = click.IntRange(0, 65535)
_FOLDERS: Final = ("PENSTOCK_CONF_DIR", "FLINK_CONF_DIR")

definitions_option: Final = click.option(
    "-D", "definitions", multiple=True, metavar="KEY=VALUE", help="A setting; may be given many times."
)
conf_option: Final = click.option(
    "--conf", metavar="DIR", help="Folder of config.yaml.  [default: $PENSTOCK_CONF_DIR or $FLINK_CONF_DIR]"
)


def cluster_configuration(folder: str | None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """From `--conf`, or the folder that the environment names; empty without either."""
    from penstock.common.configuration_files import load_configuration

    if folder is not None and not Path(folder).exists():
        raise ConfigurationError(f"--conf {folder}: there is no such folder or file")
    found = folder or next((environment[name] for name in _FOLDERS if environment.get(name)), None)
    if not found:
        return Configuration()
    configuration = load_configuration(found)
    for key in sorted(configuration.key_set()):
        # Others than these may be the job's own.
        if find(key) is None and not is_flinks(key) and (meant := nearest(key)):
            say(f"penstock: {found}: {key}: there is no such setting{meant}")
    return configuration


def flags(definitions: Iterable[str]) -> Configuration:
    """What `-D key=value` says, checked."""
    configuration = Configuration()
    for definition in definitions:
        key, equals, value = definition.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"-D {definition}: expected -D key=value")
        configuration.put(key.strip(), value.strip(), "from -D")
    configuration.check()
    for key in sorted(configuration.key_set()):
        if find(key) is None and not is_flinks(key):
            say(f"penstock: -D {key}: there is no such setting{nearest(key)}")
    if secret := sorted(filter(is_secret, configuration.key_set())):
        say(f"penstock: -D {', '.join(secret)}: command lines can be read by others on this machine: {_SECRET_PLACES}")
    return configuration
