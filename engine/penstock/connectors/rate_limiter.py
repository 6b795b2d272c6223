"""How fast a generated stream may flow. Pure: the time is given.

One limiter for each subtask; the rate of the whole source is shared out evenly.
"""

from abc import ABC, abstractmethod
from typing import Final, final

from penstock.base.errors import JobDefinitionError

_BURST_S: Final = 0.05
"""What was not used is made up for within so much, and no further back."""


class RateLimiter(ABC):
    """Permits for records of one subtask."""

    @abstractmethod
    def take(self, wanted: int, now_s: float) -> int:
        """How many of `wanted` records may be emitted now; they count as emitted."""

    @abstractmethod
    def next_at(self, now_s: float) -> float | None:
        """When there will be a permit again; None: not by the clock."""

    def checkpoint_complete(self) -> None:
        """A checkpoint has been confirmed."""


@final
class Unlimited(RateLimiter):
    """As fast as it goes."""

    def take(self, wanted: int, now_s: float) -> int:
        return wanted

    def next_at(self, now_s: float) -> float | None:
        return now_s


@final
class TokenBucket(RateLimiter):
    """So many records per second, in small bursts."""

    def __init__(self, rate_per_s: float) -> None:
        self._rate = rate_per_s
        self._burst = max(1.0, rate_per_s * _BURST_S)
        self._tokens = 1.0
        self._at_s: float | None = None

    def take(self, wanted: int, now_s: float) -> int:
        if self._at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        # A token that lacks a millionth is there: sums of small times never quite add up.
        taken = min(wanted, int(self._tokens + 1e-6))
        self._tokens -= taken
        return taken

    def next_at(self, now_s: float) -> float | None:
        return now_s + max(0.0, 1.0 - self._tokens) / self._rate


@final
class PerCheckpoint(RateLimiter):
    """So many records, then none before the next checkpoint is confirmed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._left = count

    def take(self, wanted: int, now_s: float) -> int:
        taken = min(wanted, self._left)
        self._left -= taken
        return taken

    def next_at(self, now_s: float) -> float | None:
        return None

    def checkpoint_complete(self) -> None:
        self._left = self._count


class RateLimiterStrategy(ABC):
    """Makes the limiter of each subtask. Must be picklable."""

    @abstractmethod
    def create_rate_limiter(self, parallelism: int, subtask: int) -> RateLimiter:
        """For one of `parallelism` subtasks."""

    @staticmethod
    def per_second(records_per_second: float) -> "RateLimiterStrategy":
        """So many records per second over all subtasks."""
        return _PerSecond(records_per_second)

    @staticmethod
    def per_checkpoint(records_per_checkpoint: int) -> "RateLimiterStrategy":
        """So many records between two checkpoints over all subtasks."""
        return _PerCheckpoint(records_per_checkpoint)

    @staticmethod
    def no_op() -> "RateLimiterStrategy":
        """As fast as it goes."""
        return _NoOp()


@final
class _PerSecond(RateLimiterStrategy):
    def __init__(self, rate_per_s: float) -> None:
        if not rate_per_s > 0:
            raise JobDefinitionError(f"a rate is above 0 records per second, found {rate_per_s}")
        self._rate_per_s = rate_per_s

    def create_rate_limiter(self, parallelism: int, subtask: int) -> RateLimiter:
        return TokenBucket(self._rate_per_s / parallelism)


@final
class _PerCheckpoint(RateLimiterStrategy):
    def __init__(self, count: int) -> None:
        if count <= 0:
            raise JobDefinitionError(f"records per checkpoint are above 0, found {count}")
        self._count = count

    def create_rate_limiter(self, parallelism: int, subtask: int) -> RateLimiter:
        share = self._count * (subtask + 1) // parallelism - self._count * subtask // parallelism
        return PerCheckpoint(share)


@final
class _NoOp(RateLimiterStrategy):
    def create_rate_limiter(self, parallelism: int, subtask: int) -> RateLimiter:
        return Unlimited()
