"""Which folder a record goes to, when a part file is full, and how files are called. Pure.

Users choose these for a file sink; `penstock.datastream.connectors.file_system` mirrors them under PyFlink's names.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from penstock.base.errors import JobDefinitionError

_MINUTE_MS: Final = 60_000


@final
@dataclass(frozen=True, slots=True)
class BucketContext:
    """What a bucket assigner may look at besides the record."""

    current_processing_time: int
    current_watermark: int
    timestamp: int | None


class BucketAssigner(ABC):
    """Says which bucket, a folder below the sink's base path, a record goes to."""

    @abstractmethod
    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        """A relative path; empty: the base path itself."""

    def get_common_bucket_id(self, context: BucketContext) -> str | None:
        """The bucket of all records of one batch where it does not depend on them; None: ask for each."""
        return None

    @staticmethod
    def base_path_bucket_assigner() -> "BucketAssigner":
        """All files right in the base path."""
        return BasePathBucketAssigner()

    @staticmethod
    def date_time_bucket_assigner(
        format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None
    ) -> "BucketAssigner":
        """A folder for each stretch of processing time, in the machine's time zone unless another is named."""
        return DateTimeBucketAssigner(format_str, timezone_id)


@final
class BasePathBucketAssigner(BucketAssigner):
    """One bucket."""

    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        return ""

    def get_common_bucket_id(self, context: BucketContext) -> str | None:
        return ""


@final
class DateTimeBucketAssigner(BucketAssigner):
    """Buckets by the time at which a record is written, in the words of Java's DateTimeFormatter."""

    def __init__(self, format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None) -> None:
        self._pattern = _strftime_pattern(format_str)
        self._zone = None if timezone_id is None else _zone(timezone_id)
        self._second = -1
        self._bucket = ""

    def get_bucket_id(self, element: Any, context: BucketContext) -> str:
        return self.get_common_bucket_id(context)

    def get_common_bucket_id(self, context: BucketContext) -> str:
        second = context.current_processing_time // 1000
        if second != self._second:
            moment = datetime.fromtimestamp(second, UTC).astimezone(self._zone)
            self._second, self._bucket = second, moment.strftime(self._pattern)
        return self._bucket


_LETTERS: Final = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "MM": "%m",
    "MMM": "%b",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "a": "%p",
    "EEE": "%a",
    "e": "%u",
    "z": "%Z",
    "Z": "%z",
}


def _strftime_pattern(pattern: str) -> str:
    """Java's pattern letters in strftime's."""
    result, index = "", 0
    while index < len(pattern):
        letter = pattern[index]
        if letter == "'":
            end = pattern.find("'", index + 1)
            if end < 0:
                raise JobDefinitionError(f"the date format {pattern!r} has a quote that is never closed")
            result += (pattern[index + 1 : end] or "'").replace("%", "%%")
            index = end + 1
            continue
        run = len(pattern[index:]) - len(pattern[index:].lstrip(letter))
        word = letter * run
        if letter.isalpha() and word not in _LETTERS:
            raise JobDefinitionError(f"the date format {pattern!r} has {word!r}; known are {', '.join(_LETTERS)}")
        result += _LETTERS.get(word, word.replace("%", "%%"))
        index += run
    return result


def _zone(timezone_id: str) -> tzinfo:
    try:
        return ZoneInfo(timezone_id)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise JobDefinitionError(f"there is no time zone {timezone_id!r}") from error


@final
@dataclass(frozen=True, slots=True)
class PartFileInfo:
    """What a rolling policy may look at."""

    bucket_id: str
    size: int
    creation_time: int
    last_update_time: int


class RollingPolicy(ABC):
    """Says when a part file is closed, to be committed with the next checkpoint."""

    size_max: int | None = None
    """Bytes from which on the next record goes to a new file."""

    @abstractmethod
    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        """Asked at each checkpoint."""

    @abstractmethod
    def should_roll_on_processing_time(self, part: PartFileInfo, current_time: int) -> bool:
        """Asked at each bucket check interval."""

    @staticmethod
    def default_rolling_policy(
        part_size: int = 128 << 20, rollover_interval: int = _MINUTE_MS, inactivity_interval: int = _MINUTE_MS
    ) -> "DefaultRollingPolicy":
        """By size in bytes, age and time without a record, both in milliseconds."""
        return DefaultRollingPolicy(part_size, rollover_interval, inactivity_interval)

    @staticmethod
    def on_checkpoint_rolling_policy() -> "OnCheckpointRollingPolicy":
        """At every checkpoint, and never otherwise."""
        return OnCheckpointRollingPolicy()


@final
class DefaultRollingPolicy(RollingPolicy):
    """By size, age and inactivity."""

    def __init__(self, part_size: int, rollover_interval: int, inactivity_interval: int) -> None:
        if part_size <= 0 or rollover_interval <= 0 or inactivity_interval <= 0:
            raise JobDefinitionError(
                "a rolling policy's limits are above 0; found "
                f"{part_size} bytes, {rollover_interval} ms, {inactivity_interval} ms"
            )
        self.size_max = part_size
        self._rollover_ms = rollover_interval
        self._inactivity_ms = inactivity_interval

    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        assert self.size_max is not None
        return part.size > self.size_max

    def should_roll_on_processing_time(self, part: PartFileInfo, current_time: int) -> bool:
        return (
            current_time - part.creation_time >= self._rollover_ms
            or current_time - part.last_update_time >= self._inactivity_ms
        )


@final
class OnCheckpointRollingPolicy(RollingPolicy):
    """One file for each bucket and checkpoint."""

    def should_roll_on_checkpoint(self, part: PartFileInfo) -> bool:
        return True

    def should_roll_on_processing_time(self, part: PartFileInfo, current_time: int) -> bool:
        return False


@final
@dataclass(frozen=True, slots=True)
class OutputFileConfig:
    """`<prefix>-<uuid>-<number><suffix>`"""

    part_prefix: str = "part"
    part_suffix: str = ""

    def get_part_prefix(self) -> str:
        return self.part_prefix

    def get_part_suffix(self) -> str:
        return self.part_suffix

    @staticmethod
    def builder() -> "OutputFileConfig.OutputFileConfigBuilder":
        return OutputFileConfig.OutputFileConfigBuilder()

    class OutputFileConfigBuilder:
        """Sets one at a time."""

        def __init__(self) -> None:
            self._prefix = "part"
            self._suffix = ""

        def with_part_prefix(self, prefix: str) -> "OutputFileConfig.OutputFileConfigBuilder":
            self._prefix = prefix
            return self

        def with_part_suffix(self, suffix: str) -> "OutputFileConfig.OutputFileConfigBuilder":
            self._suffix = suffix
            return self

        def build(self) -> "OutputFileConfig":
            return OutputFileConfig(self._prefix, self._suffix)
