"""`flinkConfiguration` as flat texts by key, whichever way it was written: flat, nested, or both.

What is a list or a map inside a value is written as YAML's flow style, which Flink's config.yaml and ours read. Pure.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

SECRET_WORDS: Final = ("password", "secret", "token", "access-key", "access.key", "credential", "private-key", "apikey")
"""A key that contains one of these has a value that is for nobody to see."""


def flattened(configuration: Mapping[str, Any]) -> dict[str, str]:
    """Texts by full key, in the order of the keys. Of a key that is there twice the last one counts; see `twice`."""
    return dict(sorted((key, text) for key, text in _entries("", configuration)))


def twice(configuration: Mapping[str, Any]) -> list[str]:
    """Keys that are written flat and nested at once."""
    times = Counter(key for key, _ in _entries("", configuration))
    return [key for key, number in times.items() if number > 1]


def is_secret(key: str) -> bool:
    return any(word in key.lower() for word in SECRET_WORDS)


def as_text(value: Any) -> str:
    """What stands for a value of JSON in a configuration."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _entries(prefix: str, configuration: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in configuration.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _entries(f"{key}.", value)
        elif value is not None:
            yield key, as_text(value)
