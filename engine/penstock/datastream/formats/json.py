"""JSON, under the module path that PyFlink has for it; JSON lines for files are our own."""

from penstock.connectors.json_format import JsonLinesEncoder, JsonLinesFormat
from penstock.connectors.message_schemas import JsonRowDeserializationSchema, JsonRowSerializationSchema

__all__ = ["JsonLinesEncoder", "JsonLinesFormat", "JsonRowDeserializationSchema", "JsonRowSerializationSchema"]
