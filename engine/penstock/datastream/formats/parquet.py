"""Parquet, under the module path that PyFlink has for it."""

from typing import Any, final

from penstock.base.errors import JobDefinitionError
from penstock.common.type_infos import RowTypeInfo, TypeInformation, unwrapped
from penstock.connectors.encoders import BulkWriterFactory
from penstock.connectors.parquet_format import ParquetFormat, ParquetWriterFactory

__all__ = ["AvroParquetReaders", "AvroParquetWriters", "ParquetBulkWriters", "ParquetColumnarRowInputFormat"]


def ParquetColumnarRowInputFormat(
    row_type: TypeInformation,
    hadoop_config: Any = None,
    batch_size: int = 2048,
    is_utc_timestamp: bool = False,
    is_case_sensitive: bool = True,
) -> ParquetFormat:
    """What a FileSource reads Parquet with; `row_type` says which columns."""
    _refuse_hadoop(hadoop_config)
    return ParquetFormat(
        _row_type(row_type),
        batch_size=batch_size,
        is_utc_timestamp=is_utc_timestamp,
        is_case_sensitive=is_case_sensitive,
    )


@final
class ParquetBulkWriters:
    """What a FileSink writes Parquet with."""

    @staticmethod
    def for_row_type(
        row_type: TypeInformation, hadoop_config: Any = None, utc_timestamp: bool = False
    ) -> BulkWriterFactory:
        """Rows of this type. Timestamps without a zone are written as they are, INSTANTs in UTC."""
        _refuse_hadoop(hadoop_config)
        return ParquetWriterFactory(_row_type(row_type))


@final
class AvroParquetReaders:
    """Not offered: rows need no Avro."""

    @staticmethod
    def for_generic_record(schema: Any) -> Any:
        raise JobDefinitionError("Parquet is read into rows: use ParquetColumnarRowInputFormat with a row type")


@final
class AvroParquetWriters:
    """Not offered: rows need no Avro."""

    @staticmethod
    def for_generic_record(schema: Any) -> Any:
        raise JobDefinitionError("Parquet is written from rows: use ParquetBulkWriters.for_row_type")


def _refuse_hadoop(hadoop_config: Any) -> None:
    if hadoop_config is not None:
        raise JobDefinitionError("there is no Hadoop here: leave hadoop_config out")


def _row_type(row_type: TypeInformation) -> RowTypeInfo:
    kind = unwrapped(row_type)
    if not isinstance(kind, RowTypeInfo):
        raise JobDefinitionError(f"the rows of a Parquet file are a ROW, not {kind}")
    return kind
