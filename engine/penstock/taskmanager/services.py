"""What operators may use of their task: wall-clock timers and the thread pool, both ending in the task's mail."""

from collections.abc import Callable
from typing import Any, final

from penstock.base.clock import Clock
from penstock.operators.operator import Cancellable, Steps

Post = Callable[[Callable[[], None]], None]


@final
class _Timer:
    """One scheduled callback; calling it off also drops it when it waits in the mail already."""

    __slots__ = ("_handle", "cancelled")

    def __init__(self) -> None:
        self._handle: Any = None
        self.cancelled = False

    def hold(self, handle: Any) -> None:
        """Keep what the loop gave for it."""
        self._handle = handle

    def cancel(self) -> None:
        self.cancelled = True
        if self._handle is not None:
            self._handle.cancel()


@final
class TaskTimers:
    """`ProcessingTime` of one operator: callbacks run between the task's batches, their steps as the operator's own."""

    def __init__(
        self,
        clock: Clock,
        call_later: Callable[[float, Callable[[], None]], Any],
        post: Post,
        begin: Callable[[Steps | None], None],
    ) -> None:
        self._clock = clock
        self._call_later = call_later
        self._post = post
        self._begin = begin

    def at(self, timestamp_ms: int, callback: Callable[[int], Steps | None]) -> Cancellable:
        timer = _Timer()

        def run() -> None:
            if not timer.cancelled:
                self._begin(callback(timestamp_ms))

        def due() -> None:
            self._post(run)

        # A clock's millisecond has passed only when the next one begins.
        timer.hold(self._call_later(max(0.0, (timestamp_ms - self._clock.now_ms()) / 1000), due))
        return timer


@final
class TaskBackground:
    """`Background` of one task."""

    def __init__(
        self,
        run: Callable[[Callable[[], Any], Callable[[Any, BaseException | None], None]], None],
        post: Post,
    ) -> None:
        self._run = run
        self._post = post

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._run(work, lambda result, error: self._post(lambda: done(result, error)))


@final
class WorkerBackground:
    """`Background` whose callbacks come straight on the loop, whatever the task is doing."""

    def __init__(self, run: Callable[[Callable[[], Any], Callable[[Any, BaseException | None], None]], None]) -> None:
        self._run = run

    def run(self, work: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self._run(work, done)
