"""JSON, one value a line: `FileSource.for_record_stream_format(JsonLinesFormat(type), ...)`, and out again."""

from penstock.connectors.json_format import JsonLinesEncoder, JsonLinesFormat

__all__ = ["JsonLinesEncoder", "JsonLinesFormat"]
