"""CSV, under the module path that PyFlink has for it."""

from typing import final

from penstock.connectors.csv_format import CsvEncoder, CsvFormat, CsvWriterFactory
from penstock.connectors.csv_schema import CsvSchema
from penstock.connectors.csv_schema_builder import CsvSchemaBuilder
from penstock.connectors.encoders import BulkWriterFactory
from penstock.connectors.message_schemas import CsvRowDeserializationSchema, CsvRowSerializationSchema

__all__ = [
    "CsvBulkWriters",
    "CsvEncoder",
    "CsvReaderFormat",
    "CsvRowDeserializationSchema",
    "CsvRowSerializationSchema",
    "CsvSchema",
    "CsvSchemaBuilder",
]


@final
class CsvReaderFormat:
    """What a FileSource reads CSV with."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> CsvFormat:
        """Rows of this schema."""
        return CsvFormat(schema)


@final
class CsvBulkWriters:
    """What a FileSink writes CSV with, a file for each checkpoint; `CsvEncoder` lets files go on over checkpoints."""

    @staticmethod
    def for_schema(schema: CsvSchema) -> BulkWriterFactory:
        """Rows of this schema."""
        return CsvWriterFactory(schema)
