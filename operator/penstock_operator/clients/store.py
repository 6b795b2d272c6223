"""What a job has in its store: told as facts, and deleted where no JobManager lives to do it.

Both worlds call it. All work is done in threads, under a time-out, and at most some at a time for one endpoint, so
that one that is down does not hold up the jobs of others. What runs on after its time-out does no harm: reading changes
nothing, and deletions are fenced by the journal.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, final

from penstock_operator.clients.inventory import Kept, look_for_savepoint, newest, retained, savepoints
from penstock_operator.clients.journal import OWNER, Journal
from penstock_operator.clients.journal_format import Damaged, FromCheckpoint, FromEmpty, FromSavepoint
from penstock_operator.clients.layout import checkpoint_folder
from penstock_operator.clients.objects import Address, Files, Objects
from penstock_operator.clients.removal import Removed, Remover
from penstock_operator.clients.s3 import Bucketed, S3Access
from penstock_operator.decide.facts import Checkpoint, StoreFacts, Unknown, Verified
from penstock_operator.errors import OperatorError, Rejected, Unavailable

T = TypeVar("T")

TIMEOUT_S: Final = 30.0
"""To look at something."""
REMOVAL_TIMEOUT_S: Final = 300.0
_THREADS: Final = 256
"""Made as they are needed: several endpoints may be down at once."""
_AT_ONCE: Final = 16
"""For one endpoint."""
_JOURNALS_MAX: Final = 2_000


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a job keeps its state."""

    job: str
    """32 hexadecimal digits."""
    checkpoints: str | None
    """Address of the checkpoint folder. None: in the JobManager's memory, which nothing outlives."""
    access: S3Access = field(default_factory=S3Access)


@final
@dataclass(slots=True)
class _Known:
    journal: Journal
    lock: threading.Lock = field(default_factory=threading.Lock)


@final
class StoreClient:
    """The stores of all jobs."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="store")
        self._lanes: dict[str | None, asyncio.Semaphore] = {}
        self._known: OrderedDict[Place, _Known] = OrderedDict()

    def close(self) -> None:
        """What is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # What is there.

    async def facts(self, place: Place) -> StoreFacts | Unknown:
        """What the journal says."""
        if place.checkpoints is None:
            return StoreFacts(exists=False, recoverable=False)
        return await self._told(place, lambda: self._with_journal(place, partial(_facts, open_at=self._opener(place))))

    async def verified(self, place: Place, directory: str) -> Verified | Unknown:
        """Whether the one savepoint in this folder is whole."""
        look = partial(_verified, open_at=self._opener(place), directory=directory)
        return await self._told(place, lambda: self._with_journal(place, look))

    async def retained(self, place: Place) -> tuple[Checkpoint, ...] | Unknown:
        """The checkpoints that are kept, newest first."""

        def look(journal: Journal) -> tuple[Checkpoint, ...]:
            journal.read()
            return tuple(Checkpoint(kept.path, kept.time_ms, kept.needed, kept.bytes) for kept in retained(journal))

        return await self._told(place, lambda: self._with_journal(place, look))

    async def savepoints(self, place: Place, directory: str) -> tuple[Kept, ...] | Unknown:
        """The job's savepoints below this folder, newest first."""

        def look(journal: Journal) -> tuple[Kept, ...]:
            journal.read()
            return savepoints(journal, self._opener(place), Address.of(directory))

        return await self._told(place, lambda: self._with_journal(place, look))

    # What goes. Only while no JobManager of the job lives: one that does is deposed.

    async def dispose(self, place: Place, paths: Iterable[str]) -> Removed:
        """Remove these savepoints and retained checkpoints, and what was left behind. Rejected says what is needed."""
        unwanted = tuple(paths)
        return await self._removed(place, lambda remover: remover.dispose(unwanted))

    async def purge(self, place: Place, savepoints: Iterable[str]) -> Removed:
        """Remove all the job has, and these savepoints."""
        if place.checkpoints is None:
            return Removed()
        unwanted = tuple(savepoints)
        return await self._removed(place, lambda remover: remover.purge(unwanted))

    async def _removed(self, place: Place, work: Callable[[Remover], Removed]) -> Removed:
        def remove() -> Removed:
            open_at = self._opener(place)
            return work(Remover(self._journal(place), open_at))

        return await self._in_thread(place, remove, REMOVAL_TIMEOUT_S)

    async def _told(self, place: Place, look: Callable[[], T]) -> T | Unknown:
        try:
            return await self._in_thread(place, look, TIMEOUT_S)
        except OperatorError as error:
            return Unknown(str(error))

    async def _in_thread(self, place: Place, work: Callable[[], T], timeout_s: float) -> T:
        lane = self._lanes.setdefault(place.access.endpoint, asyncio.Semaphore(_AT_ONCE))
        try:
            async with asyncio.timeout(timeout_s):
                await lane.acquire()
                future = asyncio.get_running_loop().run_in_executor(self._pool, work)
                future.add_done_callback(partial(_left, lane))
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise Unavailable(f"{place.checkpoints} has not answered within {timeout_s:g} s") from error

    def _with_journal(self, place: Place, look: Callable[[Journal], T]) -> T:
        """With what is known of the journal from before; in a thread, one at a time for each job."""
        known = self._known.get(place)
        if known is None:
            known = self._known[place] = _Known(self._journal(place))
            while len(self._known) > _JOURNALS_MAX:
                self._known.popitem(last=False)
        with known.lock:
            return look(known.journal)

    def _journal(self, place: Place) -> Journal:
        if place.checkpoints is None:
            raise Rejected(f"job {place.job} keeps its state in memory: nothing of it lies in a store")
        return Journal(self._opener(place)(Address.of(place.checkpoints)), place.job)

    def _opener(self, place: Place) -> Callable[[Address], Objects]:
        def open_at(address: Address) -> Objects:
            if address.bucket:
                return Bucketed(address.bucket, address.path, place.access)
            if not _is_mounted(Path(address.path)):
                raise Rejected(
                    f"{address.uri} is a folder on the job's machines, which the operator does not see: keep state in s3://"
                )
            return Files(Path(address.path))

        return open_at


