"""Options a program declares for itself; mirrors pyflink.common.config_options.

`ConfigOptions.key("my.key").int_type().default_value(3)` gives what `Configuration.get` reads.
"""

from typing import Any, Generic, TypeVar, final

from penstock.common.options.kinds import BOOLEAN, DURATION, FLOAT, INTEGER, LIST, MAP, MEMORY, STRING, Kind
from penstock.common.options.registry import Option as ConfigOption

__all__ = ["ConfigOption", "ConfigOptions"]

T = TypeVar("T")


@final
class ConfigOptions:
    """Begins the declaration of an option."""

    def __init__(self, j_config_options: Any = None) -> None:
        """There is nothing to wrap."""

    @staticmethod
    def key(key: str) -> "ConfigOptions.OptionBuilder":
        return ConfigOptions.OptionBuilder(key)

    @final
    class OptionBuilder:
        """Asks for the type of the option."""

        def __init__(self, key: str) -> None:
            self._key = key

        def boolean_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[bool]":
            return self._typed(BOOLEAN)

        def int_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[int]":
            return self._typed(INTEGER)

        def long_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[int]":
            return self._typed(INTEGER)

        def float_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[float]":
            return self._typed(FLOAT)

        def double_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[float]":
            return self._typed(FLOAT)

        def string_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[str]":
            return self._typed(STRING)

        def duration_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[Any]":
            return self._typed(DURATION)

        def memory_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[int]":
            return self._typed(MEMORY)

        def map_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[Any]":
            return self._typed(MAP)

        def list_type(self) -> "ConfigOptions.TypedConfigOptionBuilder[tuple[str, ...]]":
            return self._typed(LIST)

        def _typed(self, kind: Kind[T]) -> "ConfigOptions.TypedConfigOptionBuilder[T]":
            return ConfigOptions.TypedConfigOptionBuilder(self._key, kind)

    @final
    class TypedConfigOptionBuilder(Generic[T]):
        """Asks for the default."""

        def __init__(self, key: str, kind: Kind[T]) -> None:
            self._key = key
            self._kind = kind

        def default_value(self, value: T) -> "ConfigOption[T]":
            return ConfigOption(self._key, self._kind, value)

        def no_default_value(self) -> "ConfigOption[T | None]":
            return ConfigOption(self._key, self._kind, None)
