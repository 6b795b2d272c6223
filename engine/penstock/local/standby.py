"""A JobManager in standby: loads its job, has its workers ready, and starts when it is told from what.

Started by `penstock jobmanager --standby --revision NAME`. Whoever upgrades the job starts one for each revision, side
by side: they share the job's journal, and only the one that was told last may write. Until it is told it changes
nothing in the store. A restarted one goes on by itself if the journal says that the job is its revision's. One
that cannot start, or whose job has ended, stays up and says so; one that is deposed ends its process, and waits
when it comes up again.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, Final, NoReturn, final

import msgspec

from penstock.base.clock import SystemClock
from penstock.base.errors import JobDefinitionError, LeadershipLost, PenstockError, StoreUnavailable
from penstock.base.folders import own_folder
from penstock.base.ids import Epoch, JobId, WorkerId
from penstock.base.logs import log_for, log_to_files
from penstock.base.tracebacks import said
from penstock.checkpoint.journal import Journal, Known
from penstock.checkpoint.journal_state import JournalState
from penstock.common.configuration import Configuration
from penstock.common.job_status import JobStatus
from penstock.common.log_places import jobmanager_logs
from penstock.graph.job_graph import JobGraph
from penstock.graph.loading import install_prelude
from penstock.jobmanager.assembly import load_job
from penstock.jobmanager.job_master import JobMaster
from penstock.jobmanager.parallelism import as_rescaled
from penstock.jobmanager.placement import required_slots
from penstock.jobmanager.preflight import Report
from penstock.jobmanager.prewarming import Prewarming
from penstock.jobmanager.reign import Ahead, GoOn, Start, StartOrder
from penstock.jobmanager.standing import Standing, Verdict
from penstock.local.deposal import Deposal
from penstock.local.endpoints import Endpoints, Host
from penstock.local.jobmanager import Stores, Suspended, first, new_master
from penstock.local.looking_ahead import LookingAhead
from penstock.local.script_child import ScriptChild, ScriptRefused, refuse_collecting
from penstock.rest.asking import StandbyView
from penstock.rpc.messages import JobLoaded, WorkerMessage

log: Final = logging.getLogger(__name__)

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_AGAIN_S: Final = 0.5
_AGAIN_MAX_S: Final = 10.0


@final
class StandbyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a JobManager in standby is told on its command line."""

    job: JobId
    revision: str
    script: Path
    arguments: tuple[str, ...]
    cluster: Configuration
    given: Configuration
    """What has the last word over the script's own settings."""
    secret: bytes


