"""What the threads of this process are doing: as text for people, and sampled for flame graphs.

Taken by a thread that does nothing else, so it works while the others compute. Only names of functions and their lines
are shown, never values.
"""

import asyncio
import os
import platform
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Final, NamedTuple, TypeVar, final

Owner = TypeVar("Owner")
_DEPTH_SHOWN: Final = 100
_IDLE_SHARE: Final = 0.02
_BUSY_SHARE: Final = 0.95
_FUTEX: Final = {"x86_64": b"202", "aarch64": b"98"}.get(platform.machine(), b"")
"""The system call in which a thread waits for a lock, by its number."""
_PATIENCE_S: Final = 0.0001
"""How long the interpreter's lock is waited for before its holder is asked to let go, while sampling."""


@final
class ThreadStack(NamedTuple):
    """One thread."""

    name: str
    text: str


@final
class ThreadIds(NamedTuple):
    """A thread by the interpreter's number and the kernel's."""

    ident: int
    native_id: int


@final
class Sample(NamedTuple):
    """What a thread was found doing."""

    on_cpu: bool
    frames: tuple[str, ...]
    """Outermost first, each as `module.function:line`."""


def this_thread() -> ThreadIds:
    """The calling thread. After a fork `threading` still has its parent's number of the main thread."""
    return ThreadIds(threading.get_ident(), threading.get_native_id())


def dump_threads(process: str) -> tuple[ThreadStack, ...]:
    """All threads of this process; the main thread is first."""
    frames = sys._current_frames()
    known = {thread.ident: thread for thread in threading.enumerate()}
    main = threading.main_thread().ident
    found: list[ThreadStack] = []
    for ident, frame in sorted(frames.items(), key=lambda item: item[0] != main):
        thread = known.get(ident)
        name = f"thread-{ident}" if thread is None else thread.name
        number = os.getpid() if ident == main else ident if thread is None else thread.native_id
        daemon = " daemon" if thread is not None and thread.daemon else ""
        stack = "".join(traceback.format_list(traceback.extract_stack(frame, limit=_DEPTH_SHOWN)))
        found.append(ThreadStack(f"{process} {name}", f'"{name}" Id={number}{daemon} of {process}\n{stack}\n'))
    return tuple(found)


def frames_of(frame: FrameType | None, depth_max: int) -> tuple[str, ...]:
    """A stack as names, outermost first; the innermost `depth_max` of them."""
    found: list[str] = []
    while frame is not None and len(found) < depth_max:
        code = frame.f_code
        module = frame.f_globals.get("__name__", "?")
        found.append(f"{module}.{code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(reversed(found))


async def sample_thread(
    thread: ThreadIds, owner: Callable[[], Owner], *, samples: int, interval_s: float, depth_max: int
) -> Counter[tuple[Owner, Sample]]:
    """Look at one thread so many times; `owner()` says whose work it does at that moment.

    Run on a loop of another thread. Each look costs some 50 us and one or two changes of threads.
    """
    found: Counter[tuple[Owner, Sample]] = Counter()
    activity = _Activity(thread)
    patience_s = sys.getswitchinterval()
    # Else the lock would mostly be had where the thread lets go of it by itself, and only waiting would be seen.
    sys.setswitchinterval(_PATIENCE_S)
    try:
        for _ in range(samples):
            await asyncio.sleep(interval_s)
            frames = frames_of(sys._current_frames().get(thread.ident), depth_max)
            found[owner(), Sample(activity.is_on_cpu(), frames)] += 1
    finally:
        sys.setswitchinterval(patience_s)
        activity.close()
    return found


@final
class _Activity:
    """Whether a thread computes or waits, as seen by another that holds the interpreter's lock."""

    def __init__(self, thread: ThreadIds) -> None:
        self._clock = time.pthread_getcpuclockid(thread.ident)
        self._used_s, self._at_s = time.clock_gettime(self._clock), time.monotonic()
        try:
            self._file = os.open(f"/proc/self/task/{thread.native_id}/syscall", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1  # Kernels may hide it.

    def is_on_cpu(self) -> bool:
        """Since the last time, mostly; where it did both, what it does now."""
        used_s, at_s = time.clock_gettime(self._clock), time.monotonic()
        share = (used_s - self._used_s) / max(1e-9, at_s - self._at_s)
        self._used_s, self._at_s = used_s, at_s
        if share > _BUSY_SHARE or self._file < 0:
            return share > 0.5
        try:
            call = os.pread(self._file, 16, 0).partition(b" ")[0].strip()
        except OSError:
            return share > 0.5
        # Runnable, or waiting for the lock that we hold; any other system call is a wait.
        return call == b"running" or (call == _FUTEX and share > _IDLE_SHARE)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
