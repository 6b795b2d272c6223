"""Blocking calls: for which nobody waits once an event loop is over, and that are told of when they are slow."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread, Timer
from typing import Final, TypeVar

T = TypeVar("T")

_SLOW_S: Final = 5.0
"""So long may be waited without a word. A store that does not answer is asked for up to two minutes."""


async def in_daemon_thread(call: Callable[[], T], name: str) -> T:
    """What `call` gives or raises.

    For the loop's own threads its end waits, and so does the interpreter's: a store that never answers would keep a
    program that was interrupted from leaving.
    """
    answer: Future[T] = Future()
    answer.set_running_or_notify_cancel()  # Who gives up waiting does not end the call.

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=work, name=name, daemon=True).start()
    return await asyncio.wrap_future(answer)


@contextmanager
def told_when_slow(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell`, once and in another thread, if the block takes long."""
    timer = Timer(_SLOW_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
