"""Blocking calls beside an event loop for which nobody waits once it is over."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


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
