"""Public values: types, rows, time, configuration, watermark strategy. Mirrors pyflink.common."""

from penstock.common.config_options import ConfigOption, ConfigOptions
from penstock.common.configuration import Configuration
from penstock.common.time import Duration, Instant, Time
from penstock.common.typeinfo import TypeInformation, Types
from penstock.common.types import Row, RowKind

__all__ = [
    "ConfigOption",
    "ConfigOptions",
    "Configuration",
    "Duration",
    "Instant",
    "Row",
    "RowKind",
    "Time",
    "TypeInformation",
    "Types",
]
