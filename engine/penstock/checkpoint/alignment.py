"""When a task has the barriers of all its inputs: the pure half of checkpointing inside a task.

The task's loop says what arrives on which input channel and carries out what comes back, in order. Nothing here knows
of sockets, buffers or clocks. A channel that has ended counts as aligned: all it ever sent comes before the snapshot.
After the end of its *data* a channel still carries barriers, until the task behind it has had its last checkpoint.

    Exactly once      a channel whose barrier has come is blocked until the last one has
    At least once     no channel is blocked, so records that overtake a barrier are replayed after a restore
"""

from collections.abc import Iterable
from typing import Final, final

import msgspec

from penstock.base.ids import CheckpointId

_REMEMBERED_MAX: Final = 64
"""So many checkpoints may be under way, or aborted before their barrier came, in one task."""

_NONE: Final = CheckpointId(0)

Channel = int
"""Index of an input channel of the task, over all its inputs."""


@final
class Block(msgspec.Struct, frozen=True):
    """Take nothing more from this channel; what its sender has credit for waits."""

    channel: Channel


@final
class Snapshot(msgspec.Struct, frozen=True):
    """Emit the barrier and take the snapshot, now, before any other record."""

    checkpoint: CheckpointId


@final
class UnblockAll(msgspec.Struct, frozen=True):
    """Go on taking from every channel."""


@final
class Aborted(msgspec.Struct, frozen=True):
    """This task takes no part in that checkpoint: decline it."""

    checkpoint: CheckpointId
    reason: str


Command = Block | Snapshot | UnblockAll | Aborted


@final
class Alignment(msgspec.Struct):
    """Barriers of a task with `channels` inputs. A source has none and is triggered."""

    channels: int
    exactly_once: bool = True
    _seen: dict[CheckpointId, set[Channel]] = msgspec.field(default_factory=dict)
    """Of each checkpoint under way, the channels its barrier has come through; at most one when exactly once."""

    _blocked: set[Channel] = msgspec.field(default_factory=set)
    _ended: set[Channel] = msgspec.field(default_factory=set)
    _decided: CheckpointId = _NONE
    """Every checkpoint up to this one has been taken or given up; its barriers mean nothing any more."""

    _aborted: set[CheckpointId] = msgspec.field(default_factory=set)
    """Given up beyond `_decided`."""

    @property
    def pending(self) -> CheckpointId | None:
        """The newest checkpoint whose barriers are coming in."""
        return max(self._seen, default=None)

    @property
    def blocked(self) -> frozenset[Channel]:
        return frozenset(self._blocked)

    @property
    def all_ended(self) -> bool:
        return len(self._ended) == self.channels

    def barrier(self, channel: Channel, checkpoint: CheckpointId) -> list[Command]:
        """A barrier has come through a channel."""
        assert 0 <= channel < self.channels and channel not in self._ended, f"no barrier comes through {channel}"
        assert channel not in self._blocked, f"channel {channel} is blocked"
        if self._is_decided(checkpoint):
            return []
        commands = self._begin(checkpoint)
        self._seen[checkpoint].add(channel)
        if self._is_aligned(checkpoint):
            return commands + self._take(checkpoint)
        if self.exactly_once:
            self._blocked.add(channel)
            commands.append(Block(channel))
        return commands

    def triggered(self, checkpoint: CheckpointId) -> list[Command]:
        """The coordinator asks this task itself: it is a source, or all tasks before it have ended."""
        if self._is_decided(checkpoint):
            return []
        commands = self._begin(checkpoint)
        return commands + self._take(checkpoint) if self._is_aligned(checkpoint) else commands

    def ended(self, channel: Channel) -> list[Command]:
        """A channel has ended: nothing comes through it any more, no barrier either."""
        assert channel not in self._blocked, f"channel {channel} is blocked: its end waits behind its barrier"
        self._ended.add(channel)
        for checkpoint in sorted(self._seen, reverse=True):
            if self._is_aligned(checkpoint):
                return self._take(checkpoint)
        return []

    def aborted(self, checkpoint: CheckpointId) -> list[Command]:
        """The coordinator has given the checkpoint up. The task already knows; nothing is to be declined."""
        if self._is_decided(checkpoint):
            return []
        self._aborted.add(checkpoint)
        if len(self._aborted) > _REMEMBERED_MAX:
            self._decide(min(self._aborted))
        return self._unblocked() if self._seen.pop(checkpoint, None) is not None else []

    def _begin(self, checkpoint: CheckpointId) -> list[Command]:
        """Make it the one under way; when exactly once, in place of an older one."""
        if checkpoint in self._seen:
            return []
        commands: list[Command] = []
        if self.exactly_once:
            commands += self._give_up(list(self._seen), f"the barrier of checkpoint {checkpoint} came first")
            self._decide(CheckpointId(checkpoint - 1))
        elif len(self._seen) >= _REMEMBERED_MAX:
            commands += self._give_up([min(self._seen)], f"more than {_REMEMBERED_MAX} checkpoints are under way")
        self._seen[checkpoint] = set()
        return commands

    def _take(self, checkpoint: CheckpointId) -> list[Command]:
        del self._seen[checkpoint]
        older = [other for other in self._seen if other < checkpoint]
        commands: list[Command] = [Snapshot(checkpoint)]
        commands += self._give_up(older, f"checkpoint {checkpoint} was complete first")
        self._decide(checkpoint)
        return commands + self._unblocked()

    def _give_up(self, checkpoints: Iterable[CheckpointId], reason: str) -> list[Command]:
        commands: list[Command] = []
        for checkpoint in sorted(checkpoints):
            del self._seen[checkpoint]
            self._aborted.add(checkpoint)
            commands.append(Aborted(checkpoint, reason))
        return commands + self._unblocked() if commands else []

    def _unblocked(self) -> list[Command]:
        if not self._blocked:
            return []
        self._blocked.clear()
        return [UnblockAll()]

    def _is_aligned(self, checkpoint: CheckpointId) -> bool:
        return len(self._seen[checkpoint] | self._ended) == self.channels

    def _is_decided(self, checkpoint: CheckpointId) -> bool:
        return checkpoint <= self._decided or checkpoint in self._aborted

    def _decide(self, upto: CheckpointId) -> None:
        self._decided = max(self._decided, upto)
        self._aborted = {checkpoint for checkpoint in self._aborted if checkpoint > self._decided}
