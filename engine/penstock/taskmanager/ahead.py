"""Keyed state of tasks to come, opened while others run: then a job that is rescaled does not stand still for it.

The worker hands in what the JobManager asks for; whoever builds a task takes what is here of its state. That saves time
and is good for nothing else: a task for which there is nothing restores its state itself. Only state in RocksDB, which
lies on disk: in memory there may be no room for two shapes of a job.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from penstock.checkpoint.files import SnapshotReading
from penstock.graph.job_graph import JobGraph
from penstock.records.key_groups import KeyGroupRange, range_for
from penstock.rpc.messages import RestoreAhead, StateAhead
from penstock.state.handles import KeyedHandle
from penstock.state.open import restore_ahead
from penstock.state.settings import StateSettings

if TYPE_CHECKING:
    from penstock.state.rocksdb.memory import RocksMemory
    from penstock.state.rocksdb.restore import Restored

log: Final = logging.getLogger(__name__)


@final
class AheadStates:
    """Those of one worker."""

    def __init__(
        self,
        directory: Path,
        reading: SnapshotReading,
        memory: "RocksMemory | None",
        settings: StateSettings,
    ) -> None:
        self._directory = directory
        self._reading = reading
        self._memory = memory
        self._settings = settings
        self._lock = threading.Lock()
        self._request = 0
        self._held: list[tuple[str, KeyGroupRange, Sequence[KeyedHandle], Restored]] = []

    def begin(self, asked: RestoreAhead, graph: JobGraph) -> Callable[[], None]:
        """From here on only this counts. What is to be done for it blocks, and is done in a thread."""
        with self._lock:
            self._request = asked.request
            dropped, self._held = [restored for *_, restored in self._held], []

        def work() -> None:
            for restored in dropped:
                restored.close()
            with self._lock:
                if self._request != asked.request:
                    return
                hold_or_not = self._reading.hold if asked.tasks else self._reading.let_go
                hold_or_not(self)
            for task in asked.tasks:
                self._restore(asked.request, task, graph)

        return work

    def take(self, uid: str, key_groups: KeyGroupRange, handles: Sequence[KeyedHandle]) -> "Restored | None":
        """What was made of exactly these handles; the caller's from now on. In any thread."""
        with self._lock:
            for held in self._held:
                if held[:3] == (uid, key_groups, handles):
                    self._held.remove(held)
                    return held[3]
        return None

    def _restore(self, request: int, task: StateAhead, graph: JobGraph) -> None:
        vertex = graph.vertex(task.subtask.vertex)
        key_groups = range_for(vertex.max_parallelism, task.parallelism, task.subtask.index)
        for operator, handles in zip(vertex.chain, task.keyed, strict=True):
            if not handles or self._memory is None or self._request != request:
                continue
            try:
                restored = restore_ahead(
                    operator_name=operator.name,
                    key_groups=key_groups,
                    restore=handles,
                    reader=self._reading,
                    directory=self._directory,
                    memory=self._memory,
                    settings=self._settings,
                )
            except Exception as error:
                # The task will meet it again, if it has not passed until then.
                log.info("state was not restored ahead", extra={"operator": operator.name}, exc_info=error)
                continue
            with self._lock:
                if is_wanted := self._request == request:
                    self._held.append((operator.uid, key_groups, handles, restored))
            if not is_wanted:
                restored.close()
