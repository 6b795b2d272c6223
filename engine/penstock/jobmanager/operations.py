"""What people have asked a job for and ask about later: savepoints, stops, checkpoints, disposals, rescalings.

An operation has an id that its asker may choose: asked for twice, it is done once. Outcomes are kept for
`rest.async.store-duration`. Lives on the JobManager's loop; decides nothing.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, Literal, final

import msgspec

from penstock.records.batch import SavepointFormat, StopMode

OperationKind = Literal["savepoint", "checkpoint", "savepoint-disposal", "rescaling"]
"""Stops count as savepoints: both are asked about in one place."""

READ_TIMEOUT_S: Final = 10.0
"""How long a JobManager whose job has ended waits for those who have asked it for something."""
_LOOK_S: Final = 0.05


@final
class SavepointRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A savepoint as it is asked for."""

    trigger_id: str | None = None
    """None: any new one."""
    directory: str | None = None
    """Where its folder is to be made; None: where the configuration says."""
    format: SavepointFormat = "native"
    stop: StopMode | None = None
    """Whether the job ends with it."""


@final
class OperationFailure(msgspec.Struct, frozen=True):
    """Why there is no result."""

    message: str
    type: str = "penstock.base.errors.CheckpointFailed"


@final
class Operation(msgspec.Struct, eq=False):
    """One of them, under way or completed."""

    kind: OperationKind
    trigger_id: str
    begun_ms: int
    completed_ms: int | None = None
    location: str | None = None
    """Of a savepoint that is there."""
    checkpoint: int | None = None
    """The id of a checkpoint or savepoint that has begun."""
    failure: OperationFailure | None = None
    is_awaited: bool = False
    """Whether somebody will come and ask what came of it."""
    _watchers: list[Callable[[], None]] = msgspec.field(default_factory=list)

    @property
    def is_completed(self) -> bool:
        """Whether it is over, well or badly."""
        return self.completed_ms is not None

    def on_completed(self, watcher: Callable[[], None]) -> None:
        """Have `watcher` called once, on the loop, when it is over; now if it is."""
        if self.is_completed:
            watcher()
        else:
            self._watchers.append(watcher)


@final
class Operations:
    """All of them, of one job."""

    def __init__(self, *, kept_s: float, now_ms: Callable[[], int]) -> None:
        """`kept_s`: how long one is remembered once it is over."""
        self._kept_ms = int(kept_s * 1000)
        self._now_ms = now_ms
        self._all: dict[tuple[OperationKind, str], Operation] = {}

    def begin(self, kind: OperationKind, trigger_id: str | None) -> tuple[Operation, bool]:
        """The operation, and whether it is new: then it is to be done."""
        self._expire()
        key = (kind, trigger_id or secrets.token_hex(16))
        known = self._all.get(key)
        if known is not None:
            return known, False
        operation = self._all[key] = Operation(*key, self._now_ms())
        return operation, True

    def find(self, kind: OperationKind, trigger_id: str) -> Operation | None:
        """None: never heard of, or forgotten."""
        self._expire()
        return self._all.get((kind, trigger_id))

    def all(self) -> tuple[Operation, ...]:
        """Every one that is not forgotten, oldest first."""
        self._expire()
        return tuple(self._all.values())

    async def until_read(self, timeout_s: float) -> None:
        """Whoever has a job stopped asks what became of it a little later than it has ended."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.unread:
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            return

    @property
    def unread(self) -> bool:
        """Whether an outcome is there that nobody has asked for yet."""
        return any(operation.is_completed and operation.is_awaited for operation in self.all())

    def complete(self, operation: Operation, *, location: str | None = None) -> None:
        """It has ended well."""
        operation.location = location
        self._end(operation)

    def fail(self, operation: Operation, failure: OperationFailure) -> None:
        """It has ended badly."""
        operation.failure = failure
        self._end(operation)

    def _end(self, operation: Operation) -> None:
        if operation.is_completed:
            return
        operation.completed_ms = self._now_ms()
        watchers, operation._watchers = operation._watchers, []
        for watcher in watchers:
            watcher()

    def _expire(self) -> None:
        oldest = self._now_ms() - self._kept_ms
        self._all = {k: o for k, o in self._all.items() if o.completed_ms is None or o.completed_ms >= oldest}
