"""How values of configuration keys are written and read: numbers, durations, memory sizes, choices, lists, maps.

Every kind reads all spellings that Flink reads, says in a few words what it allows, and writes one spelling.
Nothing here knows a key.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, final

import yaml

from penstock.common.time import Duration

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A type of values: `read` raises ValueError for a text that is none of `allowed`."""

    name: str
    allowed: str
    read: Callable[[str], T]
    write: Callable[[Any], str]


def _read_boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in ("true", "false"):
        raise ValueError(text)
    return lowered == "true"


_DURATION: Final = re.compile(r"([0-9]+)\s*([a-zµ]*)", re.IGNORECASE)
_ISO_DURATION: Final = re.compile(
    r"P(?:(?P<days>[0-9]+)D)?"
    r"(?:T(?:(?P<hours>[0-9]+)H)?(?:(?P<minutes>[0-9]+)M)?(?:(?P<seconds>[0-9]+(?:\.[0-9]{1,9})?)S)?)?",
    re.IGNORECASE,
)
_DURATION_UNITS: Final[Mapping[str, int]] = {
    unit: nanos
    for units, nanos in (
        (("d", "day", "days"), 86_400_000_000_000),
        (("h", "hour", "hours"), 3_600_000_000_000),
        (("m", "min", "minute", "minutes"), 60_000_000_000),
        (("s", "sec", "secs", "second", "seconds"), 1_000_000_000),
        (("", "ms", "milli", "millis", "millisecond", "milliseconds"), 1_000_000),
        (("µs", "us", "micro", "micros", "microsecond", "microseconds"), 1_000),
        (("ns", "nano", "nanos", "nanosecond", "nanoseconds"), 1),
    )
    for unit in units
}


def read_duration(text: str) -> Duration:
    """`10 s`, `500ms`, `1 min`, `PT10S`, or milliseconds without a unit."""
    text = text.strip()
    iso = _ISO_DURATION.fullmatch(text)
    if iso is not None and any(iso.groups()):
        parts = {unit: amount or "0" for unit, amount in iso.groupdict().items()}
        whole, _, fraction = parts["seconds"].partition(".")
        seconds = int(parts["days"]) * 86_400 + int(parts["hours"]) * 3_600 + int(parts["minutes"]) * 60 + int(whole)
        return Duration(seconds * 1_000_000_000 + int(fraction.ljust(9, "0") or 0))
    plain = _DURATION.fullmatch(text)
    if plain is None or plain[2].lower() not in _DURATION_UNITS:
        raise ValueError(text)
    return Duration(int(plain[1]) * _DURATION_UNITS[plain[2].lower()])


def write_duration(value: Duration) -> str:
    """The shortest exact spelling: `10 s`, `200 ms`."""
    nanos = value.to_nanos()
    for unit in ("d", "h", "min", "s", "ms", "us"):
        size = _DURATION_UNITS[unit]
        if nanos % size == 0 and nanos:
            return f"{nanos // size} {unit}"
    return f"{nanos} ns" if nanos else "0 ms"


_MEMORY: Final = re.compile(r"([0-9]+)\s*([a-z]*)", re.IGNORECASE)
_MEMORY_UNITS: Final[Mapping[str, int]] = {
    unit: size
    for units, size in (
        (("", "b", "byte", "bytes"), 1),
        (("k", "kb", "ki", "kib", "kibibyte", "kibibytes"), 1 << 10),
        (("m", "mb", "mi", "mib", "mebibyte", "mebibytes"), 1 << 20),
        (("g", "gb", "gi", "gib", "gibibyte", "gibibytes"), 1 << 30),
        (("t", "tb", "ti", "tib", "tebibyte", "tebibytes"), 1 << 40),
    )
    for unit in units
}


