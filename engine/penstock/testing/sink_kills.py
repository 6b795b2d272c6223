"""A sink under an exactly-once job that dies again and again: a schedule of writes, checkpoints and kills.

The job is a counter of records. What is durable when it dies is the newest confirmed checkpoint: the next attempt is
restored from it and writes again what came after. Attempts that died are kept, and some of them wake up and go on.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from penstock.operators.sink_api import TwoPhaseCommittingSink
from penstock.testing.clocks import ManualClock
from penstock.testing.sinks import SinkRun, SinkSnapshot


class Killed(BaseException):
    """The process ends here."""


@final
class KillSwitch:
    """A step hook: raises Killed when a step has been reached so many times."""

    def __init__(self) -> None:
        self._left: int | None = None

    def arm(self, after: int) -> None:
        self._left = after

    def disarm(self) -> None:
        self._left = None

    def reached(self, step: str) -> None:
        if self._left is None:
            return
        if self._left == 0:
            self._left = None
            raise Killed(step)
        self._left -= 1


@final
@dataclass(frozen=True)
class Round:
    """Some records, then a checkpoint, during which the attempt may be killed."""

    records: int
    kill_after_steps: int | None
    """How many steps of the sink are passed before it dies; None: it lives."""
    confirmed: bool
    """Whether the checkpoint was confirmed before the attempt died."""
    stale_records: int
    """What the attempt, once it has been replaced, still writes."""


@final
@dataclass(frozen=True)
class _Checkpoint:
    next_record: int
    snapshot: SinkSnapshot


@final
class KillableJob:
    """Runs rounds to the end. All records below `final_count` must then be visible once."""

    def __init__(
        self, sink: TwoPhaseCommittingSink[Any, Any], switch: KillSwitch, record: Callable[[int], Any], **identity: Any
    ) -> None:
        self._sink = sink
        self._switch = switch
        self._record = record
        self._identity = identity
        self._clock = ManualClock()
        self._ids = itertools.count(1)
        self._durable: _Checkpoint | None = None
        self._next = 0
        self._attempt = self._start()

    def run(self, rounds: Sequence[Round]) -> None:
        """All rounds, then the end of the input."""
        for each in rounds:
            self._round(each)
        self._attempt.finish(next(self._ids))

    @property
    def final_count(self) -> int:
        return self._next

    def _round(self, each: Round) -> None:
        self._write(each.records)
        checkpoint = next(self._ids)
        if each.kill_after_steps is not None:
            self._switch.arm(each.kill_after_steps)
        try:
            snapshot = self._attempt.checkpoint(checkpoint)
            if each.confirmed or each.kill_after_steps is None:
                self._durable = _Checkpoint(self._next, snapshot)
                self._attempt.complete(checkpoint)
            elif each.kill_after_steps is not None:
                raise Killed("not confirmed")
        except Killed:
            self._replace(each.stale_records, checkpoint)
        finally:
            self._switch.disarm()

    def _write(self, count: int) -> None:
        self._attempt.write(*(self._record(number) for number in range(self._next, self._next + count)))
        self._next += count

    def _replace(self, stale_records: int, checkpoint: int) -> None:
        stale = self._attempt
        self._switch.disarm()
        self._attempt = self._start()
        if stale_records:
            # Nobody told the old one: it writes on, and takes part in checkpoints that nobody confirms.
            stale.write(*(self._record(-1) for _ in range(stale_records)))
            stale.checkpoint(checkpoint + 1)

    def _start(self) -> SinkRun:
        restored = self._durable
        self._next = 0 if restored is None else restored.next_record
        snapshots = None if restored is None else [restored.snapshot]
        return SinkRun(self._sink, clock=self._clock, restored=snapshots, **self._identity)
