"""Finds who answers a request: by path and method, literal parts of a path before parts that vary. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import final
from urllib.parse import unquote

from penstock.rest.asking import Refused
from penstock.rest.routes import Route


@final
@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    varying: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)
    """By method."""


@final
class Router:
    """All routes, with and without the version in front."""

    def __init__(self, routes: Iterable[Route], prefixes: Iterable[str]) -> None:
        self._root = _Node()
        prefixes = tuple(prefixes)
        for route in routes:
            for prefix in prefixes:
                self._add(prefix + route.path, route)

    def find(self, method: str, raw_path: str) -> tuple[Route, Mapping[str, str]]:
        """The route and the parts that vary, decoded; a slash that was quoted stays part of its part.

        Refused with 404 for a path that is not known, 405 for a method that is not known there.
        """
        # As Flink's router: slashes at both ends mean nothing.
        parts = [unquote(part) for part in raw_path.strip("/").split("/")]
        allowed: set[str] = set()
        for node, values in _matches(self._root, parts, 0, ()):
            route = node.routes.get(method)
            if route is not None:
                return route, dict(zip(route.names, values, strict=True))
            allowed |= node.routes.keys()
        if allowed:
            raise Refused(405, f"{method} is not allowed on {raw_path}; allowed: {', '.join(sorted(allowed))}")
        raise Refused(404, f"Not found: {raw_path}")

    def _add(self, path: str, route: Route) -> None:
        node = self._root
        for part in path.split("/")[1:]:
            if part.startswith("{"):
                node.varying = node = node.varying or _Node()
            else:
                node = node.literal.setdefault(part, _Node())
        assert route.method not in node.routes, f"{route.method} {path} is there twice"
        node.routes[route.method] = route


def _matches(
    node: _Node, parts: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Node, tuple[str, ...]]]:
    if at == len(parts):
        if node.routes:
            yield node, values
        return
    if (literal := node.literal.get(parts[at])) is not None:
        yield from _matches(literal, parts, at + 1, values)
    if node.varying is not None and parts[at]:
        yield from _matches(node.varying, parts, at + 1, (*values, parts[at]))
