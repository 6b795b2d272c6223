"""Runs a source's split enumerator on the JobManager, and knows which splits no checkpoint holds yet.

A split that was dealt out after the newest checkpoint is lost with the reader that got it; then the enumerator gets
it back. The runtime delivers what is sent after `snapshot` behind that checkpoint's barrier, so a split belongs to the
first checkpoint whose snapshot comes after its assignment.
"""

import heapq
import itertools
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

from penstock.base.errors import UserFunctionError
from penstock.base.ids import CheckpointId
from penstock.base.tracebacks import said, users_line
from penstock.operators.coordinator import CoordinatorContext, OperatorCoordinator
from penstock.operators.failures import Failure, made_by
from penstock.operators.source_api import Source, SplitEnumerator, SplitEnumeratorContext, pack, unpack
from penstock.operators.source_events import CustomEvent, NoMoreSplits, SplitRequested, SplitsAdded, decode, encode


@final
class SplitAssignments:
    """Which splits were given to whom since which checkpoint."""

    def __init__(self) -> None:
        self._since_last: dict[int, list[Any]] = {}
        self._by_checkpoint: dict[CheckpointId, dict[int, list[Any]]] = {}

    def assigned(self, subtask: int, splits: Sequence[Any]) -> None:
        self._since_last.setdefault(subtask, []).extend(splits)

    def snapshot(self, checkpoint: CheckpointId) -> None:
        """What was assigned so far will be in this checkpoint, if it completes."""
        self._by_checkpoint[checkpoint], self._since_last = self._since_last, {}

    def complete(self, checkpoint: CheckpointId) -> None:
        """What belongs to this checkpoint and those before is safe."""
        for known in [known for known in self._by_checkpoint if known <= checkpoint]:
            del self._by_checkpoint[known]

    def take_back(self, subtask: int, checkpoint: CheckpointId | None) -> list[Any]:
        """What the subtask was given since `checkpoint`; it is nobody's now."""
        taken: list[Any] = []
        for known in sorted(self._by_checkpoint):
            if checkpoint is None or known > checkpoint:
                taken.extend(self._by_checkpoint[known].pop(subtask, ()))
        taken.extend(self._since_last.pop(subtask, ()))
        return taken


@final
class SourceCoordinator(OperatorCoordinator):
    """The counterpart of all SourceOperators of one source."""

    def __init__(self, source: Source[Any, Any], name: str) -> None:
        self._source = source
        self._name = name
        self._splits = source.get_split_serializer()
        self._states = source.get_enumerator_checkpoint_serializer()
        self._assignments = SplitAssignments()
        self._context: CoordinatorContext | None = None
        self._enumerator: SplitEnumerator[Any, Any] | None = None
        self._restored: bytes | None = None
        self._readers: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._calls: _Calls | None = None
        self._failure: UserFunctionError | None = None
        """The last thing that failed the job: a checkpoint that asks for the enumerator's state is told the same."""

    def start(self, context: CoordinatorContext) -> None:
        self._context = context
        self._begin()

    def restore(self, checkpoint: CheckpointId, state: bytes | None) -> None:
        self._end()
        self._restored = state
        self._assignments = SplitAssignments()
        for subtask in list(self._readers):
            self._forget(subtask)
        if self._context is not None:
            self._begin()

    def handle_event(self, subtask: int, attempt: int, event: bytes) -> None:
        if attempt < self._attempts.get(subtask, 0):
            return  # From an attempt that is gone.
        self.subtask_ready(subtask, attempt)
        decoded = decode(event)
        if isinstance(decoded, SplitRequested):
            host = decoded.hostname
            self._tell("handle_split_request", lambda enumerator: enumerator.handle_split_request(subtask, host))
        elif isinstance(decoded, CustomEvent):
            custom = decoded.event
            self._tell("handle_source_event", lambda enumerator: enumerator.handle_source_event(subtask, custom))

    def subtask_ready(self, subtask: int, attempt: int) -> None:
        if self._readers.get(subtask) == attempt or attempt < self._attempts.get(subtask, 0):
            return
        self._readers[subtask] = self._attempts[subtask] = attempt
        self._tell("add_reader", lambda enumerator: enumerator.add_reader(subtask))

    def subtask_failed(self, subtask: int, checkpoint: CheckpointId | None) -> None:
        self._forget(subtask)
        taken = self._assignments.take_back(subtask, checkpoint)
        if taken:
            self._tell("add_splits_back", lambda enumerator: enumerator.add_splits_back(taken, subtask))

    def tick(self) -> None:
        if self._calls is not None:
            self._guarded(self._calls.run_due, "call_async")

    def snapshot(self, checkpoint: CheckpointId) -> bytes:
        if self._enumerator is None:
            raise self._failure or UserFunctionError(f"the split enumerator of source {self._name!r} has not started")
        try:
            state = self._enumerator.snapshot_state(checkpoint)
            packed = pack(self._states, state)
        except Failure as error:
            line = users_line(error)
            raise self._blamed(error, "snapshot_state", f" ({line})" if line else "") from error
        self._assignments.snapshot(checkpoint)
        return pickle.dumps(packed, protocol=5)

    def checkpoint_complete(self, checkpoint: CheckpointId) -> None:
        self._assignments.complete(checkpoint)
        self._tell("notify_checkpoint_complete", lambda enumerator: enumerator.notify_checkpoint_complete(checkpoint))

    def close(self) -> None:
        self._end()

    def _forget(self, subtask: int) -> None:
        """The subtask's attempt is gone, and what it still says is not heard."""
        attempt = self._readers.pop(subtask, None)
        if attempt is not None:
            self._attempts[subtask] = attempt + 1

    def _begin(self) -> None:
        assert self._context is not None
        self._calls = _Calls(self._context)
        self._guarded(self._create, "start")

    def _create(self) -> None:
        assert self._context is not None and self._calls is not None
        context = _EnumeratorContext(self._context, self._calls, self._readers, self._assignments, self._source)
        if self._restored is None:
            enumerator = self._source.create_enumerator(context)
        else:
            state = unpack(self._states, pickle.loads(self._restored))
            enumerator = self._source.restore_enumerator(context, state)
        self._enumerator = made_by("create_enumerator", enumerator, "SplitEnumerator", "handle_split_request")
        enumerator.start()

    def _end(self) -> None:
        enumerator, self._enumerator = self._enumerator, None
        self._calls = None
        if enumerator is not None:
            self._guarded(enumerator.close, "close")

    def _tell(self, doing: str, call: Callable[[SplitEnumerator[Any, Any]], None]) -> None:
        """Nobody hears it if the enumerator could not be made: the job fails for that already."""
        enumerator = self._enumerator
        if enumerator is not None:
            self._guarded(lambda: call(enumerator), doing)

    def _guarded(self, call: Callable[[], None], doing: str) -> None:
        """The enumerator may be the user's: what it raises fails the job, never the coordinator's thread."""
        try:
            call()
        except Failure as error:
            if self._context is None:
                raise
            self._failure = self._blamed(error, doing)
            self._failure.__cause__ = error
            self._context.fail_job(self._failure)

    def _blamed(self, error: BaseException, doing: str, where: str = "") -> UserFunctionError:
        text = f"the split enumerator of source {self._name!r} failed in {doing}: {said(error)}{where}"
        return UserFunctionError(text)


