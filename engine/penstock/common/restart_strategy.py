"""Restart strategies as programs set them; mirrors pyflink.common.restart_strategy.

Each is a view of the `restart-strategy.*` keys: `configure` writes them, `of` reads them. What they do
is decided in the JobManager.
"""

from typing import Any, Final, final

from penstock.common.configuration import Configuration
from penstock.common.options import jobs
from penstock.common.options.registry import Option
from penstock.common.time import Duration

__all__ = ["RestartStrategies", "RestartStrategyConfiguration"]


_EXPONENTIAL: Final[tuple[Option[Any], ...]] = (
    jobs.EXPONENTIAL_INITIAL,
    jobs.EXPONENTIAL_MAX,
    jobs.EXPONENTIAL_MULTIPLIER,
    jobs.EXPONENTIAL_RESET,
    jobs.EXPONENTIAL_JITTER,
    jobs.EXPONENTIAL_ATTEMPTS,
)


class RestartStrategyConfiguration:
    """Base of the strategies."""

    def get_description(self) -> str:
        """For people."""
        raise NotImplementedError

    def configure(self, configuration: Configuration) -> None:
        """Write the keys that say the same."""
        raise NotImplementedError

    @staticmethod
    def of(configuration: Configuration) -> "RestartStrategyConfiguration | None":
        """The strategy that the keys say; None if they leave it to the default."""
        get = configuration.get
        kind = get(jobs.RESTART_STRATEGY)
        if kind == "none":
            return RestartStrategies.no_restart()
        if kind == "fixed-delay":
            return RestartStrategies.fixed_delay_restart(
                get(jobs.FIXED_DELAY_ATTEMPTS), get(jobs.FIXED_DELAY_DELAY).to_millis()
            )
        if kind == "failure-rate":
            interval, delay = get(jobs.FAILURE_RATE_INTERVAL), get(jobs.FAILURE_RATE_DELAY)
            return RestartStrategies.failure_rate_restart(
                get(jobs.FAILURE_RATE_MAX), interval.to_millis(), delay.to_millis()
            )
        return None if kind is None else RestartStrategies.ExponentialDelayRestartStrategyConfiguration(configuration)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        return f"<{self.get_description()}>"


@final
class RestartStrategies:
    """Makes the strategies. Times are in milliseconds, or Durations."""

    @final
    class NoRestartStrategyConfiguration(RestartStrategyConfiguration):
        """The first failure fails the job."""

        def get_description(self) -> str:
            return "Restart deactivated."

        def configure(self, configuration: Configuration) -> None:
            configuration.set(jobs.RESTART_STRATEGY, "none")

    @final
    class FixedDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """So many restarts, each after the same pause."""

        def __init__(self, restart_attempts: int, delay_between_attempts: Duration) -> None:
            self._restart_attempts = restart_attempts
            self._delay = delay_between_attempts

        def get_restart_attempts(self) -> int:
            return self._restart_attempts

        def get_delay_between_attempts_interval(self) -> Duration:
            return self._delay

        def get_description(self) -> str:
            return f"Restart with fixed delay ({self._delay}). #{self._restart_attempts} restart attempts."

        def configure(self, configuration: Configuration) -> None:
            configuration.set(jobs.RESTART_STRATEGY, "fixed-delay")
            configuration.set(jobs.FIXED_DELAY_ATTEMPTS, self._restart_attempts)
            configuration.set(jobs.FIXED_DELAY_DELAY, self._delay)

    @final
    class FailureRateRestartStrategyConfiguration(RestartStrategyConfiguration):
        """Restarts as long as there are not too many failures within an interval."""

        def __init__(self, max_failure_rate: int, failure_interval: Duration, delay: Duration) -> None:
            self._max_failure_rate = max_failure_rate
            self._interval = failure_interval
            self._delay = delay

        def get_max_failure_rate(self) -> int:
            return self._max_failure_rate

        def get_failure_interval(self) -> Duration:
            return self._interval

        def get_delay_between_attempts_interval(self) -> Duration:
            return self._delay

        def get_description(self) -> str:
            return f"Failure rate restart with maximum of {self._max_failure_rate} failures within {self._interval}."

        def configure(self, configuration: Configuration) -> None:
            configuration.set(jobs.RESTART_STRATEGY, "failure-rate")
            configuration.set(jobs.FAILURE_RATE_MAX, self._max_failure_rate)
            configuration.set(jobs.FAILURE_RATE_INTERVAL, self._interval)
            configuration.set(jobs.FAILURE_RATE_DELAY, self._delay)

    @final
    class ExponentialDelayRestartStrategyConfiguration(RestartStrategyConfiguration):
        """Each pause longer than the one before; its numbers are in the configuration."""

        def __init__(self, configuration: Configuration) -> None:
            self._values = tuple(configuration.get(option) for option in _EXPONENTIAL)

        def get_description(self) -> str:
            return f"Restart with exponential delay: from {self._values[0]} to {self._values[1]}."

        def configure(self, configuration: Configuration) -> None:
            configuration.set(jobs.RESTART_STRATEGY, "exponential-delay")
            for option, value in zip(_EXPONENTIAL, self._values, strict=True):
                configuration.set(option, value)

    @final
    class FallbackRestartStrategyConfiguration(RestartStrategyConfiguration):
        """What the cluster's configuration says."""

        def get_description(self) -> str:
            return "Cluster level default restart strategy"

        def configure(self, configuration: Configuration) -> None:
            configuration.remove_config(jobs.RESTART_STRATEGY.key)

    @staticmethod
    def no_restart() -> "RestartStrategies.NoRestartStrategyConfiguration":
        return RestartStrategies.NoRestartStrategyConfiguration()

    @staticmethod
    def fall_back_restart() -> "RestartStrategies.FallbackRestartStrategyConfiguration":
        return RestartStrategies.FallbackRestartStrategyConfiguration()

    @staticmethod
    def fixed_delay_restart(
        restart_attempts: int, delay_between_attempts: int | Duration
    ) -> "RestartStrategies.FixedDelayRestartStrategyConfiguration":
        delay = _duration(delay_between_attempts)
        return RestartStrategies.FixedDelayRestartStrategyConfiguration(restart_attempts, delay)

    @staticmethod
    def failure_rate_restart(
        failure_rate: int, failure_interval: int | Duration, delay_interval: int | Duration
    ) -> "RestartStrategies.FailureRateRestartStrategyConfiguration":
        return RestartStrategies.FailureRateRestartStrategyConfiguration(
            failure_rate, _duration(failure_interval), _duration(delay_interval)
        )


def _duration(value: Any) -> Duration:
    return value if isinstance(value, Duration) else Duration.of_millis(value)
