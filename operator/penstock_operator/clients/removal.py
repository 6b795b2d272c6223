"""Deletes what a job has in the store while no JobManager lives, under an epoch of the operator's own.

The order is always: the journal forgets, then `_metadata` goes, then the rest. So whoever dies in between leaves files
that nobody refers to, which the next removal finds by their names. Files that a checkpoint which is still retained
refers to stay, and so does whatever was uploaded for a checkpoint of this reign or a later one. Blocks; called in
threads. What the job would go on from is never deleted, except by a purge.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

import msgspec

from penstock_operator.clients.journal import Journal, Reign
from penstock_operator.clients.journal_format import (
    Completed,
    Damaged,
    Finished,
    Forgotten,
    FromCheckpoint,
    FromEmpty,
    FromSavepoint,
    JournalState,
    OriginForgotten,
    Started,
)
from penstock_operator.clients.layout import (
    METADATA,
    checkpoint_at,
    checkpoint_of,
    checkpoints_prefix,
    is_savepoint_name,
    journal_prefix,
    journal_slot,
    notes_prefix,
    shared_prefix,
    uploaded_for,
)
from penstock_operator.clients.objects import Address, Found, Objects
from penstock_operator.clients.soundness import OpenAt, read_metadata
from penstock_operator.errors import Missing, Rejected

_METADATA_END: Final = f"/{METADATA}"


@final
@dataclass(frozen=True, slots=True)
class Removed:
    """What went, or in a dry run would go."""

    paths: tuple[str, ...] = ()
    """Addresses of files."""
    bytes: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed((*self.paths, *other.paths), self.bytes + other.bytes)


class _Note(msgspec.Struct):
    target: str


@final
class Remover:
    """Removes things of one job."""

    def __init__(self, journal: Journal, open_at: OpenAt) -> None:
        self._journal = journal
        self._objects = journal.objects
        self._job = journal.job
        self._open_at = open_at

    def dispose(self, paths: Iterable[str]) -> Removed:
        """Remove savepoints and retained checkpoints of this job, and what was left behind. Rejected says why one
        of them stays, and then all do. What is gone already counts as removed."""
        checkpoints, savepoints = self._sorted_out(paths)
        reign = self._ruled()
        removed = Removed()
        if reign is not None:
            self._check_unneeded(reign.state, checkpoints, savepoints)
            _forget(reign, checkpoints, savepoints)
            removed += self._sweep(reign.state, checkpoints)
        for address in savepoints:
            removed += self._delete_savepoint(address)
        return removed

    def sweep(self) -> Removed:
        """Remove what no retained checkpoint needs: left behind by processes that died."""
        return self.dispose(())

    def purge(self, savepoints: Iterable[str]) -> Removed:
        """Remove all the job has: checkpoints, these savepoints, unfinished ones, its journal."""
        _, addresses = self._sorted_out(savepoints)
        try:
            reign = self._ruled()
        except Damaged:
            reign = None  # No JobManager could go on from it either.
        claimed = reign is not None and reign.state.claimed
        if reign is not None and not claimed:
            self._renounce(reign)
        removed = Removed()
        for address in (*addresses, *self._unfinished()):
            removed += self._delete_savepoint(address)
            self._abandon(*_folder(self._open_at, address))
        if claimed:
            return removed  # The rest is another job's, and the journal is what says so.
        self._abandon(self._objects, f"{self._job}/")
        files = self._objects.list(f"{self._job}/")
        journal = [found for found in files if found.path.startswith(journal_prefix(self._job))]
        others = [found for found in files if not found.path.startswith(journal_prefix(self._job))]
        removed += self._delete(self._objects, others)
        # Without its first slot it is none, and from then on what is left of it is garbage.
        first = journal_slot(self._job, 0)
        return removed + self._delete(self._objects, journal, first=lambda path: path == first)

    def _sorted_out(self, paths: Iterable[str]) -> tuple[set[int], list[Address]]:
        """Numbers of own checkpoints, addresses of savepoints; Rejected for what is neither."""
        checkpoints: set[int] = set()
        savepoints: list[Address] = []
        root = Address.of(self._objects.uri)
        for path in paths:
            address = Address.of(path.rstrip("/").removesuffix(_METADATA_END))
            above, name = address.split()
            found = checkpoint_at(f"{above.split()[1]}/{name}")
            if found is not None and found[0] == self._job and root.below(f"{self._job}/{name}") == address:
                checkpoints.add(found[1])
            elif is_savepoint_name(name, self._job):
                savepoints.append(address)
            else:
                raise Rejected(f"{path} is not deleted: it is no savepoint or checkpoint that job {self._job} took")
        for address in savepoints:
            self._check_ours(address)
        return checkpoints, savepoints

    def _ruled(self) -> Reign | None:
        """A reign of our own; None where there is no journal."""
        if not self._journal.read().slots:
            return None
        reign = Reign(self._journal)
        reign.take()
        return reign

    def _check_unneeded(self, state: JournalState, checkpoints: set[int], savepoints: Sequence[Address]) -> None:
        if state.claimed and checkpoints:
            raise Rejected(f"checkpoints of job {self._job} are not deleted: another job has claimed what lies there")
        for number, candidate in enumerate(state.candidates):
            match candidate.origin:
                case FromCheckpoint(id) if id in checkpoints and number == 0:
                    raise Rejected(f"checkpoint {id} is not deleted: it is what job {self._job} would go on from")
                case FromSavepoint(path) if Address.of(path) in savepoints and number == 0:
                    raise Rejected(f"{path} is not deleted: it is what job {self._job} would go on from")
                case FromSavepoint(path, claimed) if Address.of(path) in savepoints and claimed:
                    raise Rejected(f"{path} is not deleted: job {self._job} has claimed it, and deletes it itself")
                case _:
                    pass

    def _sweep(self, state: JournalState, forgotten: set[int]) -> Removed:
        if state.claimed:
            return Removed()  # Another job's checkpoints may need any of it.
        kept = [completed for completed in state.retained if completed.id not in forgotten]
        below = state.first_id
        needed = self._needed(kept)
        folders = {completed.id for completed in kept}
        gone = [f for f in self._objects.list(checkpoints_prefix(self._job)) if _is_left(f.path, below, folders)]
        if needed is not None:
            shared = self._objects.list(shared_prefix(self._job))
            gone += [f for f in shared if f.path not in needed and _is_older(f.path, below)]
        return self._delete(self._objects, gone)

    def _needed(self, kept: Iterable[Completed]) -> set[str] | None:
        """Shared files that these need; None where nobody knows."""
        needed: set[str] = set()
        for completed in kept:
            try:
                needed |= read_metadata(self._objects, completed.path, completed.checksum).shared.keys()
            except Damaged:
                return None
        return needed

    def _check_ours(self, address: Address) -> None:
        try:
            metadata = read_metadata(self._open_at(address), METADATA)
        except Damaged:
            return  # What is left of one, or never became one: the name says whose it is.
        if metadata.kind != "savepoint" or metadata.job != self._job:
            raise Rejected(f"{address.uri} is not deleted: it is a {metadata.kind} of job {metadata.job}")

    def _delete_savepoint(self, address: Address) -> Removed:
        """All that is in its folder, which nobody else writes to."""
        objects, prefix = _folder(self._open_at, address)
        return self._delete(objects, objects.list(prefix))

    def _abandon(self, objects: Objects, prefix: str) -> None:
        """What was never finished. It costs money, and hinders nobody: who may not look for it goes on without."""
        with suppress(Rejected):
            objects.abandon(prefix)

    def _unfinished(self) -> list[Address]:
        """Savepoints that were being written when a JobManager died; not one that it has completed."""
        found = []
        for note in self._objects.list(notes_prefix(self._job)):
            try:
                address = Address.of(msgspec.json.decode(self._objects.read(note.path), type=_Note).target)
            except (msgspec.DecodeError, Missing, Rejected):
                continue
            above, name = address.split()
            if is_savepoint_name(name, self._job) and not self._open_at(above).list(f"{name}/{METADATA}"):
                found.append(address)
        return found

    def _renounce(self, reign: Reign) -> None:
        """From here on the journal names nothing, and whoever opens it finds a job that has ended."""
        reign.append(Started(FromEmpty(), ""))
        for completed in reign.state.retained:
            reign.append(Forgotten(completed.id))
        reign.append(Finished("CANCELED"))

    def _delete(
        self,
        objects: Objects,
        found: Sequence[Found],
        *,
        first: Callable[[str], bool] = lambda path: _is_metadata(path),
    ) -> Removed:
        for group in ([f.path for f in found if first(f.path)], [f.path for f in found if not first(f.path)]):
            if group:
                objects.delete(group)
        return Removed(tuple(f"{objects.uri}/{f.path}" for f in found), sum(f.size for f in found))


def _folder(open_at: OpenAt, address: Address) -> tuple[Objects, str]:
    """What lies above it, and how paths in it begin."""
    above, name = address.split()
    return open_at(above), f"{name}/"


def _forget(reign: Reign, checkpoints: set[int], savepoints: Sequence[Address]) -> None:
    """Have the journal name them no more."""
    for completed in reign.state.retained:
        if completed.id in checkpoints:
            reign.append(Forgotten(completed.id))
    origins = [candidate.origin for candidate in reign.state.candidates]
    if any(isinstance(o, FromSavepoint) and Address.of(o.path) in savepoints for o in origins):
        reign.append(OriginForgotten())


def _is_metadata(path: str) -> bool:
    return path.endswith(_METADATA_END)


def _is_left(path: str, below: int, kept: set[int]) -> bool:
    number = checkpoint_of(path)
    return number is not None and number < below and number not in kept


def _is_older(path: str, below: int) -> bool:
    number = uploaded_for(path)
    return number is not None and number < below
