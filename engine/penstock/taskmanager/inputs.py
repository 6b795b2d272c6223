"""What a task reads: its input channels, their alignment and their combined watermark."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, final

from penstock.base.ids import CheckpointId
from penstock.checkpoint.alignment import Aborted, Alignment, Block, Command, Snapshot, UnblockAll
from penstock.exchange.channels import InputChannel
from penstock.records.batch import (
    Barrier,
    Batch,
    Element,
    EndOfData,
    EndOfPartition,
    Watermark,
    WatermarkStatus,
)
from penstock.taskmanager.valve import WatermarkValve

Taken = tuple[Element, int]


@final
class TaskInput:
    """Hands a task its next element: channels in turn, barriers aligned, watermarks combined."""

    def __init__(
        self,
        channels: Sequence[InputChannel],
        ports: Sequence[int],
        alignment: Alignment,
        decline: Callable[[CheckpointId, str], None],
    ) -> None:
        self._decline = decline
        self._channels: Final = list(channels)
        self._ports: Final = list(ports)
        self._alignment = alignment
        self._valve = WatermarkValve(len(channels))
        self._ready: deque[int] = deque()
        self._queued = [False] * len(channels)
        self._blocked = [False] * len(channels)
        self._data_open = len(channels)
        self._waiting: deque[Taken] = deque()
        self._kick: Callable[[], None] = lambda: None
        self._barriers: dict[CheckpointId, Barrier] = {}
        self._aligning_since: float | None = None
        self.alignment_s = 0.0
        """How long the last alignment took."""
        self.aligned_bytes = 0
        """What was taken while it did; 0 within one worker, where nothing is encoded."""
        self._bytes_before = 0

    @property
    def channels(self) -> Sequence[InputChannel]:
        """For metrics."""
        return self._channels

    def alignment_now_s(self, now_s: float) -> float:
        """How long the alignment that is under way has taken by `now_s`, or else how long the last one took."""
        since = self._aligning_since
        return self.alignment_s if since is None else now_s - since

    @property
    def watermark(self) -> int:
        """The least over all channels that are not idle."""
        return self._valve.watermark

    def watermarks(self) -> tuple[int, ...]:
        """Of each port, where there are several."""
        ports = sorted(set(self._ports))
        if len(ports) < 2:
            return ()
        return tuple(self._valve.least(i for i, p in enumerate(self._ports) if p == port) for port in ports)

    def on_data(self, kick: Callable[[], None]) -> None:
        """Have `kick` called when there may be something to take."""
        self._kick = kick
        for index, channel in enumerate(self._channels):
            channel.on_data = self._arrival(index)
            if channel.has_data:
                self._arrived(index)

    def on_lost(self, lost: Callable[[str], None]) -> None:
        """Have `lost(reason)` called when a producer is gone before its end."""
        for channel in self._channels:
            channel.on_lost = lost

    def take(self) -> Taken | None:
        """The next element with its port, or None. EndOfData comes once, when all channels have sent it."""
        while True:
            if self._waiting:
                return self._waiting.popleft()
            if not self._ready:
                return None
            index = self._ready.popleft()
            self._queued[index] = False
            if self._blocked[index]:
                continue
            channel = self._channels[index]
            element = channel.take()
            if channel.has_data:
                self._arrived(index)
            if element is None:
                continue
            if type(element) is Batch:
                return element, self._ports[index]
            self._on_control(index, element)

    def abort(self, checkpoint: CheckpointId) -> None:
        """The checkpoint is given up: stop aligning for it."""
        self._barriers.pop(checkpoint, None)
        self._carry_out(self._alignment.aborted(checkpoint))

    def trigger(self, barrier: Barrier) -> None:
        """The JobManager asks this task itself: all tasks before it have ended, or are about to be seen to."""
        self._barriers.setdefault(barrier.checkpoint, barrier)
        self._carry_out(self._alignment.triggered(barrier.checkpoint))

    def close(self) -> None:
        """Take no more."""
        self._kick = lambda: None
        for channel in self._channels:
            channel.close()

    def _arrival(self, index: int) -> Callable[[], None]:
        def arrived() -> None:
            self._arrived(index)
            self._kick()

        return arrived

    def _arrived(self, index: int) -> None:
        if not self._queued[index]:
            self._queued[index] = True
            self._ready.append(index)

    def _on_control(self, index: int, element: Element) -> None:
        port = self._ports[index]
        if type(element) is Watermark:
            advanced = self._valve.on_watermark(index, element.timestamp)
            if advanced is not None:
                self._waiting.append((Watermark(advanced), port))
        elif type(element) is WatermarkStatus:
            self._status(*self._valve.on_status(index, element.idle), port)
        elif type(element) is Barrier:
            self._barriers[element.checkpoint] = element
            self._note_aligning()
            self._carry_out(self._alignment.barrier(index, element.checkpoint))
            if self._alignment.pending is None:
                self._aligning_since = None
            else:
                self._note_aligning()  # In place of an older one, which has just been given up.
        elif type(element) is EndOfData:
            self._status(*self._valve.on_end(index), port)
            self._data_open -= 1
            if self._data_open == 0:
                self._waiting.append((EndOfData(), port))
        elif type(element) is EndOfPartition:
            self._carry_out(self._alignment.ended(index))

    def _note_aligning(self) -> None:
        if self._aligning_since is None:
            self._aligning_since = time.perf_counter()
            self._bytes_before = self._bytes_taken()

    def _bytes_taken(self) -> int:
        return sum(channel.traffic.bytes for channel in self._channels)

    def _status(self, idle: bool | None, watermark: int | None, port: int) -> None:
        # The watermark goes first when the input falls idle, last when it wakes: neither may overtake the other.
        if watermark is not None and idle:
            self._waiting.append((Watermark(watermark), port))
        if idle is not None:
            self._waiting.append((WatermarkStatus(idle), port))
        if watermark is not None and not idle:
            self._waiting.append((Watermark(watermark), port))

    def _carry_out(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case Block(index):
                    self._blocked[index] = True
                    self._channels[index].block()
                case Snapshot(checkpoint):
                    since = self._aligning_since
                    self.alignment_s = time.perf_counter() - since if since is not None else 0.0
                    self.aligned_bytes = self._bytes_taken() - self._bytes_before if since is not None else 0
                    self._aligning_since = None
                    self._waiting.append((self._barriers.pop(checkpoint), 0))
                case UnblockAll():
                    self._aligning_since = None
                    for index, blocked in enumerate(self._blocked):
                        if blocked:
                            self._blocked[index] = False
                            self._channels[index].unblock()
                            if self._channels[index].has_data:
                                self._arrived(index)
                case Aborted(checkpoint, reason):
                    self._barriers.pop(checkpoint, None)
                    self._decline(checkpoint, reason)
