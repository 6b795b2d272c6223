"""A reign's entries in the journal: one after the other in a thread of their own, each until its fate is known.

The checkpoint service appends; what came of an entry goes back to its coordinator. A store that is away is waited for.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, final

from penstock.base.errors import LeadershipLost, PenstockError, StoreUnavailable
from penstock.checkpoint.journal import Journal
from penstock.checkpoint.journal_state import Entry, Finished
from penstock.checkpoint.protocol import Event

log: Final = logging.getLogger(__name__)

T = TypeVar("T")
_RETRY_S: Final = 0.5
_ToEvent = Callable[[str], Event]


@final
class Entries:
    """Of one reign."""

    def __init__(
        self,
        journal: Journal,
        *,
        feed: Callable[[Event], None],
        deposed: Callable[[LeadershipLost], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        """`feed` is told what came of each entry, `deposed` that nothing more can be entered; `start` runs a task."""
        self._journal = journal
        self._feed = feed
        self._deposed = deposed
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")
        self._waiting: deque[tuple[Entry, Callable[[], Event], _ToEvent | None]] = deque()
        self._appending = False
        self._over = False

    def append(self, entry: Entry, written: Callable[[], Event], refused: _ToEvent | None) -> None:
        """Enter it after those before it. Where `refused` is None, nobody is told that it could not be."""
        self._waiting.append((entry, written, refused))
        if not self._appending:
            self._appending = True
            self._start(self._append_all())

    async def confirm(self) -> None:
        """Wait until it is certain that the reign was not over yet. LeadershipLost when it was."""
        await self._reaching(self._journal.confirm)

    async def beside(self, work: Callable[[], T]) -> T:
        """Do something in the journal's thread, where nothing is appended meanwhile."""
        return await self._loop.run_in_executor(self._thread, work)

    def close(self) -> None:
        """Enter nothing more."""
        self._over = True
        self._thread.shutdown(wait=False)

    async def _append_all(self) -> None:
        try:
            while self._waiting and not self._over:
                await self._append(*self._waiting.popleft())
        except LeadershipLost as error:
            self._deposed(error)
        finally:
            self._appending = False

    async def _append(self, entry: Entry, written: Callable[[], Event], refused: _ToEvent | None) -> None:
        try:
            await self._reaching(lambda: self._journal.append(entry))
        except LeadershipLost:
            raise
        except PenstockError as error:
            log.warning("the journal refused an entry", extra={"entry": type(entry).__name__}, exc_info=error)
            if refused is not None:
                self._feed(refused(str(error)))
                return
            if not isinstance(entry, Finished):
                return
        self._feed(written())

    async def _reaching(self, work: Callable[[], T]) -> T:
        """However long the store is away."""
        while True:
            try:
                return await self.beside(work)
            except StoreUnavailable as error:
                log.warning("the journal cannot be reached", exc_info=error)
                await asyncio.sleep(_RETRY_S)