@final
class _Calls:
    """What `call_async` asked for, by time. The coordinator has a thread of its own, so blocking there is no harm."""

    def __init__(self, context: CoordinatorContext) -> None:
        self._context = context
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def add(self, delay_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self._context.clock.monotonic() + delay_s, next(self._order), call))
        self._context.call_later(delay_s)

    def run_due(self) -> None:
        now = self._context.clock.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if self._due:
            self._context.call_later(self._due[0][0] - now)


@final
class _EnumeratorContext(SplitEnumeratorContext[Any]):
    def __init__(
        self,
        context: CoordinatorContext,
        calls: _Calls,
        readers: dict[int, int],
        assignments: SplitAssignments,
        source: Source[Any, Any],
    ) -> None:
        self._context = context
        self._calls = calls
        self._readers = readers
        self._assignments = assignments
        self._serializer = source.get_split_serializer()
        self.configuration = context.configuration

    def current_parallelism(self) -> int:
        return self._context.parallelism

    def registered_readers(self) -> Mapping[int, int]:
        return dict(self._readers)

    def assign_split(self, split: Any, subtask: int) -> None:
        self.assign_splits({subtask: [split]})

    def assign_splits(self, assignment: Mapping[int, Sequence[Any]]) -> None:
        for subtask in assignment:
            self._check_registered(subtask)
        for subtask, splits in assignment.items():
            if splits:
                packed = tuple(pack(self._serializer, split) for split in splits)
                self._assignments.assigned(subtask, splits)
                self._context.send(subtask, encode(SplitsAdded(packed)))

    def signal_no_more_splits(self, subtask: int) -> None:
        self._check_registered(subtask)
        self._context.send(subtask, encode(NoMoreSplits()))

    def send_event_to_source_reader(self, subtask: int, event: Any) -> None:
        self._check_registered(subtask)
        self._context.send(subtask, encode(CustomEvent(event)))

    def call_async(
        self,
        work: Callable[[], Any],
        handler: Callable[[Any, BaseException | None], None],
        initial_delay_ms: int = 0,
        period_ms: int | None = None,
    ) -> None:
        def call() -> None:
            try:
                result, error = work(), None
            except Exception as raised:
                result, error = None, raised
            if period_ms is not None:
                self._calls.add(period_ms / 1000, call)
            handler(result, error)

        self._calls.add(initial_delay_ms / 1000, call)

    def _check_registered(self, subtask: int) -> None:
        if subtask not in self._readers:
            raise ValueError(f"subtask {subtask} has no reader now; registered are {sorted(self._readers)}")
