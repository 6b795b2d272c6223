"""Texts of a manifest that mean an amount, a point or a place: durations, quantities, URIs, cron.

Each `read` raises InvalidValue whose text is what is allowed; who calls it knows the field and what was found there.
The patterns are those of the CRDs. Nothing here looks at a clock.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

from penstock_operator.errors import InvalidValue

DURATION_PATTERN: Final = r"^(([0-9]+ ?(ms|s|min|m|h|d) ?)+|P([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?)$"
DURATION_ALLOWED: Final = "a duration above zero such as 30 s, 5 min, 1 h 30 min, 7 d, 1h30m or PT30S"
QUANTITY_PATTERN: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?$"
QUANTITY_ALLOWED: Final = "a Kubernetes quantity such as 2, 500m, 512Mi or 4Gi"
URI_PATTERN: Final = r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s]*)?|file:///[^\s]*)$"
URI_ALLOWED: Final = "s3://BUCKET/PATH or file:///PATH"
S3_PATTERN: Final = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\s]+$"
S3_ALLOWED: Final = "s3://BUCKET/KEY"

_DURATION: Final = re.compile(DURATION_PATTERN)
_DURATION_PART: Final = re.compile(r"([0-9]+) ?(ms|s|min|m|h|d)")
_ISO_DURATION: Final = re.compile(r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)S)?)?")
_DURATION_MS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_MS_MAX: Final = 3_650 * 86_400_000

_QUANTITY: Final = re.compile(QUANTITY_PATTERN)
_NUMBER: Final = re.compile(r"[0-9.]+")
_SUFFIXES: Final = {
    "": Fraction(1),
    **{suffix: Fraction(1, 1_000**power) for power, suffix in enumerate(("m", "u", "n"), 1)},
    **{suffix: Fraction(1_000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1_024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}

_URI: Final = re.compile(URI_PATTERN)


def read_duration_ms(text: str) -> int:
    """`10 s`, `1h30m`, `PT10S`: milliseconds, at least one and at most ten years. A number needs its unit."""
    if _DURATION.match(text) is None or text.endswith("\n"):
        raise InvalidValue(DURATION_ALLOWED)
    iso = _ISO_DURATION.fullmatch(text)
    if iso is not None:
        parts = zip(iso.groups(), ("d", "h", "m", "s"), strict=True)
        total = sum(int(amount) * _DURATION_MS[unit] for amount, unit in parts if amount)
    else:
        total = sum(int(amount) * _DURATION_MS[unit] for amount, unit in _DURATION_PART.findall(text))
    if not 0 < total <= _DURATION_MS_MAX:
        raise InvalidValue(f"{DURATION_ALLOWED}, at most 3650 d")
    return total


def duration_s(text: str) -> float:
    """The same in seconds, for a text that validation has let pass."""
    return read_duration_ms(text) / 1_000


def write_duration(milliseconds: int) -> str:
    """The shortest exact spelling in one unit: `90 min`."""
    for unit in ("d", "h", "min", "s"):
        if milliseconds % _DURATION_MS[unit] == 0:
            return f"{milliseconds // _DURATION_MS[unit]} {unit}"
    return f"{milliseconds} ms"


def read_quantity(value: int | str) -> Fraction:
    """A Kubernetes quantity, exactly; never negative."""
    text = str(value)
    if isinstance(value, bool) or len(text) > 64 or _QUANTITY.match(text) is None or text.endswith("\n"):
        raise InvalidValue(QUANTITY_ALLOWED)
    number = _NUMBER.match(text)
    assert number is not None, "the pattern begins with a number"
    amount, suffix = Fraction(number[0]), text[number.end() :]
    if suffix[:1] in ("e", "E") and len(suffix) > 1 and suffix != "Ei":
        return amount * Fraction(10) ** int(suffix[1:])
    return amount * _SUFFIXES[suffix]


def read_millicores(value: int | str) -> int:
    """cpu in thousandths of a core, rounded up as Kubernetes does."""
    return _rounded_up(read_quantity(value) * 1_000)


def read_bytes(value: int | str) -> int:
    """memory in bytes, rounded up."""
    return _rounded_up(read_quantity(value))


def _rounded_up(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)


def write_memory(size: int) -> str:
    """As Flink's memory sizes are written: `512 mb`; in powers of 1024."""
    for unit, power in (("gb", 3), ("mb", 2), ("kb", 1)):
        if size and size % 1_024**power == 0:
            return f"{size // 1_024**power} {unit}"
    return f"{size} bytes"


@final
@dataclass(frozen=True, slots=True)
class Uri:
    """A place in a store. Its path begins with a slash where the scheme is file, and never where it is s3."""

    scheme: str
    bucket: str
    """Empty for files."""
    path: str

    def __str__(self) -> str:
        if self.scheme == "file":
            return f"file://{self.path}"
        return f"s3://{self.bucket}/{self.path}" if self.path else f"s3://{self.bucket}"

    def below(self, *names: str) -> "Uri":
        return Uri(self.scheme, self.bucket, "/".join([*([self.path.rstrip("/")] if self.path else []), *names]))

    def holds(self, other: "Uri") -> bool:
        """Whether the other place is this one or below it."""
        if (self.scheme, self.bucket) != (other.scheme, other.bucket):
            return False
        mine, others = self.path.strip("/"), other.path.strip("/")
        return not mine or others == mine or others.startswith(f"{mine}/")


def same_place(first: str, second: str) -> bool:
    """Whether both are one folder: people also name the `_metadata` in it, or end with a slash."""
    return _folder(first) == _folder(second)


def _folder(text: str) -> str:
    return text.rstrip("/").removesuffix("/_metadata").rstrip("/")


def read_uri(text: str) -> Uri:
    """A place that a store of ours can be asked for."""
    if _URI.match(text) is None or text != text.strip() or ".." in text.split("/"):
        raise InvalidValue(URI_ALLOWED)
    scheme, _, rest = text.partition("://")
    if scheme == "file":
        return Uri("file", "", rest.rstrip("/") or "/")
    bucket, _, path = rest.partition("/")
    return Uri("s3", bucket, path.strip("/"))
