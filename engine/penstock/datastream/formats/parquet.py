"""Parquet files of rows. Types of rows are `Types.ROW_NAMED`, where PyFlink takes those of its Table API."""

from typing import Any, final

from penstock.common.type_infos import RowTypeInfo
from penstock.connectors.encoders import BulkWriterFactory
from penstock.connectors.parquet_format import ParquetFormat, ParquetWriterFactory

__all__ = ["ParquetBulkWriters", "ParquetColumnarRowInputFormat"]


def ParquetColumnarRowInputFormat(
    row_type: RowTypeInfo | None,
    hadoop_config: Any = None,
    batch_size: int = 2048,
    is_utc_timestamp: bool = False,
    is_case_sensitive: bool = True,
) -> ParquetFormat:
    """A format for `FileSource.for_bulk_file_format`. A Hadoop configuration means nothing here."""
    return ParquetFormat(
        row_type, batch_size=batch_size, is_utc_timestamp=is_utc_timestamp, is_case_sensitive=is_case_sensitive
    )


@final
class ParquetBulkWriters:
    """Factories for `FileSink.for_bulk_format`."""

    @staticmethod
    def for_row_type(
        row_type: RowTypeInfo, hadoop_config: Any = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """A Hadoop configuration means nothing here."""
        return ParquetWriterFactory(row_type)
