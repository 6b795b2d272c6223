"""The one part of pyflink.table that DataStream programs use: the types of columns."""

from penstock.table.types import DataTypes

__all__ = ["DataTypes"]
