"""Operator state by CheckpointedFunction: a sink that writes in bulk and loses nothing to a failure.

Records wait in the sink until there are enough of them. At a checkpoint, those that wait go into a list state; after a
failure they come out of it again, dealt over however many subtasks there are then.

    python examples/operator_state.py
"""

from penstock.common import Types
from penstock.datastream import CheckpointedFunction, SinkFunction, StreamExecutionEnvironment
from penstock.datastream.functions import FunctionInitializationContext, FunctionSnapshotContext
from penstock.datastream.state import ListStateDescriptor


class BulkSink(SinkFunction, CheckpointedFunction):
    """Prints records by the dozen."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting: list[int] = []

    def initialize_state(self, context: FunctionInitializationContext) -> None:
        store = context.get_operator_state_store()
        self.state = store.get_list_state(ListStateDescriptor("waiting", Types.LONG()))
        if context.is_restored():
            self.waiting = list(self.state.get())

    def snapshot_state(self, context: FunctionSnapshotContext) -> None:
        self.state.update(self.waiting)

    def invoke(self, value: int, context: SinkFunction.Context) -> None:
        self.waiting.append(value)
        if len(self.waiting) >= self.size:
            print(f"{len(self.waiting)} records, {self.waiting[0]} to {self.waiting[-1]}")
            self.waiting.clear()


def main() -> None:
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.enable_checkpointing(1_000)
    env.from_sequence(1, 36).add_sink(BulkSink(12)).name("bulk").uid("bulk")
    env.execute("operator state")


if __name__ == "__main__":
    main()
