"""What a task's inputs measure while barriers come in: how long they are aligned, and what is taken meanwhile."""

import time

import pytest

from penstock.base.clock import SystemClock
from penstock.base.ids import ChannelId, CheckpointId
from penstock.checkpoint.alignment import Alignment
from penstock.exchange.local import LocalInput, LocalOutput, local_channel
from penstock.exchange.settings import ExchangeSettings
from penstock.records.batch import MIN_TIMESTAMP, Barrier, Watermark
from penstock.taskmanager.inputs import TaskInput

LATER_S = 1000.0


class TwoChannels:
    """A task input with two ports, one channel each, and the producers' ends."""

    def __init__(self, *, exactly_once: bool = True) -> None:
        self.declined: list[CheckpointId] = []
        ends = [local_channel(ChannelId(n), ExchangeSettings(), SystemClock()) for n in range(2)]
        self.producers: list[LocalOutput] = [producer for producer, _ in ends]
        self.consumers: list[LocalInput] = [consumer for _, consumer in ends]
        self.inputs = TaskInput(
            self.consumers,
            [0, 1],
            Alignment(2, exactly_once),
            lambda checkpoint, reason: self.declined.append(checkpoint),
        )
        self.inputs.on_data(lambda: None)

    def barrier(self, channel: int, checkpoint: int) -> None:
        self.producers[channel].write_control(Barrier(CheckpointId(checkpoint), 0))
        while self.inputs.take() is not None:
            pass

    def is_aligning(self) -> bool:
        now_s = time.perf_counter()
        return self.inputs.alignment_now_s(now_s + LATER_S) - self.inputs.alignment_now_s(now_s) > LATER_S / 2


@pytest.mark.parametrize("exactly_once", [True, False])
def test_alignment_lasts_from_the_first_barrier_to_the_last(exactly_once: bool) -> None:
    channels = TwoChannels(exactly_once=exactly_once)
    assert not channels.is_aligning()
    channels.barrier(0, 1)
    assert channels.is_aligning()
    channels.consumers[1].traffic.bytes += 70
    channels.barrier(1, 1)
    assert not channels.is_aligning()
    assert 0 < channels.inputs.alignment_s < LATER_S
    assert channels.inputs.aligned_bytes == 70


def test_a_checkpoint_in_place_of_another_is_measured_from_its_own_first_barrier() -> None:
    channels = TwoChannels()
    channels.barrier(0, 1)
    channels.consumers[1].traffic.bytes += 70
    channels.barrier(1, 2)
    assert channels.declined == [1]
    assert channels.is_aligning()
    channels.consumers[1].traffic.bytes += 5
    channels.barrier(0, 2)
    assert not channels.is_aligning()
    assert channels.inputs.aligned_bytes == 5


def test_an_aborted_checkpoint_is_no_longer_aligned_for() -> None:
    channels = TwoChannels()
    channels.barrier(0, 1)
    channels.inputs.abort(CheckpointId(1))
    assert not channels.is_aligning()


def test_each_port_has_a_watermark_of_its_own() -> None:
    channels = TwoChannels()
    channels.producers[1].write_control(Watermark(7))
    assert channels.inputs.take() is None
    assert channels.inputs.watermarks() == (MIN_TIMESTAMP, 7)
    assert channels.inputs.watermark == MIN_TIMESTAMP
