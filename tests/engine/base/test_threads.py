"""Blocking calls for which nobody waits."""

import asyncio
import subprocess
import sys
import threading

import pytest

from penstock.base.threads import in_daemon_thread

LEAVING = """
import asyncio, threading
from penstock.base.threads import in_daemon_thread

async def main():
    task = asyncio.ensure_future(in_daemon_thread(threading.Event().wait, "never"))
    await asyncio.sleep(0)
    task.cancel()

asyncio.run(main())
print("left")
"""


async def test_a_call_gives_what_it_returns_or_raises() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().name, "named") == "named"
    with pytest.raises(ZeroDivisionError):
        await in_daemon_thread(lambda: 1 // 0, "raises")


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    go = threading.Event()
    waiting = asyncio.ensure_future(in_daemon_thread(go.wait, "late"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()


def test_a_program_ends_while_a_call_never_does() -> None:
    ended = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("left\n", "")
