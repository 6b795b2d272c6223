"""The event loop of workers, for tests: runs a coroutine on uvloop and waits for conditions, never for luck."""

import asyncio
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T], timeout_s: float = 20.0) -> T:
    """Run `main` on a loop of its own; TimeoutError when it takes longer."""

    async def bounded() -> T:
        async with asyncio.timeout(timeout_s):
            return await main

    with warnings.catch_warnings():
        # A failed test leaves transports behind; where their warnings are errors, uvloop hangs while it closes.
        warnings.simplefilter("ignore", ResourceWarning)
        return uvloop.run(bounded())


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until `condition` holds; TimeoutError when it does not come to."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.001)


async def turns(count: int = 20) -> None:
    """Let the loop turn so many times: enough for what is sent on loopback to be read, not a wait for time."""
    for _ in range(count):
        await asyncio.sleep(0)
