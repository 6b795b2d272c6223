"""The watermark of a task: the least over its inputs that are not idle. Pure."""

from collections.abc import Iterable
from typing import final

from penstock.records.batch import MAX_WATERMARK, MIN_TIMESTAMP


@final
class WatermarkValve:
    """Combines the watermarks and statuses of a task's input channels, with Flink's rules."""

    def __init__(self, channels: int) -> None:
        self._watermarks = [MIN_TIMESTAMP] * channels
        self._idle = [False] * channels
        self.watermark = MIN_TIMESTAMP
        self.idle = False

    def on_watermark(self, channel: int, timestamp: int) -> int | None:
        """A channel's watermark; the task's new one if it advances."""
        if timestamp <= self._watermarks[channel]:
            return None
        self._watermarks[channel] = timestamp
        return None if self._idle[channel] else self._advance()

    def on_status(self, channel: int, idle: bool) -> tuple[bool | None, int | None]:
        """A channel's status; the task's (new status, new watermark), None where nothing changes."""
        if idle == self._idle[channel]:
            return None, None
        self._idle[channel] = idle
        all_idle = all(self._idle)
        if all_idle:
            # What idle channels had promised still stands: go as far as the furthest of them.
            ahead = max(self._watermarks)
            watermark = ahead if ahead > self.watermark else None
            if watermark is not None:
                self.watermark = watermark
            self.idle = True
            return True, watermark
        status = False if self.idle else None
        self.idle = False
        return status, self._advance()

    def on_end(self, channel: int) -> tuple[bool | None, int | None]:
        """A channel has ended: it holds nobody back any more."""
        if self._watermarks[channel] == MAX_WATERMARK:
            return None, None
        return self.on_status(channel, True)

    def least(self, channels: Iterable[int]) -> int:
        """The least watermark of these channels, of those that are not idle if there are any. For metrics."""
        every = tuple(channels)
        active = [self._watermarks[channel] for channel in every if not self._idle[channel]]
        return min(active or [self._watermarks[channel] for channel in every], default=MIN_TIMESTAMP)

    def _advance(self) -> int | None:
        least = min(
            (w for w, idle in zip(self._watermarks, self._idle, strict=True) if not idle), default=MIN_TIMESTAMP
        )
        if least <= self.watermark:
            return None
        self.watermark = least
        return least
