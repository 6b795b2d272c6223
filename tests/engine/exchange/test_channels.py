"""Credit: never more in flight than was granted, everything arrives in order, nobody waits for ever."""

from collections import deque
from typing import final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import ProtocolError
from penstock.base.ids import ChannelId, CheckpointId
from penstock.exchange.channels import InputChannel, OutputChannel
from penstock.exchange.codec import UnsendableRecord
from penstock.exchange.input import RemoteInput
from penstock.exchange.local import local_channel
from penstock.exchange.output import RemoteOutput
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.wire import CHANNEL, CHANNEL_AND_SIZE, Kind
from penstock.records.batch import Barrier, Batch, Element, EndOfData, EndOfPartition, Watermark

CHANNEL_ID = ChannelId(7)
WINDOW, FRAME = 4000, 1000
SETTINGS = ExchangeSettings(window_bytes=WINDOW, frame_bytes=FRAME, local_batches=4, local_records=100)


@final
class ManualClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)


@final
class Pair:
    """Both ends of a channel with a wire between them, on which frames and grants lie until they are delivered."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wire: deque[tuple[Kind, bytes]] = deque()
        self.grants: deque[int] = deque()
        self.granted = 0
        self.sent = 0
        self.largest_in_flight = 0
        self.credited: list[None] = []
        self.arrivals: list[None] = []
        self.detached: list[OutputChannel] = []
        self.output = RemoteOutput(CHANNEL_ID, SETTINGS, self.clock, self._send, self.detached.append)
        self.output.on_credit = lambda: self.credited.append(None)
        self.input = RemoteInput(CHANNEL_ID, WINDOW, lambda gone: None)
        self.input.on_data = lambda: self.arrivals.append(None)

    def open(self) -> "Pair":
        self.input.opened(self._grant)
        self.settle()
        return self

    def settle(self) -> None:
        """Deliver all that lies on the wire, and what that brings about."""
        while self.deliver() or self.pass_grant():
            pass

    def deliver(self) -> bool:
        if not self.wire:
            return False
        kind, payload = self.wire.popleft()
        self.input.arrived(kind, payload)
        return True

    def pass_grant(self) -> bool:
        if not self.grants:
            return False
        self.output.granted(self.grants.popleft())
        return True

    def _grant(self, count: int) -> None:
        self.granted += count
        self.grants.append(count)

    def _send(self, kind: Kind, *parts: bytes | memoryview) -> None:
        if kind is Kind.WITHDRAW:
            return
        payload = b"".join(parts)
        self.wire.append((kind, payload))
        self.sent += len(payload) - (CHANNEL_AND_SIZE.size if kind is Kind.FIRST else CHANNEL.size)
        assert self.sent <= self.granted, "sent more than was granted"


def taken(channel: InputChannel) -> list[Element]:
    elements: list[Element] = []
    while (element := channel.take()) is not None:
        elements.append(element)
    return elements


def records(elements: list[Element]) -> list[object]:
    return [value for element in elements if isinstance(element, Batch) for value in element.values]


def test_nothing_is_sent_before_the_first_grant() -> None:
    pair = Pair()
    assert not pair.output.has_credit
    pair.output.write_batch(Batch(["early"]))
    assert not pair.wire
    pair.open()
    assert taken(pair.input) == [Batch(["early"])]
    assert pair.output.has_credit
    assert pair.credited == [None]


def test_a_producer_that_ends_before_it_is_connected_still_ends_at_its_consumer() -> None:
    pair = Pair()
    pair.output.write_control(EndOfPartition())
    pair.output.close()
    assert pair.detached == []
    pair.open()
    assert taken(pair.input) == [EndOfPartition()]
    assert pair.detached == [pair.output]


def test_elements_come_out_in_order_with_timestamps_and_keys() -> None:
    pair = Pair().open()
    elements: list[Element] = [
        Batch(["a", "b"], [1, 2], ["k", "l"]),
        Watermark(2),
        Barrier(CheckpointId(3), 4),
        Batch([{"c": 1}]),
        EndOfData(),
        EndOfPartition(),
    ]
    for element in elements:
        if isinstance(element, Batch):
            pair.output.write_batch(element)
        else:
            pair.output.write_control(element)
    pair.settle()
    assert taken(pair.input) == elements
    assert pair.input.is_complete
    assert pair.detached == [pair.output]


def test_what_exceeds_the_credit_is_parked_and_goes_out_when_the_reader_takes() -> None:
    pair = Pair().open()
    for number in range(20):
        pair.output.write_batch(Batch([f"{number:400}"]))
        pair.settle()
    assert not pair.output.has_credit
    assert not pair.output.is_drained
    assert pair.input.queued_bytes <= WINDOW
    assert pair.output.parked_bytes + pair.input.queued_bytes == pair.output.traffic.bytes
    assert pair.credited == [None]
    seen: list[Element] = []
    while (element := pair.input.take()) is not None:
        seen.append(element)
        pair.settle()
    assert records(seen) == [f"{number:400}" for number in range(20)]
    assert pair.output.has_credit
    assert pair.credited == [None, None]


def test_a_blocked_channel_gives_out_nothing_and_grants_nothing_until_it_is_unblocked() -> None:
    pair = Pair().open()
    pair.input.block()
    granted = pair.granted
    for _ in range(50):
        pair.output.write_batch(Batch(["x" * 300]))
    pair.settle()
    assert pair.input.take() is None
    assert not pair.input.has_data
    assert pair.granted == granted
    assert pair.arrivals == []
    pair.input.unblock()
    assert pair.arrivals == [None]
    count = 0
    while taken(pair.input):
        count += 1
        pair.settle()
    assert pair.output.is_drained


@pytest.mark.parametrize("size", [FRAME + 1, WINDOW - 1, WINDOW, WINDOW + 1, 50 * WINDOW])
def test_a_record_larger_than_a_frame_arrives_whole_even_behind_others(size: int) -> None:
    pair = Pair().open()
    large = bytes(size)
    pair.output.write_batch(Batch(["before"]))
    pair.output.write_batch(Batch([large]))
    pair.output.write_batch(Batch([large]))
    pair.output.write_batch(Batch(["after"]))
    seen: list[Element] = []
    for _ in range(10):
        pair.settle()
        seen += taken(pair.input)
    assert records(seen) == ["before", large, large, "after"]
    assert pair.output.has_credit


def test_queued_large_records_take_no_more_memory_than_the_window_and_two_of_them() -> None:
    pair = Pair().open()
    for _ in range(10):
        pair.output.write_batch(Batch([bytes(10 * WINDOW)]))
    pair.settle()
    assert pair.input.queued_bytes <= WINDOW + 2 * 11 * WINDOW


def test_a_batch_of_wide_records_goes_out_in_pieces_that_fit_frames() -> None:
    pair = Pair().open()
    values = [f"{number:90}" for number in range(100)]
    pair.output.write_batch(Batch(values, list(range(100)), values.copy()))
    assert all(len(payload) <= FRAME + CHANNEL.size for _, payload in pair.wire)
    seen: list[Element] = []
    for _ in range(30):
        pair.settle()
        seen += taken(pair.input)
    assert records(seen) == values
    assert all(isinstance(e, Batch) and e.keys == e.values and len(e.timestamps or ()) == len(e) for e in seen)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.lists(st.integers(0, 1500), min_size=1, max_size=6)),
            st.tuples(st.just("large"), st.integers(1, 20_000)),
            st.tuples(st.just("control"), st.integers(0, 9)),
            st.tuples(st.sampled_from(["deliver", "grant", "take", "block", "unblock"]), st.just(0)),
        ),
        max_size=60,
    )
)
def test_in_whatever_order_things_happen_all_arrives_in_order_within_the_credit(
    operations: list[tuple[str, object]],
) -> None:
    pair = Pair().open()
    written: list[object] = []
    seen: list[Element] = []
    for name, argument in operations:
        match name, argument:
            case "write", list(sizes):
                written += [bytes(size) for size in sizes]
                pair.output.write_batch(Batch([bytes(size) for size in sizes]))
            case "large", int(size):
                written.append(bytes(size))
                pair.output.write_batch(Batch([bytes(size)]))
            case "control", int(timestamp):
                written.append(Watermark(timestamp))
                pair.output.write_control(Watermark(timestamp))
            case "deliver", _:
                pair.deliver()
            case "grant", _:
                pair.pass_grant()
            case "take", _:
                element = pair.input.take()
                seen += [] if element is None else [element]
            case "block", _:
                pair.input.block()
            case "unblock", _:
                pair.input.unblock()
    pair.input.unblock()
    while True:
        pair.settle()
        more = taken(pair.input)
        if not more:
            break
        seen += more
    flat = [v for e in seen for v in (e.values if isinstance(e, Batch) else [e])]
    assert flat == written
    assert pair.output.is_drained
    assert pair.output.has_credit


def test_a_producer_that_sends_more_than_it_was_granted_breaks_the_protocol() -> None:
    pair = Pair().open()
    with pytest.raises(ProtocolError, match="4001 bytes came, but only 4000 were granted"):
        pair.input.arrived(Kind.BATCH, CHANNEL.pack(CHANNEL_ID) + bytes(WINDOW + 1))


def test_parts_that_belong_to_no_batch_break_the_protocol() -> None:
    for kind, payload in (
        (Kind.PART, CHANNEL.pack(CHANNEL_ID) + b"x"),
        (Kind.FIRST, CHANNEL_AND_SIZE.pack(CHANNEL_ID, 1) + b"xy"),
        (Kind.GRANT, CHANNEL_AND_SIZE.pack(CHANNEL_ID, 1)),
    ):
        with pytest.raises(ProtocolError, match="channel 7"):
            Pair().open().input.arrived(kind, payload)


def test_time_without_credit_is_counted() -> None:
    pair = Pair()
    pair.clock.now_s = 1.0
    pair.open()
    assert pair.output.backpressured_s == 1.0
    pair.output.write_batch(Batch([bytes(4 * FRAME)]))
    pair.clock.now_s = 3.0
    assert pair.output.backpressured_s == 3.0
    pair.settle()
    taken(pair.input)
    pair.settle()
    pair.clock.now_s = 9.0
    assert pair.output.backpressured_s == 3.0


def test_a_cancelled_producer_throws_away_what_is_parked() -> None:
    pair = Pair()
    pair.output.write_batch(Batch(["parked"]))
    pair.output.close()
    assert pair.output.is_drained
    pair.open()
    assert taken(pair.input) == []
    assert not pair.input.is_complete


def test_a_finished_producer_may_be_closed_while_its_last_records_are_parked() -> None:
    pair = Pair()
    pair.output.write_batch(Batch(["parked"]))
    pair.output.write_control(EndOfPartition())
    pair.output.close()
    pair.open()
    assert taken(pair.input) == [Batch(["parked"]), EndOfPartition()]


def test_loss_is_reported_once_by_both_ends_and_not_after_the_end_of_the_partition() -> None:
    pair, reasons = Pair().open(), list[str]()
    pair.output.on_lost = pair.input.on_lost = reasons.append
    pair.output.write_batch(Batch(["queued"]))
    pair.settle()
    for _ in range(2):
        pair.output.lost("gone")
        pair.input.lost("gone")
    assert reasons == ["gone", "gone"]
    assert taken(pair.input) == [Batch(["queued"])]
    pair = Pair().open()
    pair.output.on_lost = pair.input.on_lost = reasons.append
    pair.output.write_control(EndOfPartition())
    pair.settle()
    pair.output.lost("gone")
    pair.input.lost("gone")
    assert reasons == ["gone", "gone"]


def test_a_record_that_cannot_be_pickled_is_named_with_its_attribute() -> None:
    class Point:
        pass

    class Holder:
        def __reduce__(self) -> str:
            raise TypeError("holders stay at home")

    output = Pair().open().output
    with pytest.raises(UnsendableRecord, match="value of record 1 of a batch of 2.*Point"):
        output.write_batch(Batch(["fine", Point()]))
    box = Box()
    box.content = Holder()
    with pytest.raises(UnsendableRecord, match="its attribute 'content', a .*Holder, cannot be pickled: holders stay"):
        output.write_batch(Batch([box]))


class Box:
    content: object


# Channels within one worker.


def test_a_local_channel_hands_over_the_very_batch_in_order() -> None:
    output, consumer = local_channel(CHANNEL_ID, SETTINGS, ManualClock())
    batch = Batch(["a"])
    output.write_batch(batch)
    output.write_control(Watermark(1))
    assert consumer.take() is batch
    assert consumer.take() == Watermark(1)
    assert consumer.take() is None


@pytest.mark.parametrize("size", [1, 30])
def test_a_local_channel_has_credit_until_a_bound_and_again_from_half_of_it(size: int) -> None:
    clock = ManualClock()
    output, consumer = local_channel(CHANNEL_ID, SETTINGS, clock)
    credited: list[None] = []
    output.on_credit = lambda: credited.append(None)
    while output.has_credit:
        output.write_batch(Batch(["x"] * size))
    assert consumer.queued_elements == 4
    clock.now_s = 2.0
    consumer.take()
    assert credited == []
    consumer.take()
    consumer.take()
    assert credited == [None]
    assert output.has_credit
    assert output.backpressured_s == 2.0


def test_a_blocked_local_channel_keeps_its_queue_and_starves_its_producer() -> None:
    output, consumer = local_channel(CHANNEL_ID, SETTINGS, ManualClock())
    arrivals: list[None] = []
    consumer.on_data = lambda: arrivals.append(None)
    consumer.block()
    for _ in range(4):
        output.write_batch(Batch(["x"]))
    assert consumer.take() is None
    assert arrivals == []
    assert not output.has_credit
    consumer.unblock()
    assert arrivals == [None]
    assert len(taken(consumer)) == 4


def test_ends_of_a_local_channel_may_close_in_either_order() -> None:
    output, consumer = local_channel(CHANNEL_ID, SETTINGS, ManualClock())
    output.write_batch(Batch(["x"]))
    output.write_control(EndOfPartition())
    output.close()
    assert taken(consumer) == [Batch(["x"]), EndOfPartition()]
    assert consumer.is_complete
    output, consumer = local_channel(CHANNEL_ID, SETTINGS, ManualClock())
    consumer.close()
    output.write_batch(Batch(["x"]))
    assert taken(consumer) == []
    assert output.has_credit
