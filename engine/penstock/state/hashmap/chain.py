"""Which keys the next snapshot must hold and which earlier files it may build on. Pure; keys are only moved about.

An interval is what was touched between two barriers. Until a checkpoint at or after its end is confirmed, its keys
belong to every later snapshot too. Sets are never merged or copied: at a barrier only references change hands.
"""

from collections.abc import Collection, Iterable
from enum import Enum
from typing import Any, Final, final

import msgspec

from penstock.base.ids import CheckpointId
from penstock.state.backend import SnapshotForm
from penstock.state.handles import StateFile
from penstock.state.hashmap.waste import Waste

FILES_MAX: Final = 64
"""A chain of more files than this is rewritten, however small they are."""
INTERVALS_MAX: Final = 16
"""After this many intervals without a confirmed checkpoint all keys are written again."""


@final
class Mode(Enum):
    """What a snapshot holds."""

    CHANGES = "changes"
    """The keys touched since the confirmed checkpoint, on top of its files."""
    BASE = "base"
    """All keys, in a file that later checkpoints may build on."""
    ALONE = "alone"
    """All keys, in a file of its own that nothing builds on."""


@final
class Interval(msgspec.Struct, eq=False):
    """Keys touched between two barriers. `parts` together hold all of them, also while a snapshot consumes them."""

    ends_at: CheckpointId
    parts: list[Collection[Any]]


@final
class Plan(msgspec.Struct):
    """What one snapshot does."""

    mode: Mode
    chain: tuple[StateFile, ...]
    """Files that come before the new one."""
    backlog: list[list[Collection[Any]]]
    """Parts of earlier intervals that no confirmed checkpoint covers."""


@final
class Chain(msgspec.Struct):
    """The confirmed files, and the intervals that they do not cover."""

    files: tuple[StateFile, ...] = ()
    """Of the newest confirmed checkpoint, base first; empty: there is none to build on."""
    waste: Waste = msgspec.field(default_factory=Waste)
    """Keys on no record any more."""
    _intervals: list[Interval] = msgspec.field(default_factory=list)
    _written: dict[CheckpointId, tuple[Mode, tuple[StateFile, ...] | None]] = msgspec.field(default_factory=dict)
    """Snapshots of which it is not known whether they hold, with their files once written."""

    def begin(
        self, checkpoint: CheckpointId, touched: Iterable[Collection[Any]], form: SnapshotForm
    ) -> tuple[Plan, Interval]:
        """A barrier: decide, and put the touched keys, in one or more collections, on record."""
        mode = self._mode(form)
        plan = Plan(mode, self.files if mode is Mode.CHANGES else (), [])
        if mode is Mode.CHANGES:
            plan.backlog = [interval.parts for interval in self._intervals]
        interval = Interval(checkpoint, [*touched])
        if self.files or self._written:
            # A base holds all keys anyway; but it may be given up after one before it was confirmed to build on.
            self._intervals.append(interval)
        else:
            self.waste.add(touched)
        if mode is not Mode.ALONE:
            self._written[checkpoint] = (mode, None)
        if len(self._intervals) > INTERVALS_MAX:
            self._start_over(keep=1)
        return plan, interval

    def written(self, checkpoint: CheckpointId, files: tuple[StateFile, ...]) -> None:
        """The snapshot's files are durable."""
        if checkpoint in self._written:
            self._written[checkpoint] = (self._written[checkpoint][0], files)

    def confirm(self, checkpoint: CheckpointId) -> None:
        """The checkpoint holds: build on it from now on."""
        known = self._written.get(checkpoint)
        if known is None:
            return  # One that stands alone, or one that was given up.
        if known[1] is not None:
            self.files = known[1]
            self.waste.add(
                part for interval in self._intervals if interval.ends_at <= checkpoint for part in interval.parts
            )
            self._intervals = [interval for interval in self._intervals if interval.ends_at > checkpoint]
        self._written = {other: state for other, state in self._written.items() if other > checkpoint}

    def abort(self, checkpoint: CheckpointId) -> None:
        """It will not hold; its interval stays on record for the next."""
        self._written.pop(checkpoint, None)

    def _mode(self, form: SnapshotForm) -> Mode:
        if form in ("full", "canonical"):
            return Mode.ALONE
        if form == "anew":
            return Mode.BASE
        if not self.files or any(mode is Mode.BASE for mode, _ in self._written.values()):
            # Once a rewritten base is confirmed, the files before it may be deleted: nothing may refer to them then.
            return Mode.BASE
        return Mode.BASE if must_rewrite([file.file.size for file in self.files]) else Mode.CHANGES

    def stop_noting(self, touched: Iterable[Collection[Any]]) -> None:
        """From here to the next barrier nobody notes what is touched: it begins a chain of its own."""
        self._start_over(keep=0)
        self.waste.add(touched)

    def _start_over(self, *, keep: int) -> None:
        self.files = ()
        self._written.clear()  # Nothing may build on what is under way: its later intervals are off the record.
        gone = len(self._intervals) - keep
        self.waste.add(part for interval in self._intervals[:gone] for part in interval.parts)
        self._intervals = self._intervals[gone:]


def must_rewrite(sizes: Iterable[int]) -> bool:
    """Whether a chain of files of these sizes, base first, has become too long."""
    base, *changes = sizes
    return sum(changes) > base / 2 or len(changes) >= FILES_MAX
