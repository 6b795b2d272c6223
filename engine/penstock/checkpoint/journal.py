"""A job's journal in an object store: the one truth about which checkpoints exist and who may write.

Slots are contiguous and each is created only if absent. Who fills slot k+1 has read all up to k; so a create that is
refused tells a JobManager that another one has come after it, and it ends without writing anything. The JobManager
is the only caller that appends; recovery and tools only read. Calls block; they may come from several threads, of which
one works at a time. What the entries mean is decided in `journal_state.py`.

Slots are never deleted while anyone may still write: a gap would let a sleeper fill its old next slot. To keep opening
cheap, every 64th slot also holds the state before it, and the end is found by doubling and halving.

Steps a fault test may stop at: `journal.epoch.before`, `journal.epoch.taken`, and for each entry type in lower case
`journal.<type>.before` and `journal.<type>.written`.
"""

import threading
from collections.abc import Callable
from random import Random
from typing import Final, final

import msgspec

from penstock.base.clock import Clock
from penstock.base.errors import (
    AlreadyExists,
    DamagedData,
    IncompatibleState,
    LeadershipLost,
    NotFound,
    StoreUnavailable,
)
from penstock.base.ids import CheckpointId, Epoch, JobId
from penstock.base.steps import reached
from penstock.checkpoint.journal_state import IDS_AHEAD, Entry, EpochTaken, JournalState
from penstock.checkpoint.layout import journal_slot
from penstock.storage.objects import ObjectStore

FORMAT: Final = 1
_STATE_EVERY: Final = 64
_RIVALS_MAX: Final = 64


@final
class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one slot holds."""

    format: int
    nonce: str
    """`<of the reign>.<of the record>`: tells one's own record from another's when an answer was lost."""

    epoch: Epoch
    at_ms: int
    """The writer's clock, for people; nothing is decided by it."""

    entry: Entry
    state: JournalState | None = None
    """What all earlier slots amount to; in every 64th slot."""


class _Header(msgspec.Struct):
    format: int


def encode(record: Record) -> bytes:
    return msgspec.json.encode(record)


