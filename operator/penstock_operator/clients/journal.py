"""A job's journal in the store: read by whoever asks, and ruled by the operator while no JobManager does.

Slots are contiguous and each is created only if absent. Who begins a reign (`Reign.take`) has read all slots before,
so that whoever ruled before is refused at its next entry and ends without writing. Blocks, and is called in threads.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Final, final

from penstock_operator.clients.journal_format import (
    STATE_EVERY,
    Completed,
    Damaged,
    EpochTaken,
    JournalState,
    KnownEntry,
    Record,
    Started,
    decode,
    encode,
)
from penstock_operator.clients.layout import journal_slot
from penstock_operator.clients.objects import AlreadyThere, Objects
from penstock_operator.errors import Conflict, Missing, Rejected, Unavailable

OWNER: Final = "operator"
"""In entries of the operator's own reigns; a revision is never called so."""
_RIVALS_MAX: Final = 8
_TAIL_MAX: Final = 24
_AHEAD_MAX: Final = 16
"""Slots that are read at once: one after the other would take a second where a store is far away."""
_COUNTED_MAX: Final = 8
_LOOKED_AT_MAX: Final = 256


@final
class Journal:
    """Reads one job's journal, and when asked again only what is new."""

    def __init__(self, objects: Objects, job: str) -> None:
        self.objects = objects
        self.job = job
        self._state = JournalState()
        self._tail: list[Record] = []
        """Slots that were read one by one, the newest last."""

    @property
    def state(self) -> JournalState:
        """Complete up to the last `read`."""
        return self._state

    def read(self) -> JournalState:
        """Read to the end."""
        if not self._is_still_there():
            self._state, self._tail = JournalState(), []
            near_end = self._near_end()
            if near_end is None:
                return self._state
            self._state = near_end
        ahead = 1
        while True:
            records = self._next(ahead)
            for record in records:
                self.learn(record)
            if len(records) < ahead:
                return self._state
            ahead = min(2 * ahead, _AHEAD_MAX)

    def learn(self, record: Record) -> None:
        """This stands in the next slot."""
        self._state = self._state.after(record.entry)
        self._tail.append(record)
        del self._tail[:-_TAIL_MAX]

    def backwards(self) -> Iterator[Record]:
        """Slots as far as they were read, the newest first."""
        yield from reversed(self._tail)
        for slot in range(self._state.slots - len(self._tail) - 1, -1, -1):
            record = self.slot(slot)
            if record is None:
                raise Damaged(f"{journal_slot(self.job, slot)} is missing in {self.objects.uri}")
            yield record

    def completed_since_start(self) -> int:
        """Checkpoints since its owner began to run the job, restarts of the job and of JobManagers included; at
        most 8 are counted."""
        total, count, told = 0, 0, False
        ruling: str | None = None
        for record in islice(self.backwards(), _LOOKED_AT_MAX):
            match record.entry:
                case Completed():
                    count += 1
                case Started(start_id=start_id):
                    told = told or bool(start_id)
                case EpochTaken(owner=owner):  # Whose it was, stands below what was done in a reign.
                    if owner not in (ruling or owner, OWNER):
                        return total
                    total, count = total + count, 0
                    ruling = ruling if owner == OWNER else owner
                    if told:
                        return total
                case _:
                    pass
            if max(total, 0 if ruling else count) >= _COUNTED_MAX:
                return _COUNTED_MAX
        return total if ruling else count

    def _next(self, number: int) -> list[Record]:
        """As many of the next slots as are filled, read at once."""
        slots = range(self._state.slots, self._state.slots + number)
        if number == 1:
            found = [self.slot(slots[0])]
        else:
            with ThreadPoolExecutor(number, thread_name_prefix="journal") as pool:
                found = list(pool.map(self.slot, slots))
        end = next((at for at, record in enumerate(found) if record is None), number)
        return [record for record in found[:end] if record is not None]

    def _is_still_there(self) -> bool:
        """Whether what was read last time is; a journal that was purged may have begun anew."""
        if not self._tail:
            return False
        last = self.slot(self._state.slots - 1)
        return last is not None and last.nonce == self._tail[-1].nonce

    def slot(self, slot: int) -> Record | None:
        """What stands in a slot; None while it is empty."""
        path = journal_slot(self.job, slot)
        try:
            return decode(self.objects.read(path), f"{self.objects.uri}/{path}")
        except Missing:
            return None

    def _near_end(self) -> JournalState | None:
        """The last state that a slot holds; None where the first slot is empty, and so all are."""
        blocks = _last_true(lambda block: self.slot(block * STATE_EVERY) is not None)
        if blocks <= 0:
            return None if blocks < 0 else JournalState()
        record = self.slot(blocks * STATE_EVERY)
        if record is None or record.state is None or record.state.slots != blocks * STATE_EVERY:
            raise Damaged(f"{journal_slot(self.job, blocks * STATE_EVERY)} is damaged: it holds no state")
        return record.state


@final
class Reign:
    """The operator's rule over a job that no JobManager runs, from `take` on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._nonce = secrets.token_hex(16)
        self._epoch = 0

    @property
    def state(self) -> JournalState:
        return self._journal.state

    def take(self) -> JournalState:
        """Begin it. Rejected where the journal holds what is not understood. Uses no checkpoint ids."""
        for _ in range(_RIVALS_MAX):
            state = self._journal.read()
            if state.unknown:
                names = ", ".join(state.unknown)
                raise Rejected(
                    f"nothing is deleted: the journal of job {self._journal.job} holds {names}, which this operator "
                    "does not know: upgrade the operator"
                )
            number = state.epoch + 1
            if self._create(number, EpochTaken(number, OWNER, state.ids_below, state.ids_below)):
                self._epoch = number
                return self._journal.state
        raise Conflict(f"others keep taking job {self._journal.job}: look again")

    def append(self, entry: KnownEntry) -> JournalState:
        """Fill the next slot. Conflict where another rules by now. After Unavailable begin another reign."""
        assert self._epoch, "a reign is taken before anything is appended"
        if not self._create(self._epoch, entry):
            raise Conflict(f"job {self._journal.job} is ruled by {self.state.owner} since epoch {self.state.epoch}")
        return self._journal.state

    def _create(self, epoch: int, entry: KnownEntry) -> bool:
        """Whether the next slot holds it now; what holds it otherwise has been learned."""
        journal, slot = self._journal, self._journal.state.slots
        nonce = f"{self._nonce}.{secrets.token_hex(8)}"
        state = journal.state if slot and slot % STATE_EVERY == 0 else None
        record = Record(nonce, epoch, time.time_ns() // 1_000_000, entry, state)
        path = journal_slot(journal.job, slot)
        try:
            journal.objects.create(path, encode(record))
        except AlreadyThere:
            found = journal.slot(slot)
            if found is None:
                raise Unavailable(f"{path} in {journal.objects.uri} exists but cannot be read yet") from None
            journal.learn(found)
            return found.nonce == nonce
        journal.learn(record)
        return True


def _last_true(holds: Callable[[int], bool]) -> int:
    """The greatest n for which it holds, where it holds up to some n; -1 for none."""
    low, high = -1, 0
    while holds(high):
        low, high = high, max(1, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
