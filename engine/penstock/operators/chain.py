"""A fused chain: operators on forward edges run as one, batch in, batch out. Driven by a task.

Every element goes through the tree at once, on the caller's stack, unless an operator answers a watermark with
steps (timers to fire) that take longer than the task's slice. Then the chain is *suspended*: that node keeps
its steps, what arrives for it waits in order, and `resume` goes on from the deepest node, so that memory stays
bounded and order is kept. Per batch this costs one comparison and one call per operator.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol, final

from penstock.base.ids import CheckpointId
from penstock.operators.operator import Operator, SnapshotContext, SourceDriver, Steps
from penstock.records.batch import MIN_TIMESTAMP, Batch, Control, Watermark, WatermarkStatus
from penstock.records.copiers import copy_values


class Outlet(Protocol):
    """An edge that leaves the chain: the exchange's record writer."""

    def write_batch(self, batch: Batch) -> None:
        """Deal the records to the consumer's subtasks."""

    def write_control(self, element: Control) -> None:
        """Send to every consumer subtask, behind all records written so far."""


@final
class ChainNode:
    """One operator in the tree, with what it feeds, and what waits for it while it is busy with steps."""

    __slots__ = (
        "_chain",
        "_pending",
        "_steps",
        "children",
        "index",
        "operator",
        "outlets",
        "records_in",
        "records_out",
        "watermark_in",
        "watermark_out",
    )

    def __init__(self, chain: "Chain", index: int, operator: Operator) -> None:
        self._chain = chain
        self._steps: Steps | None = None
        self._pending: deque[tuple[Batch | Control, int]] = deque()
        self.index = index
        self.operator = operator
        self.children: dict[str | None, list[ChainNode]] = {}
        self.outlets: dict[str | None, list[Outlet]] = {}
        self.records_in = 0
        self.records_out = 0
        self.watermark_in = self.watermark_out = MIN_TIMESTAMP

    @property
    def busy(self) -> bool:
        return self._steps is not None or bool(self._pending)

    def take(self, element: Batch | Control, port: int = 0) -> None:
        """Process an element now, or in its turn when steps are under way."""
        if self._steps is not None or self._pending:
            self._pending.append((element, port))
        else:
            self._handle(element, port)

    def begin(self, steps: Steps | None) -> None:
        """Run steps until they end or the slice does."""
        if steps is None:
            return
        assert self._steps is None, "one set of steps at a time"
        self._steps = steps
        self._chain.suspended += 1
        self._advance()

    def resume(self) -> bool:
        """Go on with steps, then with what waited; True when nothing is left."""
        if self._steps is not None and not self._advance():
            return False
        while self._pending:
            element, port = self._pending.popleft()
            self._handle(element, port)
            if self._steps is not None or not self._chain.may_run(self.index):
                return not self.busy
        return True

    def _advance(self) -> bool:
        steps, chain = self._steps, self._chain
        assert steps is not None
        for _ in steps:
            if not chain.may_run(self.index):
                return False
        self._steps = None
        chain.suspended -= 1
        return True

    def _handle(self, element: Batch | Control, port: int) -> None:
        if type(element) is Batch:
            self.records_in += len(element.values)
            self.operator.process(element, port)
        elif type(element) is Watermark:
            self.watermark_in = element.timestamp
            self.begin(self.operator.watermark(element.timestamp))
        elif type(element) is WatermarkStatus:
            self.operator.status(element.idle)

    # Output, as the operator sees it.

    def batch(self, batch: Batch) -> None:
        """Emit on the main output."""
        self._emit(None, batch)

    def side(self, tag: str, batch: Batch) -> None:
        """Emit on a side output; dropped when nobody reads it."""
        self._emit(tag, batch)

    def watermark(self, timestamp_ms: int) -> None:
        """Emit a watermark on all outputs."""
        self.watermark_out = timestamp_ms
        self._control(Watermark(timestamp_ms))

    def status(self, idle: bool) -> None:
        """Emit a watermark status on all outputs."""
        self._control(WatermarkStatus(idle))

    def _emit(self, tag: str | None, batch: Batch) -> None:
        size = len(batch.values)
        if not size:
            return
        self.records_out += size
        outlets, children = self.outlets.get(tag, ()), self.children.get(tag, ())
        # Any receiver may change a value in place, and an outlet may keep it for a while: all but one get copies.
        others = len(outlets) + len(children) - 1
        for outlet in outlets:
            outlet.write_batch(_copied(batch) if others else batch)
            others -= 1
        for child in children:
            child.take(_copied(batch) if others else batch)
            others -= 1

    def _control(self, element: Control) -> None:
        for children in self.children.values():
            for child in children:
                child.take(element)
        for outlets in self.outlets.values():
            for outlet in outlets:
                outlet.write_control(element)


