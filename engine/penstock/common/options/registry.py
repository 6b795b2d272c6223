"""The declaration of one key, and the table of all of them.

The modules of this package declare at import; nothing is added later. Look-ups are by key or alias.
"""

import difflib
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, final

from penstock.base.errors import ConfigurationError
from penstock.common.options.kinds import MAP, Kind

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Option(Generic[T]):
    """A configuration key and what may stand under it."""

    key: str
    kind: Kind[Any]
    default: T
    text: str = ""
    """What it does, in a sentence."""
    aliases: tuple[str, ...] = ()
    """Older names of the same key."""
    fallbacks: tuple[str, ...] = ()
    """Other keys whose value holds here when this one is not set."""
    secret: bool = False
    """Its value is never shown."""
    no_effect: str = ""
    """Why setting it changes nothing here; such keys are accepted and reported."""

    def read(self, text: str, *, key: str | None = None, origin: str = "") -> T:
        """The value that `text` says; a ConfigurationError names key, value, what is allowed, and where it stands."""
        try:
            value: T = self.kind.read(text)
        except (ValueError, OverflowError):
            shown = "***" if self.secret else repr(text)
            where = f" ({origin})" if origin else ""
            raise ConfigurationError(f"{key or self.key}: {shown}{where} is not {self.kind.allowed}") from None
        return value

    def write(self, value: Any) -> str:
        """The text for `value`, checked as if a user had written it."""
        text = value if isinstance(value, str) and self.kind is not MAP else self.kind.write(value)
        self.read(text)
        return text

    def has_default_value(self) -> bool:
        return self.default is not None

    def default_value(self) -> T:
        return self.default


_BY_KEY: Final[dict[str, Option[Any]]] = {}
_BY_ALIAS: Final[dict[str, Option[Any]]] = {}
_MAPS: Final[list[Option[Any]]] = []


def option(key: str, kind: Kind[T], default: T, text: str, *aliases: str, **more: Any) -> Option[T]:
    """Declare a key that has a default."""
    return _declare(Option(key, kind, default, text, aliases, **more))


def optional(key: str, kind: Kind[T], text: str, *aliases: str, **more: Any) -> Option[T | None]:
    """Declare a key that has none: not set, its value is None."""
    declared: Option[T | None] = Option(key, kind, None, text, aliases, **more)
    return _declare(declared)


def ignored(reason: str, *keys: str) -> None:
    """Declare Flink's keys that are accepted, reported, and do nothing here."""
    from_text: Kind[str] = Kind("string", "any text", str, str)
    for key in keys:
        declared: Option[str | None] = Option(key, from_text, None, no_effect=reason)
        _declare(declared)


def _declare(declared: Option[T]) -> Option[T]:
    assert declared.key not in _BY_KEY, f"{declared.key} is declared twice"
    _BY_KEY[declared.key] = declared
    for alias in declared.aliases:
        assert alias not in _BY_ALIAS, f"{alias} stands for two keys"
        _BY_ALIAS[alias] = declared
    if declared.kind is MAP:
        _MAPS.append(declared)
    return declared


def find(key: str) -> Option[Any] | None:
    """The option that `key` belongs to: its key, an alias of it, or an entry of a map."""
    found = _BY_KEY.get(key) or _BY_ALIAS.get(key)
    if found is None:
        found = next((option for option in _MAPS if key.startswith(f"{option.key}.")), None)
    return found


def nearest(key: str) -> str:
    """`; is KEY meant?` when a declared key looks much like this one."""
    found = difflib.get_close_matches(key, (*_BY_KEY, *_BY_ALIAS), n=1, cutoff=0.75)
    return f"; is {found[0]} meant?" if found else ""


def options() -> tuple[Option[Any], ...]:
    """All declared options, in the order of their keys."""
    return tuple(_BY_KEY[key] for key in sorted(_BY_KEY))


_FLINK_PREFIXES: Final = (
    "parallelism.", "pipeline.", "execution.", "state.", "restart-strategy", "taskmanager.", "jobmanager.",
    "heartbeat.", "slot.", "rest.", "web.", "s3.", "s3a.", "fs.", "python.", "io.tmp", "task.", "metrics.",
    "cluster.", "client.", "blob.", "high-availability", "security.", "pekko.", "akka.", "process.",
    "minicluster.", "resourcemanager.", "slotmanager.", "classloader.", "queryable-state.", "kubernetes.",
    "yarn.", "env.", "job-result-store.", "jobstore.", "completed-application-store.", "cleanup-strategy",
    "collect-sink.", "external-resource", "scheduler-mode", "traces.", "events.", "user.artifacts.",
    "shuffle-service-factory.", "plugin.", "source.reader.", "table.", "historyserver.", "sql-", "flink.",
    "containerized.", "query.", "recovery.", "local.", "dstl.", "compiler.",
)  # fmt: skip


def is_flinks(key: str) -> bool:
    """Whether a key is one of Flink's rather than a parameter of the user's own."""
    return key.startswith(_FLINK_PREFIXES)
