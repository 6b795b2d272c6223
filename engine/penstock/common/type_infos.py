"""Declared types of records and state: value objects, which users make through `Types`.

What a type does to values lies elsewhere: `conversion.coercer` (on emission), `printing.formatter`, and in the records
layer the serializers. A type says only what it is; nothing here runs per record.
"""

from collections.abc import Sequence
from enum import Enum
from types import FunctionType
from typing import Any, final


class TypeInformation:
    """Base of all declared types. Two are equal if they say the same."""

    __slots__ = ()

    def _parts(self) -> tuple[Any, ...]:
        """What makes two instances of one class differ."""
        return ()

    def get_java_type_info(self) -> Any:
        raise NotImplementedError("there is no JVM here: a type has no Java counterpart; use the Python type itself")

    def need_conversion(self) -> bool:
        return False

    def to_internal_type(self, obj: Any) -> Any:
        return obj

    def from_internal_type(self, obj: Any) -> Any:
        return obj

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypeInformation):
            return NotImplemented
        return type(self) is type(other) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __str__(self) -> str:
        return repr(self).removeprefix("Types.")


def checked_type(type_info: Any, what: str) -> TypeInformation:
    """A type as programs declare them; anything else is refused in their own line."""
    if isinstance(type_info, TypeInformation):
        return type_info
    hint = f": did you mean Types.{type_info.__name__}()?" if isinstance(type_info, FunctionType) else ""
    raise TypeError(f"{what} is one of Types.*, not {type_info!r}{hint}")


@final
class BasicType(Enum):
    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


class BasicTypeInfo(TypeInformation):
    """Strings, numbers, booleans and instants."""

    __slots__ = ("_basic_type",)

    def __init__(self, basic_type: BasicType) -> None:
        self._basic_type = basic_type

    @property
    def basic_type(self) -> BasicType:
        return self._basic_type

    def _parts(self) -> tuple[Any, ...]:
        return (self._basic_type,)

    def __repr__(self) -> str:
        return f"Types.{self._basic_type.name}()"

    @staticmethod
    def STRING_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> "BasicTypeInfo":
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> "BasicTypeInfo":
        return InstantTypeInfo()


@final
class InstantTypeInfo(BasicTypeInfo):
    """`penstock.common.Instant`."""

    __slots__ = ()

    def __init__(self, basic_type: BasicType = BasicType.INSTANT) -> None:
        super().__init__(basic_type)


@final
class DateTypeInfo(TypeInformation):
    """`datetime.date`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Types.SQL_DATE()"


@final
class TimeTypeInfo(TypeInformation):
    """`datetime.time`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Types.SQL_TIME()"