def _copied(batch: Batch) -> Batch:
    return Batch(copy_values(batch.values), batch.timestamps, batch.keys)


@final
class Chain:
    """The operators of one subtask."""

    def __init__(
        self,
        operators: Sequence[Operator],
        parents: Sequence[tuple[int | None, str | None]],
        *,
        has_credit: Callable[[], bool],
    ) -> None:
        """Fuse `operators`.

        Args:
            operators: in topological order, head first; not set up yet.
            parents: for each, (index of the operator that feeds it or None, side output it reads or None).
            has_credit: whether every edge that leaves the chain can take more.
        """
        self.suspended = 0
        self._closed = False
        self._deadline = 0.0
        self._has_credit = has_credit
        self.nodes = [ChainNode(self, index, operator) for index, operator in enumerate(operators)]
        for node, (parent, tag) in zip(self.nodes, parents, strict=True):
            if parent is not None:
                self.nodes[parent].children.setdefault(tag, []).append(node)
        self.head = self.nodes[0]

    def attach(self, operator: int, tag: str | None, outlet: Outlet) -> None:
        """An edge leaves the chain at this operator."""
        self.nodes[operator].outlets.setdefault(tag, []).append(outlet)

    @property
    def source(self) -> SourceDriver | None:
        head = self.head.operator
        return head if isinstance(head, SourceDriver) else None

    def start_slice(self, deadline: float) -> None:
        """The task's time until `deadline` (time.perf_counter) begins."""
        self._deadline = deadline

    def may_run(self, index: int) -> bool:
        """Whether the node's steps may go on: time is left, outputs have credit, nobody further down is busy."""
        if time.perf_counter() >= self._deadline or not self._has_credit():
            return False
        if self.suspended == 1:
            return True
        return not any(node.busy for node in self.nodes[index + 1 :])

    def resume(self) -> bool:
        """Go on with suspended steps, deepest first; True when the chain is free for its next input."""
        for node in reversed(self.nodes):
            if node.busy and not node.resume():
                return False
        # A shallow node's steps may have filled a deeper one's queue again.
        return self.suspended == 0 and not any(node.busy for node in self.nodes)

    @property
    def is_free(self) -> bool:
        return self.suspended == 0

    @property
    def is_drained(self) -> bool:
        """Whether no operator has anything under way in the background."""
        return all(node.operator.drained() for node in self.nodes)

    def drain(self) -> None:
        """Finish all suspended steps now, whatever they take (before a barrier)."""
        deadline, self._deadline = self._deadline, float("inf")
        has_credit, self._has_credit = self._has_credit, lambda: True
        try:
            while not self.resume():
                pass
        finally:
            self._deadline, self._has_credit = deadline, has_credit

    def prepare_snapshot(self, checkpoint: CheckpointId) -> None:
        """Let every operator emit what belongs before the barrier, upstream first."""
        for node in self.nodes:
            node.operator.prepare_snapshot_pre_barrier(checkpoint)
            self.drain()

    def snapshot_state(self, snapshot: SnapshotContext) -> None:
        """Let every operator bring its registered state up to date."""
        for node in self.nodes:
            node.operator.snapshot_state(snapshot)

    def notify_complete(self, checkpoint: CheckpointId) -> None:
        for node in self.nodes:
            node.operator.notify_checkpoint_complete(checkpoint)

    def notify_aborted(self, checkpoint: CheckpointId) -> None:
        for node in self.nodes:
            node.operator.notify_checkpoint_aborted(checkpoint)

    def notify_restored(self, checkpoint: CheckpointId) -> None:
        for node in self.nodes:
            node.operator.notify_restored(checkpoint)

    def finish(self) -> Steps:
        """End of all input: finish the operators one after the other, upstream first."""
        for node in self.nodes:
            node.begin(node.operator.finish())
            while not self.resume():
                yield

    def close(self) -> list[BaseException]:
        """Close every operator, once, also when some fail; their errors are returned."""
        errors: list[BaseException] = []
        closed, self._closed = self._closed, True
        for node in () if closed else self.nodes:
            try:
                node.operator.close()
            except Exception as error:
                errors.append(error)
        return errors
