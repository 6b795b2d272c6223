"""YAML as Kubernetes reads it, with the lines that everything stands at, so that a mistake can be pointed at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, final

import yaml


@final
class Unreadable(Exception):
    """It is not YAML."""

    def __init__(self, line: int | None, why: str) -> None:
        super().__init__(why)
        self.line = line


@final
@dataclass(frozen=True, slots=True)
class Document:
    """One of a file's documents."""

    value: Any
    node: yaml.Node
    size: int
    """How many values there are, what aliases repeat counted as often as it is there."""

    @property
    def line(self) -> int:
        """Where it begins."""
        return int(self.node.start_mark.line) + 1

    def line_of(self, field: str) -> int:
        """Where a field such as `spec.taskManager.slots` stands; where it would stand, if it is not there."""
        node, line, rest = self.node, self.line, field
        while rest:
            found = _step(node, rest)
            if found is None:
                break
            at, node, rest = found
            line = int(at.start_mark.line) + 1
        return line

    def twice(self) -> Iterator[tuple[int, str]]:
        """Keys that are there again in the same map, of which only the last would count."""
        waiting, known = [self.node], set[int]()
        while waiting:
            node = waiting.pop()
            if id(node) in known:
                continue  # What an alias stands for.
            known.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                waiting += node.value
            elif isinstance(node, yaml.MappingNode):
                names = set[str]()
                for key, value in node.value:
                    if isinstance(key, yaml.ScalarNode) and key.value in names:
                        yield int(key.start_mark.line) + 1, str(key.value)
                    names.add(str(key.value))
                    waiting.append(value)


def documents(text: str) -> Iterator[Document]:
    """Those that are not empty; Unreadable at the first one that is not YAML."""
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None, "it is there"
            value = loader.construct_document(node)
            if value is not None:
                yield Document(value, node, _size(value, {}))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise Unreadable(line, ", ".join(filter(None, (error.context, error.problem)))) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Unreadable(None, " ".join(str(error).split())) from error


def _size(value: Any, known: dict[int, int]) -> int:
    """RecursionError where it is within itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(value)]


@final
class _Loader(yaml.SafeLoader):
    """Times and dates are texts."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}

_AFTER: Final = ("", ".", "[")


def _step(node: yaml.Node, path: str) -> tuple[yaml.Node, yaml.Node, str] | None:
    """What the path's beginning names: where that stands, what is there, and the rest of the path."""
    if isinstance(node, yaml.SequenceNode) and path.startswith("["):
        number, _, rest = path[1:].partition("]")
        if number.isdecimal() and int(number) < len(node.value):
            item = node.value[int(number)]
            return item, item, rest.removeprefix(".")
    if isinstance(node, yaml.MappingNode):
        # Keys may have dots in them.
        named = [
            (len(key.value), key, value)
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode) and path.startswith(key.value) and path[len(key.value) :][:1] in _AFTER
        ]
        if named:
            length, key, value = max(named, key=lambda one: one[0])
            return key, value, path[length:].removeprefix(".")
    return None
