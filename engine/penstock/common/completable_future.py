"""Answers that come later; mirrors pyflink.common.completable_future."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Generic, TypeVar, final

from penstock.base.errors import PenstockError

__all__ = ["CompletableFuture"]

T = TypeVar("T")


@final
class CompletableFuture(Generic[T]):
    """An answer that is worked out elsewhere."""

    def __init__(self, future: "Future[T]") -> None:
        self._future = future

    @staticmethod
    def supply(function: Callable[[], T], name: str) -> "CompletableFuture[T]":
        """Call `function` in a thread of its own, which does not keep the process alive."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                answer = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(answer)

        threading.Thread(target=run, name=name, daemon=True).start()
        return CompletableFuture(future)

    def cancel(self) -> bool:
        """Whether nobody waits for it any more; work that has begun goes on."""
        return self._future.cancel()

    def cancelled(self) -> bool:
        return self._future.cancelled()

    def done(self) -> bool:
        return self._future.done()

    def result(self) -> T:
        """Wait for the answer; an error is raised here."""
        try:
            return self._future.result()
        except PenstockError as error:
            # How we came to know is nothing to the program.
            raise error.with_traceback(None) from None

    def exception(self) -> BaseException | None:
        """Wait; the error, or None if there is an answer."""
        try:
            return self._future.exception()
        except CancelledError as error:
            return error
