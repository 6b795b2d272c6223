"""Where a TaskManager and its workers keep what does not outlive them: sockets, RocksDB's files, unpacked archives."""

import re
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import ConfigurationError
from penstock.base.folders import OwnFolder, own_folder
from penstock.common.configuration import Configuration
from penstock.common.options import cluster, state, storage
from penstock.common.options.registry import Option

_PLACES: Final[tuple[Option[Any], ...]] = (
    cluster.TM_WORKING_DIRECTORY,
    cluster.WORKING_DIRECTORY,
    state.LOCAL_DIRECTORY,
    storage.TEMPORARY,
)
"""The first that is set holds; of several folders in it, the first."""


def working_folder(name: str, configuration: Configuration) -> OwnFolder:
    """Where the configuration says, else where this machine has its temporary files."""
    for option in _PLACES:
        given = configuration.written_as(option)
        if given:
            parent = Path(re.split("[,:]", re.sub("^file:/*", "/", given.strip()))[0])
            try:
                return own_folder(name, parent)
            except OSError as error:
                raise ConfigurationError(f"{option.key}: {parent} cannot be written to: {error.strerror}") from error
    return own_folder(name)
