"""Finds the files of a file source and deals out their splits. Runs on the JobManager.

Files are known by their paths: one that is listed again, however changed, is not read again.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import final

import msgspec

from penstock.base.errors import NotFound
from penstock.connectors.file_access import InputFiles
from penstock.connectors.splits import FileSplit, InputFile, split_size, splits_of
from penstock.operators.source_api import SplitEnumerator, SplitEnumeratorContext

log = logging.getLogger(__name__)


@final
class FilesSeen(msgspec.Struct, frozen=True):
    """What a checkpoint keeps: splits that wait for a reader, and, where folders are watched, the files found so
    far."""

    splits: list[FileSplit]
    paths: list[str] | None


@final
class FileEnumerator(SplitEnumerator[FileSplit, FilesSeen]):
    """One source's enumerator, bounded or watching."""

    def __init__(
        self,
        context: SplitEnumeratorContext[FileSplit],
        files: InputFiles,
        paths: Sequence[str],
        is_splittable: Callable[[str], bool],
        *,
        rescan_ms: int | None,
        state: FilesSeen | None,
    ) -> None:
        self._context = context
        self._files = files
        self._paths = paths
        self._is_splittable = is_splittable
        self._rescan_ms = rescan_ms
        self._splits = deque(state.splits if state is not None else ())
        self._seen = set((state.paths or ()) if state is not None else ())
        self._listed = state is not None
        self._hungry: deque[int] = deque()

    def start(self) -> None:
        if self._rescan_ms is not None:
            self._context.call_async(self._list, self._take, 0, self._rescan_ms)
        elif not self._listed:
            self._plan(self._list())
            self._listed = True

    def handle_split_request(self, subtask: int, hostname: str | None) -> None:
        if self._splits:
            self._context.assign_split(self._splits.popleft(), subtask)
        elif self._rescan_ms is None:
            self._context.signal_no_more_splits(subtask)
        elif subtask not in self._hungry:
            self._hungry.append(subtask)

    def add_splits_back(self, splits: Sequence[FileSplit], subtask: int) -> None:
        self._splits.extendleft(reversed(splits))
        self._feed()

    def add_reader(self, subtask: int) -> None:
        """Readers ask by themselves; what an earlier attempt asked for is void."""
        if subtask in self._hungry:
            self._hungry.remove(subtask)

    def snapshot_state(self, checkpoint_id: int) -> FilesSeen:
        return FilesSeen(list(self._splits), sorted(self._seen) if self._rescan_ms is not None else None)

    def _list(self) -> list[InputFile]:
        """All files there are now. A watched folder may come into being later."""
        found: list[InputFile] = []
        for path in self._paths:
            try:
                found += self._files.list(path)
            except NotFound:
                if self._rescan_ms is None:
                    raise
        return found

    def _take(self, files: list[InputFile], error: BaseException | None) -> None:
        if error is not None:
            # A passing fault of the store is healed by the next look; readers notice a lasting one.
            log.warning("cannot look for new files", extra={"paths": list(self._paths), "error": str(error)})
            return
        self._plan(files)
        self._feed()

    def _plan(self, files: list[InputFile]) -> None:
        new = [file for file in files if file.path not in self._seen]
        if self._rescan_ms is None:
            new.sort()
        else:
            # Oldest first, so that a watched folder is read in the order in which it grew.
            new.sort(key=lambda file: (file.modified_ms, file.path))
        self._seen.update(file.path for file in new)
        size = split_size(new, self._context.current_parallelism())
        for file in new:
            if not file.size:
                continue
            if self._is_splittable(file.path):
                self._splits.extend(splits_of(file, size))
            else:
                self._splits.append(FileSplit(file.path, 0, None))

    def _feed(self) -> None:
        readers = self._context.registered_readers()
        while self._splits and self._hungry:
            subtask = self._hungry.popleft()
            if subtask in readers:
                self._context.assign_split(self._splits.popleft(), subtask)
