"""The pre-flight of a JobManager in standby: what it last found, and the next look, one at a time.

The job's functions are opened in the script's own process, for what state they ask for: once for all looks, and
not at all by a JobManager that has a job to go on with.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

import msgspec

from penstock.base.errors import PenstockError
from penstock.base.ids import JobId, OperatorUid
from penstock.checkpoint.comparison import Asked
from penstock.checkpoint.journal_state import JournalState
from penstock.common.configuration import Configuration
from penstock.common.options import checkpointing
from penstock.graph.job_graph import JobGraph
from penstock.jobmanager.preflight import Preflight, Report, described, newest_address, not_found_out, program_of
from penstock.local.jobmanager import Stores
from penstock.local.script_child import ScriptChild


@final
class LookingAhead(msgspec.Struct, kw_only=True):
    """`look`, then read `report` and `against`. On the JobManager's loop."""

    job: JobId
    script: Path
    arguments: tuple[str, ...]
    given: Configuration
    graph: JobGraph
    configuration: Configuration
    stores: Stores
    read_journal: Callable[[], JournalState]
    child: ScriptChild | None
    """It has said what the job is, and is finding out what state its operators ask for."""
    report: Report | None = None
    """Of the last look at what is asked for; None until there is one."""
    against: str | None = None
    _asked: Mapping[OperatorUid, Asked] | None = None
    _in_use: ScriptChild | None = None
    """By the look that is under way, in its thread."""
    _hands: threading.Lock = msgspec.field(default_factory=threading.Lock)
    _turn: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    _wanted: tuple[str | None, bool | None] | None = None
    """By the last look."""
    _begun: int = 0
    """How many."""

    async def look(self, against: str | None, allow_unclaimed: bool | None) -> Report:
        """At the state at an address, or at the newest in the journal.

        Who asks faster than can be looked sees the last report meanwhile, and shares the next look.
        """
        wanted, begun = (against, allow_unclaimed), self._begun
        async with self._turn:
            if self._wanted != wanted:
                self.report, self.against, self._wanted = None, against, wanted
            elif self._begun > begun and self.report is not None:
                return self.report
            self._begun += 1
            loop = asyncio.get_running_loop()
            report, found = await loop.run_in_executor(None, self._looked, against, allow_unclaimed)
            self.report, self.against = report, found
            return report

    @property
    def probed(self) -> bool:
        """Whether the last look found that the store takes checkpoints."""
        report = self.report
        return report is not None and report.outcome != "error" and all(f.kind != "store" for f in report.findings)

    def give_way(self) -> None:
        """There is something more urgent to do: the script's process ends, and with it a look that is under way."""
        with self._hands:
            idle, self.child = self.child, None
            if self._in_use is not None:
                self._in_use.kill()
        if idle is not None:
            idle.close()

    def _looked(self, against: str | None, allow_unclaimed: bool | None) -> tuple[Report, str | None]:
        if allow_unclaimed is None:
            allow_unclaimed = self.configuration.get(checkpointing.RECOVERY_IGNORE_UNCLAIMED)
        try:
            program = program_of(self.graph, self.configuration, self._rehearsed())
            preflight = Preflight(
                job=self.job,
                store=self.stores.checkpoints,
                open_root=self.stores.open_root,
                read_journal=self.read_journal,
                program=program,
                description=described(self.graph, self.script, program),
            )
            report = preflight.report(against, allow_unclaimed=allow_unclaimed)
            if report.state is not None:
                return report, against or report.state["path"]
            return report, against or newest_address(self.stores.checkpoints, self.job, self.read_journal())
        except PenstockError as error:
            return not_found_out(error), against
        except OSError as error:
            return not_found_out(PenstockError(f"the job could not be looked at: {error}")), against

    def _rehearsed(self) -> Mapping[OperatorUid, Asked]:
        if self._asked is None:
            with self._hands:
                waiting, self.child = self.child, None
                child = self._in_use = waiting or ScriptChild(self.script, self.arguments, self.given, rehearse=True)
            try:
                if waiting is None:
                    child.job()
                self._asked = child.asked()
            finally:
                with self._hands:
                    self._in_use = None
                child.close()
        return self._asked
