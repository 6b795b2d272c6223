"""Reads `config.yaml` (nested or flat keys) and the older `flink-conf.yaml` (`key: value` lines).

The command line and the processes' mains call it. Every value remembers file and line, so that an error can name them.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from penstock.base.errors import ConfigurationError
from penstock.common.configuration import Configuration
from penstock.common.options.kinds import LIST, MAP

_FILES: Final = ("config.yaml", "flink-conf.yaml")
_LINE: Final = re.compile(r"\s*(?P<key>[^\s:#][^:]*?)\s*:(?:\s+(?P<value>.*?))?\s*")
_COMMENT: Final = re.compile(r"(^|\s)#.*$")

Entry = tuple[str, str, int]
"""Key, text, line."""


def load_configuration(path: str | os.PathLike[str]) -> Configuration:
    """The configuration in a file, or in a folder's `config.yaml` or `flink-conf.yaml`; checked."""
    file = _file_of(Path(path))
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{file} is not text in UTF-8: {error}") from error
    try:
        entries = list(_legacy_entries(text, file) if file.name == "flink-conf.yaml" else _yaml_entries(text, file))
    except RecursionError as error:  # An alias may stand for what contains it.
        raise ConfigurationError(f"{file} is nested in itself, or too deeply") from error
    configuration = Configuration()
    lines: dict[str, int] = {}
    for key, value, line in entries:
        if key in lines:
            raise ConfigurationError(f"{file} sets {key} twice, in line {lines[key]} and in line {line}")
        lines[key] = line
        configuration.put(key, value, f"{file} line {line}")
    configuration.check()
    return configuration


def _file_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = next((path / name for name in _FILES if (path / name).is_file()), None)
    if found is None:
        raise ConfigurationError(f"the folder {path} has neither {' nor '.join(_FILES)}")
    return found


def _legacy_entries(text: str, file: Path) -> Iterator[Entry]:
    for number, raw in enumerate(text.splitlines(), 1):
        line = _COMMENT.sub("", raw).strip()
        if not line or line == "---":
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ConfigurationError(f"{file} line {number}: expected `key: value`, found {line!r}")
        value = match["value"] or ""
        if value[:1] == value[-1:] and value[:1] in ("'", '"') and len(value) > 1:
            value = value[1:-1]
        if value:
            yield match["key"], value, number


def _yaml_entries(text: str, file: Path) -> Iterator[Entry]:
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigurationError(f"{file}{where} is not YAML: {problem}") from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        found = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
        raise ConfigurationError(f"{file} line {root.start_mark.line + 1}: expected `key: value`, found {found}")
    yield from _flattened("", root)


def _flattened(prefix: str, node: yaml.MappingNode) -> Iterator[Entry]:
    for name, value in node.value:
        key = f"{prefix}{name.value}"
        line = value.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _flattened(f"{key}.", value)
        elif isinstance(value, yaml.SequenceNode):
            yield key, LIST.write([_item(item) for item in value.value]), line
        elif value.tag != "tag:yaml.org,2002:null":
            yield key, value.value, line


def _item(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return MAP.write({key.value: _item(value) for key, value in node.value})
    return str(node.value) if isinstance(node, yaml.ScalarNode) else LIST.write(map(_item, node.value))
