"""The stream classes, under the module path that PyFlink has for them."""

from penstock.datastream.streams.broadcast import BroadcastConnectedStream, BroadcastStream
from penstock.datastream.streams.connected import ConnectedStreams
from penstock.datastream.streams.iterator import CloseableIterator
from penstock.datastream.streams.keyed import KeyedStream
from penstock.datastream.streams.sink import DataStreamSink
from penstock.datastream.streams.stream import DataStream

__all__ = [
    "BroadcastConnectedStream",
    "BroadcastStream",
    "CloseableIterator",
    "ConnectedStreams",
    "DataStream",
    "DataStreamSink",
    "KeyedStream",
]
