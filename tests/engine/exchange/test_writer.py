"""Records are gathered into batches, go out in time, and never pass or are passed by a control element."""

from collections.abc import Callable
from random import Random
from typing import Any, final

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.clock import SystemClock
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel
from penstock.exchange.local import local_channel
from penstock.exchange.output import RemoteOutput
from penstock.exchange.partitioners import Broadcast, Hash, Partitioner, RoundRobin, Shuffle, ToFirst
from penstock.exchange.settings import ExchangeSettings
from penstock.exchange.wire import Kind
from penstock.exchange.writer import ONLY_WHEN_FULL, RecordWriter
from penstock.records.batch import Batch, Element, EndOfPartition, Watermark

SETTINGS = ExchangeSettings(batch_records=10, local_batches=4, local_records=100)


@final
class Timers:
    """Calls that wait until the test lets them happen."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], Any]]] = []

    def call_later(self, delay: float, callback: Callable[[], Any]) -> None:
        self.waiting.append((delay, callback))

    def fire(self) -> None:
        waiting, self.waiting = self.waiting, []
        for _, callback in waiting:
            callback()


@final
class Edge:
    """A writer over local channels."""

    def __init__(self, partitioner: Partitioner, channels: int, buffer_timeout_ms: int) -> None:
        pairs = [local_channel(ChannelId(index), SETTINGS, SystemClock()) for index in range(channels)]
        self.timers = Timers()
        self.inputs: list[InputChannel] = [consumer for _, consumer in pairs]
        self.writer = RecordWriter(
            [output for output, _ in pairs],
            partitioner,
            buffer_timeout_ms=buffer_timeout_ms,
            call_later=self.timers.call_later,
        )

    def taken(self, index: int) -> list[Element]:
        elements: list[Element] = []
        while (element := self.inputs[index].take()) is not None:
            elements.append(element)
        return elements


def test_pieces_are_gathered_until_there_are_enough() -> None:
    edge = Edge(RoundRobin(2, 0), 2, 100)
    for first in range(0, 18, 6):
        edge.writer.write_batch(Batch(list(range(first, first + 6)), list(range(6))))
        assert edge.taken(0) == []
    assert not edge.writer.is_drained
    edge.writer.write_batch(Batch([18, 19], [0, 1]))
    assert edge.taken(0) == [Batch(list(range(0, 20, 2)), [0, 2, 4] * 3 + [0])]
    assert edge.taken(1) == [Batch(list(range(1, 20, 2)), [1, 3, 5] * 3 + [1])]
    assert edge.writer.records_written == 20


def test_large_batches_are_handed_on_as_they_are() -> None:
    edge = Edge(ToFirst(), 1, 100)
    batch = Batch(list(range(10)))
    edge.writer.write_batch(batch)
    (got,) = edge.taken(0)
    assert got is batch
    assert edge.timers.waiting == []


def test_gathering_never_changes_a_batch_that_was_given() -> None:
    edge = Edge(ToFirst(), 1, 100)
    first, second = Batch([1], [1], ["k"]), Batch([2], [2], ["l"])
    edge.writer.write_batch(first)
    edge.writer.write_batch(second)
    edge.writer.flush()
    assert edge.taken(0) == [Batch([1, 2], [1, 2], ["k", "l"])]
    assert first == Batch([1], [1], ["k"])
    assert second == Batch([2], [2], ["l"])


def test_after_the_buffer_timeout_all_that_is_gathered_goes_out() -> None:
    edge = Edge(RoundRobin(2, 0), 2, 100)
    edge.writer.write_batch(Batch([1, 2]))
    edge.writer.write_batch(Batch([3]))
    ((delay, _),) = edge.timers.waiting
    assert delay == 0.1
    edge.timers.fire()
    assert edge.taken(0) == [Batch([1, 3])]
    assert edge.taken(1) == [Batch([2])]
    assert edge.timers.waiting == []
    edge.writer.write_batch(Batch([4]))
    assert len(edge.timers.waiting) == 1


def test_a_buffer_timeout_of_0_sends_each_piece_at_once() -> None:
    edge = Edge(RoundRobin(2, 0), 2, 0)
    edge.writer.write_batch(Batch([1]))
    edge.writer.write_batch(Batch([2]))
    assert edge.taken(0) == [Batch([1])]
    assert edge.taken(1) == [Batch([2])]
    assert edge.timers.waiting == []


def test_a_buffer_timeout_of_minus_1_waits_for_enough_or_for_a_flush() -> None:
    edge = Edge(ToFirst(), 1, ONLY_WHEN_FULL)
    edge.writer.write_batch(Batch([1]))
    assert edge.timers.waiting == []
    assert edge.taken(0) == []
    edge.writer.flush()
    assert edge.taken(0) == [Batch([1])]


def test_control_elements_follow_what_was_written_before_on_every_channel() -> None:
    edge = Edge(RoundRobin(3, 0), 3, 100)
    edge.writer.write_batch(Batch([1, 2]))
    edge.writer.write_control(Watermark(5))
    edge.writer.write_batch(Batch([3]))
    edge.writer.write_control(EndOfPartition())
    assert edge.taken(0) == [Batch([1]), Watermark(5), EndOfPartition()]
    assert edge.taken(1) == [Batch([2]), Watermark(5), EndOfPartition()]
    assert edge.taken(2) == [Watermark(5), Batch([3]), EndOfPartition()]


def test_records_with_and_without_timestamps_are_not_gathered_into_one_batch() -> None:
    edge = Edge(ToFirst(), 1, 100)
    edge.writer.write_batch(Batch([1]))
    edge.writer.write_batch(Batch([2], [20]))
    edge.writer.flush()
    assert edge.taken(0) == [Batch([1]), Batch([2], [20])]


def test_values_that_are_their_own_keys_are_gathered_once_and_apart_from_those_that_are_not() -> None:
    edge = Edge(ToFirst(), 1, 100)
    first, second = ["a"], ["b"]
    edge.writer.write_batch(Batch(first, None, first))
    edge.writer.write_batch(Batch(second, None, second))
    edge.writer.write_batch(Batch(["c"], None, ["key"]))
    edge.writer.flush()
    assert edge.taken(0) == [Batch(["a", "b"], None, ["a", "b"]), Batch(["c"], None, ["key"])]
    assert (first, second) == (["a"], ["b"])


def test_the_edge_has_credit_only_while_every_channel_has() -> None:
    edge = Edge(RoundRobin(2, 0), 2, 0)
    credited: list[None] = []
    edge.writer.on_credit = lambda: credited.append(None)
    for _ in range(4):
        edge.writer.write_batch(Batch([1, 2]))
    assert not edge.writer.has_credit
    edge.taken(0)
    assert not edge.writer.has_credit
    assert credited == []
    edge.taken(1)
    assert edge.writer.has_credit
    assert credited == [None]


def test_the_timer_leaves_to_grow_what_would_only_be_parked() -> None:
    edge = Edge(ToFirst(), 1, 100)
    for number in range(4):
        edge.writer.write_control(Watermark(number))
    edge.writer.write_batch(Batch([1]))
    edge.timers.fire()
    assert len(edge.taken(0)) == 4
    assert len(edge.timers.waiting) == 1
    edge.timers.fire()
    assert edge.taken(0) == [Batch([1])]


def test_wide_records_are_gathered_to_a_frame_only() -> None:
    settings = ExchangeSettings(batch_records=1000, window_bytes=10**6, frame_bytes=20_000)
    sent: list[int] = []
    output = RemoteOutput(ChannelId(1), settings, SystemClock(), lambda kind, *parts: sent.append(kind), lambda o: None)
    output.granted(10**6)
    writer = RecordWriter([output], ToFirst(), buffer_timeout_ms=100, call_later=Timers().call_later)
    writer.write_batch(Batch([bytes(1000), b"a" * 1000, b"b" * 1000]))
    writer.flush()
    for _ in range(90):
        writer.write_batch(Batch([bytes(1000)]))
    assert len(sent) == 11


def test_a_frame_takes_several_batches() -> None:
    settings = ExchangeSettings(batch_records=10, batches_per_frame=3)
    sent: list[int] = []
    output = RemoteOutput(ChannelId(1), settings, SystemClock(), lambda kind, *parts: sent.append(kind), lambda o: None)
    output.granted(settings.window_bytes)
    writer = RecordWriter([output], ToFirst(), buffer_timeout_ms=ONLY_WHEN_FULL, call_later=Timers().call_later)
    for number in range(29):
        writer.write_batch(Batch([number]))
    assert sent == []
    writer.write_batch(Batch([29]))
    assert sent == [Kind.BATCH]
    assert output.traffic.records == 30


def test_loss_of_any_channel_is_reported_once_and_not_after_closing() -> None:
    def output(index: int) -> RemoteOutput:
        return RemoteOutput(ChannelId(index), SETTINGS, SystemClock(), lambda kind, *parts: None, lambda o: None)

    outputs, lost = [output(index) for index in range(3)], list[str]()
    writer = RecordWriter(outputs, RoundRobin(3, 0), buffer_timeout_ms=0, call_later=Timers().call_later)
    writer.on_lost = lost.append
    outputs[0].lost("gone")
    outputs[1].lost("gone too")
    writer.write_batch(Batch([1, 2, 3]))
    assert lost == ["gone"]
    writer.close()
    outputs[2].lost("gone as well")
    assert lost == ["gone"]


def test_closing_drops_what_is_gathered() -> None:
    edge = Edge(ToFirst(), 1, 100)
    edge.writer.write_batch(Batch([1]))
    edge.writer.close()
    edge.timers.fire()
    assert edge.taken(0) == []


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["hash", "round robin", "shuffle", "broadcast"]),
    st.sampled_from([0, 100, ONLY_WHEN_FULL]),
    st.lists(st.one_of(st.integers(1, 25), st.sampled_from(["control", "timer", "flush", "take"])), max_size=30),
)
def test_between_two_control_elements_every_channel_gets_exactly_its_records(
    kind: str, buffer_timeout_ms: int, operations: list[int | str]
) -> None:
    partitioner: dict[str, Callable[[], Partitioner]] = {
        "hash": lambda: Hash(3, 128),
        "round robin": lambda: RoundRobin(3, 0),
        "shuffle": lambda: Shuffle(3, Random(1)),
        "broadcast": lambda: Broadcast(3),
    }
    edge, model = Edge(partitioner[kind](), 3, buffer_timeout_ms), partitioner[kind]()
    expected: list[list[Any]] = [[], [], []]
    seen: list[list[Any]] = [[], [], []]

    def take() -> None:
        for index in range(3):
            for element in edge.taken(index):
                seen[index] += element.values if isinstance(element, Batch) else [element]

    number = 0
    for operation in [*operations, "flush", "take"]:
        match operation:
            case int(size):
                values = list(range(number, number + size))
                number += size
                edge.writer.write_batch(Batch(values.copy(), None, values.copy()))
                for index, piece in model.split(Batch(values, None, values)):
                    expected[index] += piece.values
            case "control":
                edge.writer.write_control(Watermark(number))
                for rows in expected:
                    rows.append(Watermark(number))
            case "timer":
                edge.timers.fire()
            case "flush":
                edge.writer.flush()
            case _:
                take()
    assert seen == expected
    assert edge.writer.is_drained
