"""Functions that wait for something outside, and how they are tried again.

`penstock.datastream.functions` re-exports them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, Generic, TypeVar, final

from penstock.common.time import Time
from penstock.operators.functions import IN, Function

OUT = TypeVar("OUT")


class AsyncRetryPredicate(ABC):
    """When to try again: by result or by exception."""

    @abstractmethod
    def result_predicate(self) -> Callable[[list[Any]], bool] | None: ...

    @abstractmethod
    def exception_predicate(self) -> Callable[[Exception], bool] | None: ...


class AsyncRetryStrategy(ABC, Generic[OUT]):
    """How often and after what pause to try again."""

    @abstractmethod
    def can_retry(self, current_attempts: int) -> bool: ...

    @abstractmethod
    def get_backoff_time_millis(self, current_attempts: int) -> int: ...

    @abstractmethod
    def get_retry_predicate(self) -> AsyncRetryPredicate: ...

    @staticmethod
    def no_restart() -> "AsyncRetryStrategy[Any]":
        return _NoRetry()

    @staticmethod
    def fixed_delay(
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: Callable[[list[Any]], bool] | None = None,
        exception_predicate: Callable[[Exception], bool] | None = None,
    ) -> "AsyncRetryStrategy[Any]":
        return _FixedDelay(max_attempts, backoff_time_millis, _Predicates(result_predicate, exception_predicate))

    @staticmethod
    def exponential_backoff(
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: Callable[[list[Any]], bool] | None = None,
        exception_predicate: Callable[[Exception], bool] | None = None,
    ) -> "AsyncRetryStrategy[Any]":
        predicates = _Predicates(result_predicate, exception_predicate)
        return _ExponentialBackoff(max_attempts, initial_delay, max_retry_delay, multiplier, predicates)


@final
class _Predicates(AsyncRetryPredicate):
    def __init__(
        self, result: Callable[[list[Any]], bool] | None, exception: Callable[[Exception], bool] | None
    ) -> None:
        self._result = result
        self._exception = exception

    def result_predicate(self) -> Callable[[list[Any]], bool] | None:
        return self._result

    def exception_predicate(self) -> Callable[[Exception], bool] | None:
        return self._exception


@final
class _NoRetry(AsyncRetryStrategy[Any]):
    def can_retry(self, current_attempts: int) -> bool:
        return False

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return -1

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return _Predicates(None, None)


@final
class _FixedDelay(AsyncRetryStrategy[Any]):
    def __init__(self, attempts_max: int, delay_ms: int, predicates: _Predicates) -> None:
        self._attempts_max = attempts_max
        self._delay_ms = delay_ms
        self._predicates = predicates

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._attempts_max

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return self._delay_ms

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicates


@final
class _ExponentialBackoff(AsyncRetryStrategy[Any]):
    def __init__(
        self, attempts_max: int, delay_ms: int, delay_max_ms: int, multiplier: float, predicates: _Predicates
    ) -> None:
        self._attempts_max = attempts_max
        self._delay_ms = delay_ms
        self._delay_max_ms = delay_max_ms
        self._multiplier = multiplier
        self._predicates = predicates

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._attempts_max

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        exponent = max(0, current_attempts - 1)
        return min(self._delay_max_ms, int(self._delay_ms * self._multiplier**exponent))

    def get_retry_predicate(self) -> AsyncRetryPredicate:
        return self._predicates


class AsyncFunction(Function, Generic[IN, OUT]):
    """One record in, a list of records out, later."""

    @abstractmethod
    async def async_invoke(self, value: IN) -> list[OUT]: ...

    def timeout(self, value: IN) -> list[OUT]:
        """What to emit when `async_invoke` took too long; by default that fails the job."""
        raise TimeoutError(f"async function call has timed out for input: {value!r}")


@final
class AsyncFunctionDescriptor:
    """An async function with the settings of its operator."""

    class OutputMode(Enum):
        ORDERED = 0
        UNORDERED = 1

    def __init__(
        self,
        async_function: AsyncFunction[Any, Any],
        timeout: Time,
        capacity: int,
        async_retry_strategy: AsyncRetryStrategy[Any],
        output_mode: "AsyncFunctionDescriptor.OutputMode",
    ) -> None:
        self.async_function = async_function
        self.timeout = timeout
        self.capacity = capacity
        self.async_retry_strategy = async_retry_strategy
        self.output_mode = output_mode
