"""A chain keeps order and bounds while an operator works off steps."""

import time

from penstock.operators.chain import Chain
from penstock.operators.operator import Operator, Steps
from penstock.records.batch import Batch, Control, EndOfData, Watermark


class Pass(Operator):
    """Hands on what it gets."""

    def process(self, batch: Batch, port: int) -> None:
        self.output.batch(batch)


class Fires(Pass):
    """Answers a watermark with many steps, each of which emits."""

    steps = 5

    def watermark(self, timestamp_ms: int) -> Steps:
        for number in range(self.steps):
            self.output.batch(Batch([f"fired {timestamp_ms}.{number}"]))
            yield
        self.output.watermark(timestamp_ms)


class Seen:
    """An edge that leaves the chain, and what went over it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.credit = True

    def write_batch(self, batch: Batch) -> None:
        self.log += map(str, batch.values)

    def write_control(self, element: Control) -> None:
        self.log.append(f"watermark {element.timestamp}" if isinstance(element, Watermark) else type(element).__name__)


def chain_of(*operators: Operator, seen: Seen, parents: list[tuple[int | None, str | None]] | None = None) -> Chain:
    straight: list[tuple[int | None, str | None]] = [(i - 1 if i else None, None) for i in range(len(operators))]
    chain = Chain(operators, parents or straight, has_credit=lambda: seen.credit)
    for node in chain.nodes:
        node.operator.output = node
    chain.attach(len(operators) - 1, None, seen)
    chain.start_slice(float("inf"))
    return chain


def test_a_watermark_waits_for_the_steps_that_it_began() -> None:
    seen = Seen()
    chain = chain_of(Pass(), Fires(), Pass(), seen=seen)
    chain.head.take(Watermark(7))
    assert seen.log == [*(f"fired 7.{i}" for i in range(5)), "watermark 7"]


def test_what_comes_behind_suspended_steps_waits_in_order() -> None:
    seen = Seen()
    chain = chain_of(Pass(), Fires(), Pass(), seen=seen)
    chain.start_slice(time.perf_counter())
    chain.head.take(Watermark(7))
    chain.head.take(Batch(["after"]))
    chain.head.take(Watermark(9))
    assert not chain.is_free
    assert "after" not in seen.log
    chain.start_slice(float("inf"))
    while not chain.resume():
        pass
    assert seen.log == [
        *(f"fired 7.{i}" for i in range(5)),
        "watermark 7",
        "after",
        *(f"fired 9.{i}" for i in range(5)),
        "watermark 9",
    ]


def test_steps_rest_while_an_output_has_no_credit() -> None:
    seen = Seen()
    chain = chain_of(Fires(), Pass(), seen=seen)
    seen.credit = False
    chain.head.take(Watermark(1))
    assert seen.log == ["fired 1.0"]
    assert not chain.resume()
    seen.credit = True
    while not chain.resume():
        pass
    assert seen.log[-1] == "watermark 1"


def test_a_deeper_operator_that_is_busy_stops_the_one_above_it() -> None:
    seen = Seen()
    chain = chain_of(Fires(), Fires(), Pass(), seen=seen)
    chain.start_slice(time.perf_counter())
    chain.head.take(Watermark(3))
    for _ in range(100):
        chain.start_slice(time.perf_counter())
        if chain.resume():
            break
    assert seen.log == [*(f"fired 3.{i}" for i in range(5)), *(f"fired 3.{i}" for i in range(5)), "watermark 3"]


def test_two_consumers_do_not_share_what_either_may_change() -> None:
    class Appends(Pass):
        """Changes its records in place, as user code may."""

        def process(self, batch: Batch, port: int) -> None:
            for value in batch.values:
                value.append("changed")
            self.output.batch(batch)

    seen = Seen()
    chain = chain_of(Pass(), Appends(), Pass(), seen=seen, parents=[(None, None), (0, None), (0, None)])
    chain.head.take(Batch([["record"]]))
    assert seen.log == ["['record']"]


def test_drain_finishes_steps_whatever_time_and_credit_say() -> None:
    seen = Seen()
    chain = chain_of(Fires(), seen=seen)
    seen.credit = False
    chain.start_slice(time.perf_counter())
    chain.head.take(Watermark(1))
    chain.drain()
    assert chain.is_free
    assert seen.log[-1] == "watermark 1"


def test_a_side_output_that_nobody_reads_is_dropped() -> None:
    seen = Seen()
    chain = chain_of(Pass(), seen=seen)
    chain.head.side("late", Batch([1]))
    chain.head.batch(Batch([2]))
    chain.nodes[0].outlets[None][0].write_control(EndOfData())
    assert seen.log == ["2", "EndOfData"]


class Spoils(Operator):
    """Changes in place what it gets."""

    def process(self, batch: Batch, port: int) -> None:
        for value in batch.values:
            value.clear()


class Keeps:
    """An edge that holds on to what is written, as one that gathers small batches does."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def write_batch(self, batch: Batch) -> None:
        self.batches.append(batch)

    def write_control(self, element: Control) -> None:
        pass


def test_no_receiver_sees_what_another_one_changes_in_place() -> None:
    chain = chain_of(Pass(), Spoils(), Spoils(), seen=Seen(), parents=[(None, None), (0, None), (0, None)])
    kept, kept_too = Keeps(), Keeps()
    chain.attach(0, None, kept)
    chain.attach(0, None, kept_too)
    chain.head.take(Batch([[1, 2]]))
    assert kept.batches == kept_too.batches == [Batch([[1, 2]])]
    kept.batches[0].values[0].append(3)
    assert kept_too.batches == [Batch([[1, 2]])]
