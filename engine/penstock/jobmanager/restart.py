"""The four restart strategies of Flink, with its semantics. Pure: time is given, chance is given."""

from collections import deque
from typing import Protocol, final

import msgspec


@final
class RestartAfter(msgspec.Struct, frozen=True):
    """Restart the failed region after this delay."""

    delay_s: float


@final
class GiveUp(msgspec.Struct, frozen=True):
    """The job fails."""

    reason: str


Verdict = RestartAfter | GiveUp


class RestartStrategy(Protocol):
    """Asked once per failure."""

    def on_failure(self, now_s: float, jitter: float) -> Verdict:
        """What to do about a failure at `now_s` (monotonic). `jitter`: a random number in [-1, 1]."""


@final
class NoRestart:
    """`restart-strategy.type: none`."""

    def on_failure(self, now_s: float, jitter: float) -> Verdict:
        return GiveUp("the restart strategy is none")


@final
class FixedDelay:
    """`fixed-delay`: so many restarts over the whole life, always after the same delay."""

    def __init__(self, *, attempts: int, delay_s: float) -> None:
        self._attempts = attempts
        self._delay_s = delay_s
        self._failures = 0

    def on_failure(self, now_s: float, jitter: float) -> Verdict:
        self._failures += 1
        if self._failures > self._attempts:
            return GiveUp(f"fixed-delay allows {self._attempts} restarts, this is failure {self._failures}")
        return RestartAfter(self._delay_s)


@final
class FailureRate:
    """`failure-rate`: fail when more than so many failures fall within the interval."""

    def __init__(self, *, max_failures: int, interval_s: float, delay_s: float) -> None:
        self._max_failures = max_failures
        self._interval_s = interval_s
        self._delay_s = delay_s
        self._times: deque[float] = deque()

    def on_failure(self, now_s: float, jitter: float) -> Verdict:
        while self._times and now_s - self._times[0] > self._interval_s:
            self._times.popleft()
        if len(self._times) >= self._max_failures:
            return GiveUp(
                f"failure-rate allows {self._max_failures} failures in {self._interval_s:g} s, "
                f"this is failure {len(self._times) + 1}"
            )
        self._times.append(now_s)
        return RestartAfter(self._delay_s)


@final
class ExponentialDelay:
    """`exponential-delay`: the delay grows with each failure and falls back after a quiet time."""

    def __init__(
        self,
        *,
        initial_s: float,
        max_s: float,
        multiplier: float,
        reset_after_s: float,
        jitter_factor: float,
        attempts: int,
    ) -> None:
        self._initial_s = initial_s
        self._max_s = max_s
        self._multiplier = multiplier
        self._reset_after_s = reset_after_s
        self._jitter_factor = jitter_factor
        self._attempts = attempts
        self._next_s = initial_s
        self._failures = 0
        self._quiet_since: float | None = None

    def on_failure(self, now_s: float, jitter: float) -> Verdict:
        if self._quiet_since is not None and now_s < self._quiet_since:
            # One death fails several regions: what fails before the restart belongs to the same attempt.
            return RestartAfter(self._quiet_since - now_s)
        if self._quiet_since is not None and now_s - self._quiet_since > self._reset_after_s:
            self._next_s = self._initial_s
            self._failures = 0
        self._failures += 1
        if self._failures > self._attempts:
            return GiveUp(f"exponential-delay allows {self._attempts} restarts, this is failure {self._failures}")
        base = self._next_s
        delay = min(max(base * (1 + self._jitter_factor * jitter), 0.0), self._max_s)
        self._next_s = min(base * self._multiplier, self._max_s)
        self._quiet_since = now_s + delay
        return RestartAfter(delay)
