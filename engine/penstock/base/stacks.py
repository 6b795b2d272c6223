"""What the threads of this process are doing: as text for people, and sampled for flame graphs.

Taken by a thread that does nothing else, so it works while the others compute. Only names of functions and their lines
are shown, never values.
"""

import asyncio
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
_BEFORE_S: Final = 0.001
"""A thread counts as running if it used the processor just before it is looked at."""
_RUNNING_SHARE: Final = 0.2
_PATIENCE_S: Final = 0.0001
"""How long the interpreter's lock is waited for before its holder is asked to let go, while sampling."""


@final
class ThreadStack(NamedTuple):
    """One thread."""

    name: str
    text: str


@final
class Sample(NamedTuple):
    """What a thread was found doing."""

    on_cpu: bool
    frames: tuple[str, ...]
    """Outermost first, each as `module.function:line`."""


def dump_threads(process: str) -> tuple[ThreadStack, ...]:
    """All threads of this process; the main thread is first."""
    frames = sys._current_frames()
    known = {thread.ident: thread for thread in threading.enumerate()}
    main = threading.main_thread().ident
    found: list[ThreadStack] = []
    for ident, frame in sorted(frames.items(), key=lambda item: item[0] != main):
        thread = known.get(ident)
        name = f"thread-{ident}" if thread is None else thread.name
        number = ident if thread is None else thread.native_id
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
    ident: int, owner: Callable[[], Owner], *, samples: int, interval_s: float, depth_max: int
) -> Counter[tuple[Owner, Sample]]:
    """Look at one thread so many times; `owner()` says whose work it does at that moment.

    Run on a loop of another thread. Each look costs some 50 us and one change of threads.
    """
    clock = time.pthread_getcpuclockid(ident)
    found: Counter[tuple[Owner, Sample]] = Counter()
    patience_s = sys.getswitchinterval()
    # Else the lock would mostly be had where the thread lets go of it by itself, and only waiting would be seen.
    sys.setswitchinterval(_PATIENCE_S)
    try:
        for _ in range(samples):
            used, at = time.clock_gettime(clock), time.monotonic()
            await asyncio.sleep(_BEFORE_S)
            share = (time.clock_gettime(clock) - used) / (time.monotonic() - at)
            frame = sys._current_frames().get(ident)
            found[owner(), Sample(share >= _RUNNING_SHARE, frames_of(frame, depth_max))] += 1
            del frame
            await asyncio.sleep(max(0.0, interval_s - _BEFORE_S))
    finally:
        sys.setswitchinterval(patience_s)
    return found
