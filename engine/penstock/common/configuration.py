"""A configuration: texts by key, read through declared options; mirrors pyflink.common.configuration.

Loaded from files and `-D` by the command line, written to by the environment's setters, read through
`config.get(option)` or, better, as the frozen settings of `penstock.common.settings`. Texts are what
travels and what is shown; values are checked when they are read and when all of them are (`check`).
"""

import builtins
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast, final

from penstock.base.errors import ConfigurationError
from penstock.base.masking import MASK, names_secret
from penstock.common.options.kinds import BOOLEAN, FLOAT, INTEGER, LIST, MAP, Kind
from penstock.common.options.registry import Option, find, is_flinks, nearest

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Findings:
    """What a configuration has that changes nothing; to be reported once, not refused."""

    unknown: tuple[str, ...]
    """Keys under Flink's prefixes that mean nothing here."""
    without_effect: Mapping[str, str]
    """Flink's keys that are accepted, each with the reason why it does nothing."""

    def sentences(self) -> list[str]:
        """One sentence a line, for the log."""
        reported = [f"{key} has no effect: {reason}" for key, reason in self.without_effect.items()]
        return reported + [f"{key} is not known here and has no effect{nearest(key)}" for key in self.unknown]


@final
class Configuration:
    """Texts by key. The spelling of a key that was written last holds, old or new."""

    __slots__ = ("_origins", "_texts")

    def __init__(self, other: "Configuration | None" = None, j_configuration: Any = None) -> None:
        self._texts: dict[str, str] = dict(other._texts) if other is not None else {}
        self._origins: dict[str, str] = dict(other._origins) if other is not None else {}

    @staticmethod
    def from_dict(map: Mapping[str, Any]) -> "Configuration":
        configuration = Configuration()
        for key, value in map.items():
            configuration.put(key, _text(value))
        return configuration

    def get(self, option: Option[T]) -> T:
        """The option's value: under its key, an alias, a key it falls back to, or the default."""
        if option.kind is MAP:
            return self._get_map(option)
        for key in self._spellings(option):
            text = self._texts.get(key)
            if text is not None:
                return option.read(text, key=key, origin=self._origins.get(key, ""))
        return option.default

    def _spellings(self, option: Option[Any]) -> Iterator[str]:
        yield option.key
        yield from option.aliases
        for key in option.fallbacks:
            fallback = find(key)
            yield from (key,) if fallback is None else (fallback.key, *fallback.aliases)

    def _get_map(self, option: Option[T]) -> T:
        """A map is written whole under its key, entry by entry below it, or both."""
        found: dict[str, str] = {}
        for key in (option.key, *option.aliases):
            text = self._texts.get(key)
            if text is not None:
                found.update(cast(Mapping[str, str], option.read(text, key=key, origin=self._origins.get(key, ""))))
            prefix = f"{key}."
            found.update({name[len(prefix) :]: text for name, text in self._texts.items() if name.startswith(prefix)})
        return cast(T, found) if found else option.default

    def contains(self, option: Option[Any]) -> bool:
        """Whether the option is set, under whichever name."""
        return any(key in self._texts for key in (option.key, *option.aliases)) or (
            option.kind is MAP and any(key.startswith(f"{option.key}.") for key in self._texts)
        )

    def written_as(self, option: Option[Any]) -> str | None:
        """The text that stands for the option, legacy spelling and all; None if it is not set."""
        return next((self._texts[key] for key in (option.key, *option.aliases) if key in self._texts), None)

    def set(self, option: Option[T], value: T) -> "Configuration":
        """Write a value (or its text); None removes it."""
        if value is None:
            self.remove_config(option.key)
            return self
        text = option.write(value)
        if option.kind is MAP:
            self.remove_config(option.key)
        return self.put(option.key, text)

    def put(self, key: str, text: str, origin: str = "") -> "Configuration":
        """Write a text as it is. `origin` says where it stands, for error messages."""
        option = find(key)
        if option is not None and key in (option.key, *option.aliases):
            for spelling in (option.key, *option.aliases):
                self._texts.pop(spelling, None)
                self._origins.pop(spelling, None)
        self._texts[key] = text
        if origin:
            self._origins[key] = origin
        return self

    def put_argument(self, argument: str) -> "Configuration":
        """Write what stands behind `-D` on a command line: `key=value`."""
        key, equals, text = argument.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"-D{argument}: expected key=value")
        return self.put(key.strip(), text.strip(), f"-D{key.strip()}")

    def check(self) -> Findings:
        """Read every declared option once; the first wrong one is raised, what has no effect is returned."""
        unknown, without_effect = [], {}
        for key in sorted(self._texts):
            option = find(key)
            if option is None:
                if key.startswith("penstock."):
                    origin = self._origins.get(key)
                    raise ConfigurationError(f"{key}{f' ({origin})' if origin else ''} is not a key of Penstock's")
                if is_flinks(key):
                    unknown.append(key)
            elif self.get(option) != option.default and option.no_effect:
                without_effect[key] = option.no_effect
        return Findings(tuple(unknown), without_effect)

    def redacted(self) -> dict[str, str]:
        """All texts, secrets hidden; for logs and REST."""
        return {key: MASK if is_secret(key) else text for key, text in sorted(self._texts.items())}

    def get_string(self, key: str, default_value: str | None = None) -> Any:
        text = self._raw(key)
        return default_value if text is None else text

    def set_string(self, key: str, value: str) -> "Configuration":
        return self.put(key, str(value))

    def get_integer(self, key: str, default_value: int) -> int:
        return self._read(key, INTEGER, default_value)

    def set_integer(self, key: str, value: int) -> "Configuration":
        return self.put(key, INTEGER.write(value))

    def get_boolean(self, key: str, default_value: bool) -> bool:
        return self._read(key, BOOLEAN, default_value)

    def set_boolean(self, key: str, value: bool) -> "Configuration":
        return self.put(key, BOOLEAN.write(value))

    def get_float(self, key: str, default_value: float) -> float:
        return self._read(key, FLOAT, float(default_value))

    def set_float(self, key: str, value: float) -> "Configuration":
        return self.put(key, FLOAT.write(float(value)))

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        text = self._raw(key)
        return default_value if text is None else bytearray.fromhex(text)

    def set_bytearray(self, key: str, value: bytearray) -> "Configuration":
        return self.put(key, bytes(value).hex())

    @staticmethod
    def parse_list_value(value: str) -> list[str]:
        return list(LIST.read(value)) if value else []

    def key_set(self) -> builtins.set[str]:
        return builtins.set(self._texts)

    def add_all_to_dict(self, target_dict: dict[str, str]) -> None:
        target_dict.update(self._texts)

    def add_all(self, other: "Configuration", prefix: str | None = None) -> "Configuration":
        for key, text in other._texts.items():
            self.put(f"{prefix or ''}{key}", text, other._origins.get(key, ""))
        return self

    def contains_key(self, key: str) -> bool:
        return self._raw(key) is not None

    def to_dict(self) -> dict[str, str]:
        return dict(self._texts)

    def remove_config(self, key: str) -> bool:
        """Whether there was something to remove."""
        option = find(key)
        same = {key} if option is None or key not in (option.key, *option.aliases) else {option.key, *option.aliases}
        if option is not None and option.kind is MAP and key == option.key:
            same |= {name for name in self._texts if name.startswith(f"{key}.")}
        removed = [self._texts.pop(name) for name in same if name in self._texts]
        for name in same:
            self._origins.pop(name, None)
        return bool(removed)

    def _raw(self, key: str) -> str | None:
        text = self._texts.get(key)
        option = None if text is not None else find(key)
        if option is None or key not in (option.key, *option.aliases):
            return text
        return self.written_as(option)

    def _read(self, key: str, kind: Kind[T], default: T) -> T:
        text = self._raw(key)
        if text is None:
            return default
        return Option(key, kind, default).read(text, origin=self._origins.get(key, ""))

    def __deepcopy__(self, memo: object) -> "Configuration":
        return Configuration(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._texts, self._origins)

    def __eq__(self, other: object) -> bool:
        return self._texts == other._texts if isinstance(other, Configuration) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._texts.items()))

    def __repr__(self) -> str:
        return f"Configuration({self.redacted()})"

    def __str__(self) -> str:
        """As Java writes a map."""
        return "{" + ", ".join(f"{key}={text}" for key, text in self.redacted().items()) + "}"


def _restore(texts: dict[str, str], origins: dict[str, str]) -> Configuration:
    configuration = Configuration()
    configuration._texts = texts
    configuration._origins = origins
    return configuration


def is_secret(key: str) -> bool:
    """Whether what is set under this key is for nobody to see."""
    option = find(key)
    return (option is not None and option.secret) or names_secret(key)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return BOOLEAN.write(value)
    if isinstance(value, Mapping):
        return MAP.write(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return LIST.write(map(str, value))
    return str(value)