@final
class _Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What there is once the script has said what the job is."""

    graph: JobGraph
    configuration: Configuration
    stores: Stores
    prewarming: Prewarming
    ahead: LookingAhead


@final
class Standby:
    """One of them. `run` is its whole life; REST asks `view`, `start` and `preflight`."""

    def __init__(
        self, order: StandbyOrder, announce: Callable[[str], None], deposed: Callable[[str], NoReturn]
    ) -> None:
        """`announce(sentence)` tells people what is going on; `deposed(reason)` ends this process on the spot."""
        self._order = order
        self._announce = announce
        self._deposed = deposed
        self._standing = Standing(order.revision)
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[signal.Signals] = self._loop.create_future()
        self._shut_down = asyncio.Event()
        self._broken: asyncio.Future[NoReturn] = self._loop.create_future()
        self._child: ScriptChild | None = None
        self._loaded: _Loaded | None = None
        self._known: Known | None = None
        self._master: JobMaster | None = None
        self._required = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._folder = own_folder("jobmanager")
        self._deposal = Deposal(order.job, order.revision)
        host = Host(
            master=lambda: self._master,
            workers_changed=self._workers_changed,
            on_worker=self._on_worker,
            shut_down=self._cancel_and_end,
            standby=self,
        )
        configuration = Configuration(order.cluster).add_all(order.given)
        self._endpoints = Endpoints(order.job, order.cluster, configuration, order.secret, host)

    async def run(self) -> Suspended | JobStatus:
        """Serve until it is told to stop; the job's final state if somebody has ended the cluster."""
        for number in _STOPPING:
            self._loop.add_signal_handler(number, self._stop, number)
        order = self._order
        log_for(order.job)
        log_to_files(jobmanager_logs(order.cluster, order.job), rotate=True, printed=True)
        try:
            self._announce(f"revision {order.revision} of job {order.job} stands by; {await self._endpoints.open()}")
            self._do(self._load())
            over = asyncio.create_task(self._shut_down.wait())
            await first([over, self._stopped, self._broken])
            over.cancel()
            if self._broken.done():
                self._broken.result()
            if self._stopped.done():
                return Suspended(self._stopped.result())
            return JobStatus.CANCELED if self._master is None else self._master.status
        finally:
            await self._close()

    # What REST asks.

    def view(self) -> StandbyView:
        """How far it is."""
        standing, loaded = self._standing, self._loaded
        registered = len(self._endpoints.workers.alive)
        if self._is_idle:
            registered = 0 if loaded is None else loaded.prewarming.loaded
        return StandbyView(
            standing=standing,
            slots_required=self._required,
            slots_registered=registered,
            preflight=None if loaded is None else loaded.ahead.report,
            against=None if loaded is None else loaded.ahead.against,
        )

    def start(self, order: StartOrder) -> Verdict:
        """Begin the job from what somebody says, once under an id."""
        verdict = self._standing.verdict(order.id)
        if verdict == "begin":
            self._standing = self._standing.told(order.id)
            log.info("told to start", extra={"start": order.id, "from_state": order.kind, "path": order.path})
            self._do(self._begin(order))
        return verdict

    async def preflight(self, against: str | None, allow_unclaimed: bool | None) -> Report:
        """Look again."""
        assert self._loaded is not None, "there is a job to look at"
        return await self._loaded.ahead.look(against, allow_unclaimed)

    @property
    def _is_idle(self) -> bool:
        """Whether it may be told to start next; then its workers are to be ready for that."""
        return self._standing.state not in ("STARTING", "STARTED")

    # Its life.

    async def _load(self) -> None:
        """Have the script say what the job is, and the journal whose it is; then wait, or go on."""
        try:
            loaded = self._loaded = await self._job()
            master = self._master = self._new_master(loaded)
        except PenstockError as error:
            self._cannot_load(error)
            return
        self._workers_changed()
        journal: JournalState = await self._until_available(lambda: self._in_thread(self._read_journal))
        if not journal.terminal:
            self._required = len(required_slots(as_rescaled(loaded.graph, journal.rescaled)))
        self._standing = self._standing.loaded(journal, deposed=self._deposal.noted)
        match self._standing.state:
            case "STARTING":
                self._announce(f"job {self._order.job} is this revision's: it goes on")
                await self._begin(GoOn())
            case "ENDED":
                assert journal.finished is not None, "it has ended"
                master.has_ended(JobStatus[journal.finished])
                self._announce(f"job {self._order.job} has ended {journal.finished} in this revision")
                await loaded.ahead.look(None, None)
            case _:
                self._announce(f"job {loaded.graph.name} waits to be told from what to start")
                await loaded.ahead.look(None, None)

    async def _job(self) -> _Loaded:
        order = self._order
        given = Configuration(order.cluster).add_all(order.given)
        child = self._child = ScriptChild(order.script, order.arguments, given, rehearse=True)
        graph, settings = await self._in_thread(lambda: _first_word(child))
        refuse_collecting(graph)
        loaded = self._taken_over(graph, Configuration(order.cluster).add_all(settings).add_all(order.given), child)
        try:
            # Split enumerators are the user's code, and their state may hold objects of the script's own classes.
            await self._in_thread(lambda: install_prelude(graph, self._folder.path))
        except Exception as error:
            text = f"what the script defines cannot be loaded: {said(error)}"
            raise JobDefinitionError(text) from error
        return loaded

    def _cannot_load(self, error: PenstockError) -> None:
        text = str(error)
        if isinstance(error, ScriptRefused):
            self._announce((error.report or text).rstrip())
            text += f" ({error.line})" if error.line and error.line not in text else ""
        self._loaded = None
        if self._child is not None:
            self._child.close()
        self._standing = self._standing.not_loaded(text)
        self._announce(f"revision {self._order.revision} has no job to start: {text}")

    def _taken_over(self, graph: JobGraph, configuration: Configuration, child: ScriptChild) -> _Loaded:
        order, stores = self._order, Stores.of(configuration)
        self._required = len(required_slots(graph))
        return _Loaded(
            graph=graph,
            configuration=configuration,
            stores=stores,
            prewarming=Prewarming(load_job(order.job, Epoch(0), graph, configuration), self._endpoints.workers),
            ahead=LookingAhead(
                job=order.job,
                script=order.script,
                arguments=order.arguments,
                given=Configuration(order.cluster).add_all(order.given),
                graph=graph,
                configuration=configuration,
                stores=stores,
                read_journal=self._read_journal,
                child=child,
            ),
        )

    def _new_master(self, loaded: _Loaded) -> JobMaster:
        return new_master(
            self._order.job,
            loaded.graph,
            loaded.configuration,
            loaded.stores,
            self._endpoints.workers,
            owner=self._order.revision,
            deposed=self._be_deposed,
        )

    def _read_journal(self) -> JournalState:
        assert self._loaded is not None, "the job says where its journal is"
        store, order = self._loaded.stores.checkpoints, self._order
        journal = Journal(store, order.job, order.revision, clock=SystemClock(), rng=Random(), known=self._known)
        state = journal.open()
        self._known = journal.known
        return state

    async def _begin(self, start: Start) -> None:
        """Drive the job to its end."""
        assert self._loaded is not None, "there is a job to start"
        self._loaded.ahead.give_way()
        self._deposal.forget()
        master = self._fresh_master(self._loaded)
        ahead = Ahead(self._known, self._loaded.ahead.probed)
        try:
            await self._until_available(lambda: _started(master, start, ahead))
        except LeadershipLost as error:
            self._be_deposed(str(error))
        except PenstockError as error:
            self._standing = self._standing.refused(str(error))
            self._announce(f"job {self._order.job} cannot start: {error}")
            return
        self._standing = self._standing.began()
        self._announce(f"job {self._order.job} has begun")
        master.workers_changed()
        result = await master.result
        self._standing = self._standing.over(result.status.name)
        self._announce(f"job {self._order.job} {result.status.name} after {result.runtime_ms / 1000:.1f} s")
        self._workers_changed()

    def _fresh_master(self, loaded: _Loaded) -> JobMaster:
        """One whose job has not ended: another start is another reign."""
        assert self._master is not None, "it came with the job"
        if self._master.result.done():
            self._master.close()
            self._master = self._new_master(loaded)
        return self._master

    async def _until_available(self, attempt: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Try again for as long as the store cannot be reached, and say so."""
        wait_s = _AGAIN_S
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                self._standing = self._standing.delayed(str(error))
                log.warning("the store cannot be reached", extra={"reason": str(error)})
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _AGAIN_MAX_S)

    # Workers.

    def _workers_changed(self) -> None:
        if self._loaded is not None and self._is_idle:
            self._loaded.prewarming.workers_changed()
        if self._master is not None:
            self._master.workers_changed()

    def _on_worker(self, worker: WorkerId, message: WorkerMessage) -> None:
        if self._loaded is not None and isinstance(message, JobLoaded):
            self._loaded.prewarming.on_loaded(worker)
        if self._master is not None:
            self._master.on_worker(worker, message)

    # Its end.

    async def _close(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        # Threads that wait for the script are waited for at the end.
        if self._loaded is not None:
            self._loaded.ahead.give_way()
        elif self._child is not None:
            self._child.kill()
        # TaskManagers that go because we do are no failure of the job.
        master, self._master = self._master, None
        if master is not None:
            master.close()
        await self._endpoints.close()
        self._deposal.forget()
        self._folder.remove()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await self._loop.run_in_executor(None, work)

    def _be_deposed(self, reason: str) -> NoReturn:
        # Nothing is waited for: what still writes in a thread must not get further.
        journal = None if self._master is None else self._master.journaled
        if journal is not None and journal.owner == self._order.revision:
            self._deposal.note()
        self._folder.remove()
        self._deposed(reason)

    def _cancel_and_end(self) -> None:
        master = self._master
        if master is None or master.result.done() or self._standing.state not in ("STARTING", "STARTED"):
            self._shut_down.set()
        else:
            master.result.add_done_callback(lambda _: self._shut_down.set())
            master.cancel()

    def _stop(self, number: signal.Signals) -> None:
        if not self._stopped.done():
            self._stopped.set_result(number)


def _first_word(child: ScriptChild) -> tuple[JobGraph, Configuration]:
    try:
        return child.job()
    except BaseException:
        child.close()
        raise


async def _started(master: JobMaster, start: Start, ahead: Ahead) -> None:
    if not master.result.done():  # It may have been cancelled while the store could not be reached.
        await master.start(start, ahead)
