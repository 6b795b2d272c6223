"""What a StreamExecutionEnvironment and its streams share: the graph so far, and the configuration.

Streams add operators and change them; the environment takes out what is new when the program executes. Never runs
or reads anything.
"""

from typing import Any, Final, final

from penstock.base.errors import JobDefinitionError
from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.common.type_infos import checked_type
from penstock.graph.chaining import EMPTY_TOPOLOGY
from penstock.graph.resolve import GraphSettings
from penstock.graph.stream_graph import NodeId, StreamGraph, StreamNode, Tap

UNSET: Final = -1


@final
class Program:
    """A program while it is being described."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.graph = StreamGraph()
        self._unexecuted: list[NodeId] = []

    def add(self, name: str, *inputs: tuple[Tap, ...], **attributes: Any) -> StreamNode:
        """Add an operator with the environment's parallelism as it is now."""
        for declared in ("output_type", "key_type"):
            if attributes.get(declared) is not None:
                checked_type(attributes[declared], f"the {declared} of {name}")
        attributes["parallelism_given"] = "parallelism" in attributes
        attributes.setdefault("parallelism", self.parallelism())
        node = self.graph.add(*inputs, name=name, **attributes)
        if not node.is_source and node.glued_to is None:
            self._unexecuted.append(node.id)
        return node

    def parallelism(self) -> int:
        """For operators that have none of their own."""
        configured = self.configuration.get(jobs.PARALLELISM)
        return jobs.PARALLELISM.default if configured == UNSET else configured

    def buffer_timeout_ms(self) -> int:
        if not self.configuration.get(jobs.BUFFER_TIMEOUT_ENABLED):
            return UNSET
        return self.configuration.get(jobs.BUFFER_TIMEOUT_INTERVAL).to_millis()

    def settings(self, configuration: Configuration | None = None) -> GraphSettings:
        """What the configuration (by default the program's own) says about graphs."""
        configuration = configuration or self.configuration
        max_parallelism = configuration.get(jobs.MAX_PARALLELISM)
        return GraphSettings(
            max_parallelism=None if max_parallelism == UNSET else max_parallelism,
            buffer_timeout_ms=self.buffer_timeout_ms(),
            chaining=configuration.get(jobs.CHAINING),
            chain_different_max_parallelism=configuration.get(jobs.CHAIN_DIFFERENT_MAX_PARALLELISM),
            generate_uids=configuration.get(jobs.AUTO_GENERATE_UIDS),
            batch=configuration.get(jobs.RUNTIME_MODE) == "BATCH",
        )

    def unexecuted(self) -> StreamGraph:
        """What was added since the last execution, with all that feeds it."""
        if not self._unexecuted:
            raise JobDefinitionError(EMPTY_TOPOLOGY)
        return self.graph.upstream_of(self._unexecuted)

    def mark_executed(self) -> None:
        """What there is now belongs to a job; the next execution needs something new."""
        self._unexecuted.clear()