def read_memory(text: str) -> int:
    """`64mb`, `1 g`, `4096`: bytes, in powers of 1024."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None or match[2].lower() not in _MEMORY_UNITS:
        raise ValueError(text)
    return int(match[1]) * _MEMORY_UNITS[match[2].lower()]


def write_memory(value: int) -> str:
    for unit in ("tb", "gb", "mb", "kb"):
        if value and value % _MEMORY_UNITS[unit] == 0:
            return f"{value // _MEMORY_UNITS[unit]} {unit}"
    return f"{value} bytes"


def _split(text: str, separator: str) -> list[str]:
    """Parts between separators; a part in quotes may contain the separator, a doubled quote stands for itself."""
    parts, part, quote, index = [], "", "", 0
    while index < len(text):
        char = text[index]
        if quote and text.startswith(quote * 2, index):
            part, index = part + quote, index + 1
        elif char == quote:
            quote = ""
        elif quote or ((char not in "'\"" or part.strip()) and char != separator):
            part += char
        elif char == separator:
            parts.append(part)
            part = ""
        else:
            part, quote = "", char
        index += 1
    if quote:
        raise ValueError(text)
    return [part.strip() for part in [*parts, part] if part.strip()]


def _quoted(text: str, separators: str) -> str:
    return "'" + text.replace("'", "''") + "'" if any(char in text for char in separators + "'\"") else text


def _yaml_flow(text: str, expected: type) -> Any:
    """Lists and maps in YAML's flow style, as Flink's config.yaml writes them; None if it is not that."""
    if text[:1] not in "[{" or not text:
        return None
    try:
        found = yaml.load(text, yaml.BaseLoader)  # BaseLoader makes strings, nothing else.
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    if isinstance(found, expected):
        return found
    raise ValueError(text)


def _read_list(separator: str) -> Callable[[str], tuple[str, ...]]:
    def read(text: str) -> tuple[str, ...]:
        flow = _yaml_flow(text.strip(), list)
        return tuple(map(str, flow)) if flow is not None else tuple(_split(text, separator))

    return read


def _read_map(text: str) -> Mapping[str, str]:
    flow = _yaml_flow(text.strip(), dict)
    if flow is not None:
        return {str(key): str(value) for key, value in flow.items()}
    found = {}
    for part in _split(text, ","):
        key, colon, value = part.partition(":")
        if not colon:
            raise ValueError(text)
        found[key.strip()] = value.strip()
    return found


def _write_map(value: Mapping[str, str]) -> str:
    return ",".join(_quoted(f"{key}:{item}", ",") for key, item in value.items())


def choice(*names: str, legacy: Mapping[str, str] | None = None) -> Kind[str]:
    """One of `names`, in any case and with `-` for `_`; `legacy` spellings stand for one of them."""
    spellings = {_folded(name): name for name in names}
    spellings.update({_folded(old): new for old, new in (legacy or {}).items()})

    def read(text: str) -> str:
        folded = _folded(text)
        if folded not in spellings:
            raise ValueError(text)
        return spellings[folded]

    return Kind("enum", f"one of {', '.join(names)}", read, read)


def _folded(text: str) -> str:
    return text.strip().lower().replace("_", "-")


def at_least(kind: Kind[int], smallest: int, *, largest: int | None = None, or_else: int | None = None) -> Kind[int]:
    """Whole numbers from `smallest`, to `largest`; `or_else` is allowed besides (usually -1: not set)."""

    def read(text: str) -> int:
        value = kind.read(text)
        if value != or_else and (value < smallest or (largest is not None and value > largest)):
            raise ValueError(text)
        return value

    also = "" if largest is None else f" and at most {largest}"
    also += "" if or_else is None else f", or {or_else}"
    return Kind(kind.name, f"{kind.allowed}, at least {smallest}{also}", read, kind.write)


def no_shorter_than(smallest: Duration) -> Kind[Duration]:
    """Durations from `smallest`."""

    def read(text: str) -> Duration:
        value = read_duration(text)
        if value < smallest:
            raise ValueError(text)
        return value

    return Kind(DURATION.name, f"{DURATION.allowed}, at least {smallest.to_millis()} ms", read, DURATION.write)


def between(smallest: float, largest: float) -> Kind[float]:
    """Numbers in a range, both ends included."""

    def read(text: str) -> float:
        value = float(text)
        if not smallest <= value <= largest:
            raise ValueError(text)
        return value

    return Kind("double", f"a number between {smallest} and {largest}", read, repr)


def _read_buffer_timeout(text: str) -> Duration:
    return Duration.of_millis(-1) if text.strip().startswith("-") else read_duration(text)


_DURATION_TEXT: Final = "a duration such as 10 s, 500 ms, 1 min or PT10S"

STRING: Final[Kind[str]] = Kind("string", "any text", str, str)
BOOLEAN: Final[Kind[bool]] = Kind("boolean", "true or false", _read_boolean, lambda value: str(bool(value)).lower())
INTEGER: Final[Kind[int]] = Kind("integer", "a whole number", int, lambda value: str(int(value)))
FLOAT: Final[Kind[float]] = Kind("float", "a number", float, repr)
DURATION: Final[Kind[Duration]] = Kind("duration", _DURATION_TEXT, read_duration, write_duration)
BUFFER_TIMEOUT: Final[Kind[Duration]] = Kind(
    "duration", f"{_DURATION_TEXT}, or -1", _read_buffer_timeout, lambda value: f"{value.to_millis()} ms"
)
MEMORY: Final[Kind[int]] = Kind(
    "memory size", "a memory size such as 64 mb, 1 g or 4096 bytes", read_memory, write_memory
)
LIST: Final[Kind[tuple[str, ...]]] = Kind(
    "list", "values separated by ;", _read_list(";"), lambda value: ";".join(_quoted(item, ";") for item in value)
)
PATHS: Final[Kind[tuple[str, ...]]] = Kind(
    "list", "values separated by ,", _read_list(","), lambda value: ",".join(_quoted(item, ",") for item in value)
)
MAP: Final[Kind[Mapping[str, str]]] = Kind("map", "key:value pairs separated by ,", _read_map, _write_map)
POSITIVE: Final = at_least(INTEGER, 1)
COUNT: Final = at_least(INTEGER, 0)
PORT: Final[Kind[int]] = Kind("integer", "a port number from 0 to 65535", lambda text: _read_port(text), str)


def _read_port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise ValueError(text)
    return port


def _read_ports(text: str) -> tuple[int, ...]:
    ports: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        ports += range(_read_port(first), _read_port(last if dash else first) + 1)
    if not ports:
        raise ValueError(text)
    return tuple(ports)


PORTS: Final[Kind[tuple[int, ...]]] = Kind(
    "ports",
    "a port, a range such as 50100-50200, or a list of them",
    _read_ports,
    lambda value: ",".join(map(str, value)),
)
