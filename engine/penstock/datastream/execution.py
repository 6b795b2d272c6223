"""Where a program's job graph goes when it says `execute()`: the executor of this process.

The local cluster is the default. `penstock jobmanager` and `penstock check` install one that only takes the graph
(`penstock.datastream.script`). Whoever implements `Executor` is called on the script's thread.
"""

import importlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, cast

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.job_client import JobControl as ClientControl
from penstock.graph.job_graph import JobGraph

# By name, because the local cluster lies above this layer: it imports what users write, never the reverse.
_DEFAULT: Final = "penstock.local.executor:LocalExecutor"


class JobControl(ClientControl, Protocol):
    """A submitted job: what a JobClient needs, and what the program collects."""

    def results(self) -> Iterator[bytes]:
        """What the collect sink's coordinator delivers, in order, until the job has ended; raises as `wait` does."""


class Executor(Protocol):
    """Runs job graphs."""

    def submit(self, graph: JobGraph, configuration: Configuration) -> JobControl:
        """Start the job; `configuration` is the whole one, of which `graph.configuration` holds the job's part."""


_VARIABLE: Final = "PENSTOCK_CONFIGURATION"
"""A JSON object of configuration keys, for programs that are started by somebody else."""

_installed: list[Executor] = []
_configurations: list[Configuration] = []


def executor() -> Executor:
    """The executor of this process."""
    if not _installed:
        module, _, name = _DEFAULT.partition(":")
        _installed.append(cast(Executor, getattr(importlib.import_module(module), name)()))
    return _installed[-1]


@contextmanager
def using(replacement: Executor | None, configuration: Configuration | None = None) -> Iterator[None]:
    """Have programs that run inside this block execute on `replacement`, and begin with `configuration`."""
    _installed.extend([] if replacement is None else [replacement])
    _configurations.extend([] if configuration is None else [configuration])
    try:
        yield
    finally:
        if replacement is not None:
            _installed.remove(replacement)
        if configuration is not None:
            _configurations.remove(configuration)


def given_configuration() -> Configuration:
    """What a program begins with: the environment variable's keys, then those of `using`."""
    configuration = Configuration()
    text = os.environ.get(_VARIABLE)
    if text:
        configuration.add_all(_parsed(text))
    for given in _configurations:
        configuration.add_all(given)
    return configuration


def _parsed(text: str) -> Configuration:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{_VARIABLE} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{_VARIABLE} is a JSON object of keys and values; found {type(found).__name__}")
    return Configuration.from_dict(found)