@final
class TimestampTypeInfo(TypeInformation):
    """`datetime.datetime` without a zone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Types.SQL_TIMESTAMP()"


@final
class SqlTimeTypeInfo(TypeInformation):
    """Where PyFlink keeps the three types of java.sql."""

    __slots__ = ()

    @staticmethod
    def DATE() -> DateTypeInfo:
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        return TimestampTypeInfo()


class _ElementsTypeInfo(TypeInformation):
    """Base of what has elements of one type."""

    __slots__ = ("_element_type",)
    _name = ""

    def __init__(self, element_type: TypeInformation) -> None:
        self._element_type = checked_type(element_type, "the type of the elements")

    @property
    def element_type(self) -> TypeInformation:
        return self._element_type

    def _parts(self) -> tuple[Any, ...]:
        return (self._element_type,)

    def __repr__(self) -> str:
        return f"Types.{self._name}({self._element_type!r})"


@final
class PrimitiveArrayTypeInfo(_ElementsTypeInfo):
    """A list of numbers or booleans, none of them None; of BYTE: `bytes`."""

    __slots__ = ()
    _name = "PRIMITIVE_ARRAY"

    def is_bytes(self) -> bool:
        return self._element_type == BasicTypeInfo.BYTE_TYPE_INFO()


@final
class BasicArrayTypeInfo(_ElementsTypeInfo):
    """A list of basic values, any of which may be None."""

    __slots__ = ()
    _name = "BASIC_ARRAY"


@final
class ObjectArrayTypeInfo(_ElementsTypeInfo):
    """A list of values of any type, any of which may be None."""

    __slots__ = ()
    _name = "OBJECT_ARRAY"


@final
class ListTypeInfo(_ElementsTypeInfo):
    """A list, no element of which is None."""

    __slots__ = ()
    _name = "LIST"


@final
class MapTypeInfo(TypeInformation):
    """A dict; its values may be None."""

    __slots__ = ("_key_type_info", "_value_type_info")

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self._key_type_info = checked_type(key_type_info, "the type of a map's keys")
        self._value_type_info = checked_type(value_type_info, "the type of a map's values")

    @property
    def key_type(self) -> TypeInformation:
        return self._key_type_info

    @property
    def value_type(self) -> TypeInformation:
        return self._value_type_info

    def _parts(self) -> tuple[Any, ...]:
        return (self._key_type_info, self._value_type_info)

    def __repr__(self) -> str:
        return f"Types.MAP({self._key_type_info!r}, {self._value_type_info!r})"


@final
class PickledBytesTypeInfo(TypeInformation):
    """Any Python object: what an undeclared type is."""

    __slots__ = ()

    @staticmethod
    def PICKLED_BYTE_ARRAY_TYPE_INFO() -> "PickledBytesTypeInfo":
        return PickledBytesTypeInfo()

    def __repr__(self) -> str:
        return "Types.PICKLED_BYTE_ARRAY()"


@final
class RowTypeInfo(TypeInformation):
    """A `Row` of typed fields, any of which may be None."""

    __slots__ = ("_field_names", "_field_types")

    def __init__(self, field_types: Sequence[TypeInformation], field_names: Sequence[str] | None = None) -> None:
        if field_names is not None and len(field_names) != len(field_types):
            raise ValueError(f"a ROW of {len(field_types)} types cannot have {len(field_names)} names: {field_names}")
        if field_names is not None and len(set(field_names)) != len(field_names):
            raise ValueError(f"the field names of a ROW must differ from each other: {list(field_names)}")
        self._field_types = tuple(checked_type(item, "the type of a field") for item in field_types)
        self._field_names = None if field_names is None else tuple(field_names)

    @property
    def declared_names(self) -> tuple[str, ...] | None:
        """The names, if there were any given."""
        return self._field_names

    @property
    def names_of_rows(self) -> tuple[str, ...]:
        """What rows of this type have as `_fields`: empty without names."""
        return self._field_names or ()

    def get_field_names(self) -> list[str]:
        if self._field_names is None:
            return [f"f{index}" for index in range(len(self._field_types))]
        return list(self._field_names)

    def get_field_index(self, field_name: str) -> int:
        """The position of a field; -1 if there is none of that name."""
        names = self.get_field_names()
        return names.index(field_name) if field_name in names else -1

    def get_field_types(self) -> list[TypeInformation]:
        return list(self._field_types)

    def _parts(self) -> tuple[Any, ...]:
        return (tuple(self.get_field_names()), self._field_types)

    def __repr__(self) -> str:
        if self._field_names is None:
            return f"Types.ROW({list(self._field_types)!r})"
        return f"Types.ROW_NAMED({list(self._field_names)!r}, {list(self._field_types)!r})"

    def __str__(self) -> str:
        pairs = zip(self.get_field_names(), self._field_types, strict=True)
        return f"ROW({', '.join(f'{name}: {kind}' for name, kind in pairs)})"


@final
class TupleTypeInfo(TypeInformation):
    """A tuple of typed fields, none of which may be None."""

    __slots__ = ("_field_types",)

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        self._field_types = tuple(checked_type(item, "the type of a field") for item in field_types)

    def get_field_types(self) -> list[TypeInformation]:
        return list(self._field_types)

    def _parts(self) -> tuple[Any, ...]:
        return self._field_types

    def __repr__(self) -> str:
        return f"Types.TUPLE({list(self._field_types)!r})"


@final
class LocalTimeTypeInfo(TypeInformation):
    """`datetime.date`, `time` or `datetime` under the names that Flink's tables give them."""

    __slots__ = ("_time_type",)

    @final
    class TimeType(Enum):
        LOCAL_DATE = 0
        LOCAL_TIME = 1
        LOCAL_DATE_TIME = 2

    def __init__(self, time_type: "LocalTimeTypeInfo.TimeType") -> None:
        self._time_type = time_type

    def sql_type(self) -> TypeInformation:
        """The type of the same values under its usual name."""
        kinds = LocalTimeTypeInfo.TimeType
        if self._time_type is kinds.LOCAL_DATE:
            return DateTypeInfo()
        return TimeTypeInfo() if self._time_type is kinds.LOCAL_TIME else TimestampTypeInfo()

    def _parts(self) -> tuple[Any, ...]:
        return (self._time_type,)

    def __repr__(self) -> str:
        return f"LocalTimeTypeInfo({self._time_type})"


@final
class ExternalTypeInfo(TypeInformation):
    """A type under the wrapper that Flink's tables put around it."""

    __slots__ = ("_type_info",)

    def __init__(self, type_info: TypeInformation) -> None:
        self._type_info = type_info

    @property
    def inner(self) -> TypeInformation:
        return self._type_info

    def _parts(self) -> tuple[Any, ...]:
        return (self._type_info,)

    def __repr__(self) -> str:
        return f"ExternalTypeInfo({self._type_info!r})"


PRIMITIVES = frozenset(
    {
        BasicType.BOOLEAN,
        BasicType.BYTE,
        BasicType.SHORT,
        BasicType.INT,
        BasicType.LONG,
        BasicType.FLOAT,
        BasicType.DOUBLE,
        BasicType.CHAR,
    }
)


def unwrapped(type_info: TypeInformation | None) -> TypeInformation:
    """The type without the wrappers of Flink's tables; an undeclared one is any Python object."""
    if type_info is None:
        return PickledBytesTypeInfo()
    if isinstance(type_info, ExternalTypeInfo):
        return unwrapped(type_info.inner)
    return type_info.sql_type() if isinstance(type_info, LocalTimeTypeInfo) else type_info