def decode(data: bytes, where: str) -> Record:
    try:
        version = msgspec.json.decode(data, type=_Header).format
        if version > FORMAT:
            raise IncompatibleState(f"{where} has format {version}; this Penstock reads up to format {FORMAT}")
        return msgspec.json.decode(data, type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedData(f"{where} is damaged: {error}") from error


@final
class Known(msgspec.Struct, frozen=True):
    """How far a journal was read: who opens it again reads on from there."""

    state: JournalState
    nonce: str
    """Of the last slot."""


@final
class Journal:
    """One JobManager's view of one job's journal."""

    def __init__(
        self,
        store: ObjectStore,
        job: JobId,
        owner: str,
        *,
        clock: Clock,
        rng: Random,
        known: Known | None = None,
    ) -> None:
        """`owner` names the JobManager, for people and for `rivals`; `known` is from another view of it."""
        self._lock = threading.RLock()
        self._store = store
        self._job = job
        self._owner = owner
        self._clock = clock
        self._rng = rng
        self._nonce = f"{rng.getrandbits(128):032x}"
        self._state = JournalState()
        self._known = known
        self._last = ""
        self._reign: Epoch | None = None
        self._deposed: str | None = None
        self._doubtful: Record | None = None
        self._landed: Entry | None = None
        """An entry that was in doubt and was then met while reading."""

    @property
    def state(self) -> JournalState:
        """What is known of the journal; complete up to the last read or append."""
        return self._state

    @property
    def known(self) -> Known:
        """For the next one that opens it."""
        with self._lock:
            return Known(self._state, self._last)

    @property
    def epoch(self) -> Epoch:
        assert self._reign is not None, "no epoch was taken yet"
        return self._reign

    def open(self) -> JournalState:
        """Read to the end. Changes nothing."""
        with self._lock:
            if self._state.slots == 0:
                self._state = self._state_known() or self._state_near_end()
            while (record := self._read(self._state.slots)) is not None:
                self._learn(record)
            return self._state

    def take_epoch(self, *, unless: Callable[[JournalState], str | None] = lambda state: None) -> Epoch:
        """Begin a reign: from here on, whoever reigned before can append nothing.

        LeadershipLost with what `unless` gives of the state that the epoch would follow, if anything: nobody comes in
        between. After StoreUnavailable call it again: the epoch is taken once.
        """
        with self._lock:
            return self._take_epoch(unless)

    def append(self, entry: Entry) -> JournalState:
        """Fill the next slot, or learn that another has: LeadershipLost.

        After StoreUnavailable the outcome is unknown. Nothing else can be appended before it is settled, and the way
        to settle it is to call this again with the same entry, which appends it once. A different entry settles first.
        """
        with self._lock:
            return self._append_once(entry)

    def confirm(self) -> None:
        """Read on; LeadershipLost if another JobManager has come. For before one acts on what has only been read."""
        with self._lock:
            self.open()
            self._check_reign()

    @property
    def settled(self) -> bool:
        """Whether the outcome of every append is known. What to recover from must not be chosen before."""
        return self._doubtful is None

    def _take_epoch(self, unless: Callable[[JournalState], str | None]) -> Epoch:
        if self._reign is not None:
            self._check_reign()
            return self._reign
        for _ in range(_RIVALS_MAX):
            state = self.open()
            self._doubtful = self._landed = None  # A try of ours that still arrives has our nonce, or is refused.
            if self._reign is not None:
                self._check_reign()
                return self._reign  # An earlier attempt of ours, whose answer was lost, is in the journal.
            if (reason := unless(state)) is not None:
                raise LeadershipLost(reason)
            first = state.next_id
            entry = EpochTaken(Epoch(state.epoch + 1), self._owner, first, CheckpointId(first + IDS_AHEAD))
            reached("journal.epoch.before")
            if self._create(self._record(entry.number, entry)):
                reached("journal.epoch.taken")
                return entry.number
        raise LeadershipLost(f"{_RIVALS_MAX} other JobManagers took job {self._job} at the same time")

    def _append_once(self, entry: Entry) -> JournalState:
        assert self._reign is not None, "an epoch must be taken before anything is appended"
        self._check_reign()
        landed, self._landed = self._landed, None
        if landed == entry:
            return self._state
        doubtful = self._doubtful
        if doubtful is not None:
            self._append(doubtful)
            if doubtful.entry == entry:
                return self._state
        name = str(entry.__struct_config__.tag).lower()
        reached(f"journal.{name}.before")
        self._append(self._record(self._reign, entry))
        reached(f"journal.{name}.written")
        return self._state

    def _append(self, record: Record) -> None:
        if self._create(record):
            return
        self._check_reign()
        # Nobody took an epoch, and yet the slot is another's: it is left of a journal that was deleted.
        self._deposed = (
            f"{journal_slot(self._job, self._state.slots - 1)} in {self._store.uri} was written by somebody who does "
            f"not lead job {self._job}: this JobManager ({self._owner}, epoch {self._reign}) ends without writing"
        )
        self._check_reign()

    def _check_reign(self) -> None:
        if self._deposed is not None:
            raise LeadershipLost(self._deposed)

    def _create(self, record: Record) -> bool:
        """Whether the record stands in the next slot; if not, what stands there has been learned."""
        slot = self._state.slots
        earlier_doubt, self._doubtful = self._doubtful, record
        try:
            self._store.create(journal_slot(self._job, slot), encode(record))
        except AlreadyExists:
            found = self._read(slot)
            if found is None:
                raise StoreUnavailable(f"{journal_slot(self._job, slot)} exists but cannot be read yet") from None
        except StoreUnavailable:
            raise
        except Exception:
            # Refused for good, so it is not there; but an earlier try with an unknown outcome may have put it there.
            self._doubtful = earlier_doubt
            raise
        else:
            found = record
        self._doubtful = None
        self._learn(found)
        return found.nonce == record.nonce

    def _record(self, epoch: Epoch, entry: Entry) -> Record:
        slot = self._state.slots
        state = self._state if slot and slot % _STATE_EVERY == 0 else None
        nonce = f"{self._nonce}.{self._rng.getrandbits(64):016x}"
        return Record(FORMAT, nonce, epoch, self._clock.now_ms(), entry, state)

    def _learn(self, record: Record) -> None:
        self._state, self._last = self._state.after(record.entry), record.nonce
        if self._doubtful is not None and record.nonce == self._doubtful.nonce:
            self._doubtful, self._landed = None, record.entry
        if not isinstance(record.entry, EpochTaken):
            return
        if record.nonce.startswith(f"{self._nonce}."):
            self._reign = record.entry.number
        elif self._reign is not None:
            self._deposed = (
                f"job {self._job} is led by {record.entry.owner} since epoch {record.entry.number}:"
                f" this JobManager ({self._owner}, epoch {self._reign}) ends without writing"
            )

    def _read(self, slot: int) -> Record | None:
        path = journal_slot(self._job, slot)
        try:
            return decode(self._store.read(path), path)
        except NotFound:
            return None

    def _state_known(self) -> JournalState | None:
        """None where nothing is known, or it is another journal by now: the job was deleted, and has begun anew."""
        known = self._known
        if known is None or not known.state.slots:
            return None
        record = self._read(known.state.slots - 1)
        if record is None or record.nonce != known.nonce:
            return None
        self._last = known.nonce
        return known.state

    def _state_near_end(self) -> JournalState:
        """The newest state that a slot holds, so that at most 64 slots remain to be read."""
        blocks = last_true(lambda block: self._read(block * _STATE_EVERY) is not None)
        if blocks <= 0:
            return JournalState()
        record = self._read(blocks * _STATE_EVERY)
        assert record is not None, "slots are never deleted"
        if record.state is None or record.state.slots != blocks * _STATE_EVERY:
            raise DamagedData(f"{journal_slot(self._job, blocks * _STATE_EVERY)} is damaged: it holds no state")
        return record.state


def last_true(holds: Callable[[int], bool]) -> int:
    """The greatest n for which `holds(n)`, where it holds up to some n and not beyond; -1 when for none."""
    low, high = -1, 0
    while holds(high):
        low, high = high, max(1, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
