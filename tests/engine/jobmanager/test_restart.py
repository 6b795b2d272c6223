"""The restart strategies decide as Flink's do."""

from penstock.jobmanager.restart import ExponentialDelay, FailureRate, FixedDelay, GiveUp, NoRestart, RestartAfter


def exponential(**changes: float) -> ExponentialDelay:
    settings = {"initial_s": 1.0, "max_s": 60.0, "multiplier": 1.5, "reset_after_s": 3600.0, "jitter_factor": 0.1}
    return ExponentialDelay(**{**settings, **changes}, attempts=5)  # type: ignore[arg-type]


def test_none_gives_up_at_the_first_failure() -> None:
    assert isinstance(NoRestart().on_failure(0, 0), GiveUp)


def test_fixed_delay_gives_up_after_its_attempts() -> None:
    strategy = FixedDelay(attempts=2, delay_s=3)
    assert [strategy.on_failure(0, 0) for _ in range(2)] == [RestartAfter(3), RestartAfter(3)]
    assert strategy.on_failure(0, 0) == GiveUp("fixed-delay allows 2 restarts, this is failure 3")


def test_failure_rate_counts_only_failures_within_the_interval() -> None:
    strategy = FailureRate(max_failures=2, interval_s=60, delay_s=1)
    assert strategy.on_failure(0, 0) == RestartAfter(1)
    assert strategy.on_failure(30, 0) == RestartAfter(1)
    assert strategy.on_failure(61, 0) == RestartAfter(1)
    assert isinstance(strategy.on_failure(62, 0), GiveUp)


def test_exponential_delay_grows_to_its_bound() -> None:
    strategy = exponential(max_s=2.0)
    delays = [strategy.on_failure(10.0 * i, 0) for i in range(4)]
    assert delays == [RestartAfter(1.0), RestartAfter(1.5), RestartAfter(2.0), RestartAfter(2.0)]


def test_exponential_delay_falls_back_after_a_quiet_time() -> None:
    strategy = exponential(reset_after_s=10)
    strategy.on_failure(0, 0)
    strategy.on_failure(1, 0)
    assert strategy.on_failure(100, 0) == RestartAfter(1.0)


def test_exponential_delay_gives_up_after_its_attempts_without_a_reset() -> None:
    strategy = exponential()
    verdicts = [strategy.on_failure(100.0 * i, 0) for i in range(6)]
    assert all(isinstance(verdict, RestartAfter) for verdict in verdicts[:5])
    assert isinstance(verdicts[5], GiveUp)


def test_failures_before_an_exponential_delay_has_passed_belong_to_the_same_attempt() -> None:
    strategy = exponential()
    strategy.on_failure(0, 0)
    assert strategy.on_failure(0.25, 0) == RestartAfter(0.75)
    assert strategy.on_failure(10, 0) == RestartAfter(1.5)


def test_jitter_moves_the_delay_by_its_factor_at_most() -> None:
    assert exponential().on_failure(0, 1.0) == RestartAfter(1.1)
    assert exponential().on_failure(0, -1.0) == RestartAfter(0.9)
