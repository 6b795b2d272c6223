"""The end of a stream: what `print`, `add_sink` and `sink_to` return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from penstock.datastream.streams.operator_settings import OperatorSettings
from penstock.graph.stream_graph import StreamNode

if TYPE_CHECKING:
    from penstock.datastream.stream_execution_environment import StreamExecutionEnvironment


@final
class DataStreamSink(OperatorSettings):
    """A sink in the program; its setters change it."""

    def __init__(self, environment: "StreamExecutionEnvironment", nodes: Sequence[StreamNode]) -> None:
        self._environment = environment
        self._sink_nodes = tuple(nodes)

    def _nodes(self) -> Sequence[StreamNode]:
        return self._sink_nodes

    def _default_parallelism(self) -> int:
        return self._environment.get_parallelism()