def _is_mounted(folder: Path) -> bool:
    """Whether at least the first folder on the way is there; below it a job may not have begun."""
    return len(folder.parts) < 2 or Path(*folder.parts[:2]).is_dir()


def _left(lane: asyncio.Semaphore, future: "asyncio.Future[T]") -> None:
    lane.release()
    if not future.cancelled():
        future.exception()  # Seen, also where nobody waits any more.


def _facts(journal: Journal, open_at: Callable[[Address], Objects]) -> StoreFacts:
    try:
        state = journal.read()
    except Damaged as error:
        return StoreFacts(exists=True, recoverable=False, damaged=str(error))
    if not state.slots:
        return StoreFacts(exists=False, recoverable=False)
    best = newest(journal, open_at)
    found = best.restorable
    return StoreFacts(
        exists=True,
        recoverable=found is not None,
        newest_path=None if found is None else found.path,
        newest_id=None if found is None else found.id,
        newest_time_ms=0 if found is None else found.time_ms,
        # Who deleted something here has not ruled the job.
        ruling_revision=state.owner if state.owner != OWNER else state.started_by,
        started_from=_origin(journal),
        completed_in_reign=journal.completed_since_start(),
        stopped_path=None if state.stopped is None else state.stopped.path,
        ended=state.finished,
        max_parallelism=None if found is None else found.max_parallelism,
        damaged=best.damaged,
    )


def _origin(journal: Journal) -> str:
    started = journal.state.started
    match None if started is None else started.origin:
        case FromEmpty():
            return "empty"
        case FromSavepoint(path):
            return path
        case FromCheckpoint(id):
            return f"{journal.objects.uri}/{checkpoint_folder(journal.job, id)}"
        case None:
            return ""


def _verified(journal: Journal, open_at: Callable[[Address], Objects], directory: str) -> Verified:
    journal.read()
    found = look_for_savepoint(journal, open_at, directory)
    return Verified(found.path, found.sound, found.bytes, found.finding)
