"""The data plane over real sockets: order, credit, blocked channels, stale deployments, and the loss of a peer."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from penstock.base.clock import SystemClock
from penstock.base.errors import ConfigurationError
from penstock.base.ids import ChannelId
from penstock.exchange.channels import InputChannel, OutputChannel
from penstock.exchange.client import DataClient
from penstock.exchange.plane import DataPlane
from penstock.exchange.server import DataServer
from penstock.exchange.settings import ConnectionSettings, ExchangeSettings
from penstock.records.batch import Batch, EndOfPartition, Watermark
from penstock.testing.loops import run, until

TOKEN = b"secret"
SETTINGS = ExchangeSettings(window_bytes=64 * 1024, frame_bytes=16 * 1024, connection=ConnectionSettings())
ONE, TWO = ChannelId(1), ChannelId(2)


class Workers:
    """The receiving half of one worker, and the sending half of another, on one loop."""

    def __init__(self) -> None:
        self.server = DataServer(TOKEN, SETTINGS)
        self.client = DataClient(TOKEN, SETTINGS, SystemClock())
        self.lost: list[str] = []

    def channel(self, channel: ChannelId) -> tuple[OutputChannel, InputChannel]:
        consumer = self.server.register(channel)
        return self.output(channel), consumer

    def output(self, channel: ChannelId) -> OutputChannel:
        output = self.client.open(channel, ("127.0.0.1", self.server.port))
        output.on_lost = self.lost.append
        return output


@asynccontextmanager
async def two_workers() -> AsyncIterator[Workers]:
    workers = Workers()
    await workers.server.listen("127.0.0.1", 0, "taskmanager.data.port")
    yield workers
    await workers.client.close()
    await workers.server.close()


async def take(channel: InputChannel, count: int) -> list[object]:
    """Values of `count` records."""
    values: list[object] = []
    while len(values) < count:
        await until(lambda: channel.has_data)
        element = channel.take()
        assert isinstance(element, Batch)
        values += element.values
    return values


def test_channels_of_one_connection_keep_their_own_order() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            one, two = workers.channel(ONE), workers.channel(TWO)
            for number in range(500):
                one[0].write_batch(Batch([number] * 10))
                two[0].write_batch(Batch([-number] * 10))
            assert await take(two[1], 5000) == [-n for n in range(500) for _ in range(10)]
            assert await take(one[1], 5000) == [n for n in range(500) for _ in range(10)]

    run(main())


def test_a_slow_reader_never_holds_more_than_its_window_and_starves_only_its_own_channel() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            (slow, unread), (quick, read) = workers.channel(ONE), workers.channel(TWO)
            for number in range(2000):
                slow.write_batch(Batch([f"{number:1000}"]))
            for number in range(2000):
                quick.write_batch(Batch([number]))
            assert await take(read, 2000) == list(range(2000))
            assert not slow.has_credit
            assert SETTINGS.window_bytes - 2000 < unread.queued_bytes <= SETTINGS.window_bytes
            values = []
            for _ in range(2000):
                values += await take(unread, 1)
                assert unread.queued_bytes <= SETTINGS.window_bytes
            assert values == [f"{number:1000}" for number in range(2000)]
            assert slow.has_credit

    run(main())


def test_channels_blocked_for_alignment_never_hold_up_the_others_of_their_connection() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            pairs = [workers.channel(ChannelId(number)) for number in range(10)]
            for _, consumer in pairs[:9]:
                consumer.block()
            for output, _ in pairs:
                for number in range(1000):
                    output.write_batch(Batch([f"{number:500}"]))
            assert len(await take(pairs[9][1], 1000)) == 1000
            for _, consumer in pairs[:9]:
                assert consumer.queued_bytes <= SETTINGS.window_bytes
                consumer.unblock()
            for _, consumer in pairs[:9]:
                assert len(await take(consumer, 1000)) == 1000

    run(main())


def test_a_record_of_50_megabytes_arrives_whole_while_another_channel_goes_on() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            (wide, wide_input), (thin, thin_input) = workers.channel(ONE), workers.channel(TWO)
            record = os.urandom(1000) * 50_000
            wide.write_batch(Batch(["before", record, "after"]))
            for number in range(100):
                thin.write_batch(Batch([number]))
            assert await take(thin_input, 100) == list(range(100))
            assert await take(wide_input, 3) == ["before", record, "after"]

    run(main())


def test_frames_of_a_deployment_that_is_gone_are_dropped_and_counted() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            (stale, gone), (current, consumer) = workers.channel(ONE), workers.channel(TWO)
            await until(lambda: stale.has_credit and current.has_credit)
            gone.close()
            for _ in range(3):
                stale.write_batch(Batch(["stale"]))
            current.write_batch(Batch(["current"]))
            assert await take(consumer, 1) == ["current"]
            assert workers.server.dropped_frames == 3
            assert workers.lost == []

    run(main())


def test_a_producer_that_comes_before_its_consumer_waits_for_it() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            early, (other, other_input) = workers.output(ONE), workers.channel(TWO)
            early.write_batch(Batch(["early"]))
            other.write_batch(Batch(["other"]))
            assert await take(other_input, 1) == ["other"]
            assert not early.has_credit
            assert await take(workers.server.register(ONE), 1) == ["early"]
            assert workers.server.dropped_frames == 0

    run(main())


def test_nothing_is_left_of_deployments_that_are_gone() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            cancelled = workers.output(ONE)
            ended, consumer = workers.channel(TWO)
            ended.write_control(EndOfPartition())
            await until(lambda: consumer.is_complete)
            consumer.close()
            cancelled.close()
            marker, marker_input = workers.channel(ChannelId(3))
            marker.write_batch(Batch(["marker"]))
            await take(marker_input, 1)
            # The numbers are free again, which they could not be if anything were left.
            for channel in (ONE, TWO):
                output, consumer = workers.channel(channel)
                output.write_batch(Batch(["again"]))
                assert await take(consumer, 1) == ["again"]

    run(main())


def test_the_loss_of_a_connection_is_reported_once_to_each_open_channel_on_both_sides() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            received: list[str] = []
            pairs = [workers.channel(ChannelId(number)) for number in range(3)]
            for _, consumer in pairs:
                consumer.on_lost = received.append
            await until(lambda: all(output.has_credit for output, _ in pairs))
            pairs[2][0].write_control(EndOfPartition())
            await until(lambda: pairs[2][1].is_complete)
            await workers.client.close()
            await until(lambda: len(received) == 2)
            assert all("was lost" in reason for reason in received)
            again = [workers.channel(ChannelId(number)) for number in range(10, 12)]
            await until(lambda: all(output.has_credit for output, _ in again))
            await workers.server.close()
            await until(lambda: len(workers.lost) == 2)

    run(main())


def test_a_consumer_that_closes_the_others_when_its_connection_is_lost_disturbs_nothing() -> None:
    async def main() -> None:
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        async with two_workers() as workers:
            received: list[str] = []
            pairs = [workers.channel(ChannelId(number)) for number in range(3)]

            def fail(reason: str) -> None:
                received.append(reason)
                for _, consumer in pairs:
                    consumer.close()

            for _, consumer in pairs:
                consumer.on_lost = fail
            await until(lambda: all(output.has_credit for output, _ in pairs))
            await workers.client.close()
            await until(lambda: len(received) == 1)
            again = workers.channel(ChannelId(10))
            await until(lambda: again[0].has_credit)
        assert errors == []

    run(main())


def test_a_consumers_worker_that_is_not_there_is_reported_and_tried_again_next_time() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        client, server = DataClient(TOKEN, SETTINGS, SystemClock()), DataServer(TOKEN, SETTINGS)
        lost: list[str] = []
        for channel in (ONE, TWO):
            client.open(channel, ("127.0.0.1", port)).on_lost = lost.append
        await until(lambda: len(lost) == 2)
        assert f"cannot connect to 127.0.0.1:{port}" in lost[0]
        await server.listen("127.0.0.1", port, "key")
        consumer = server.register(ONE)
        client.open(ONE, ("127.0.0.1", port)).write_batch(Batch(["well"]))
        assert await take(consumer, 1) == ["well"]
        await client.close()
        await server.close()

    run(main())


def test_a_client_with_another_token_loses_its_channels_with_a_reason() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            workers.server.register(ONE)
            stranger, lost = DataClient(b"guess", SETTINGS, SystemClock()), list[str]()
            stranger.open(ONE, ("127.0.0.1", workers.server.port)).on_lost = lost.append
            await until(lambda: lost != [])
            assert "another secret token" in lost[0]
            await stranger.close()

    run(main())


def test_a_peer_that_sends_more_than_it_was_granted_loses_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with two_workers() as workers:
            lost: list[str] = []
            consumer = workers.server.register(ONE)
            consumer.on_lost = lost.append
            # The sender believes in a larger window than the receiver has.
            generous = DataClient(TOKEN, SETTINGS, SystemClock())
            output = generous.open(ONE, ("127.0.0.1", workers.server.port))
            await until(lambda: output.has_credit)
            output.granted(10 * SETTINGS.window_bytes)
            for _ in range(20):
                output.write_batch(Batch([bytes(10_000)]))
            await until(lambda: lost != [])
            assert "were granted" in lost[0]
            await generous.close()

    run(main())
    assert len(caplog.records) == 1


def test_closing_the_client_lets_out_what_was_sent() -> None:
    async def main() -> None:
        async with two_workers() as workers:
            output, consumer = workers.channel(ONE)
            await until(lambda: output.has_credit)
            for number in range(100):
                output.write_batch(Batch([number]))
            output.write_control(EndOfPartition())
            assert output.is_drained
            await workers.client.close()
            await until(lambda: consumer.is_complete)
            assert await take(consumer, 100) == list(range(100))
            assert workers.lost == []

    run(main())


def test_both_ends_of_a_channel_within_a_worker_meet_whichever_is_asked_for_first() -> None:
    async def main() -> None:
        plane = DataPlane(TOKEN, SETTINGS, SystemClock())
        consumer, output = plane.input(ONE, local=True), plane.output(ONE, None)
        other_output, other_consumer = plane.output(TWO, None), plane.input(TWO, local=True)
        output.write_batch(Batch(["one"]))
        other_output.write_control(Watermark(2))
        assert consumer.take() == Batch(["one"])
        assert other_consumer.take() == Watermark(2)
        await plane.close()

    run(main())


def test_two_planes_exchange_both_ways_and_a_port_in_use_is_named() -> None:
    async def main() -> None:
        left, right = (DataPlane(TOKEN, SETTINGS, SystemClock()) for _ in range(2))
        await left.listen("127.0.0.1", 0, "taskmanager.data.port")
        with pytest.raises(ConfigurationError, match="taskmanager.data.port"):
            await right.listen("127.0.0.1", left.port, "taskmanager.data.port")
        await right.listen("127.0.0.1", 0, "taskmanager.data.port")
        to_right, to_left = right.input(ONE, local=False), left.input(TWO, local=False)
        left.output(ONE, ("127.0.0.1", right.port)).write_batch(Batch(["right"]))
        right.output(TWO, ("127.0.0.1", left.port)).write_batch(Batch(["left"]))
        assert await take(to_right, 1) == ["right"]
        assert await take(to_left, 1) == ["left"]
        await left.close()
        await right.close()
        assert left.dropped_frames == right.dropped_frames == 0

    run(main())


# Two processes.


def forked(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The id of a new process that runs `work` on a loop of its own."""
    child = os.fork()
    if not child:
        try:
            uvloop.run(work())
        finally:
            os._exit(0)
    return child


async def _produce_for_ever(port: int, start: int) -> None:
    os.read(start, 1)
    client = DataClient(TOKEN, SETTINGS, SystemClock())
    outputs = [client.open(channel, ("127.0.0.1", port)) for channel in (ONE, TWO)]
    number = 0
    while True:
        if all(output.has_credit for output in outputs):
            for output in outputs:
                output.write_batch(Batch(list(range(number, number + 100))))
            number += 100
        await asyncio.sleep(0)


async def _consume_some(port_sent: int) -> None:
    server = DataServer(TOKEN, SETTINGS)
    await server.listen("127.0.0.1", 0, "key")
    consumer = server.register(ONE)
    os.write(port_sent, f"{server.port:6}".encode())
    await take(consumer, 1000)
    await asyncio.get_running_loop().create_future()


def test_a_killed_producer_is_reported_by_each_of_its_channels_after_exactly_what_it_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start, go = os.pipe()
    child = forked(lambda: _produce_for_ever(port, start))

    async def main() -> None:
        server = DataServer(TOKEN, SETTINGS)
        await server.listen("127.0.0.1", port, "key")
        lost: list[str] = []
        inputs = [server.register(channel) for channel in (ONE, TWO)]
        for channel in inputs:
            channel.on_lost = lost.append
        os.write(go, b"g")
        values = [await take(channel, 5000) for channel in inputs]
        os.kill(child, signal.SIGKILL)
        await until(lambda: len(lost) == 2)
        for channel, seen in zip(inputs, values, strict=True):
            while (element := channel.take()) is not None:
                assert isinstance(element, Batch)
                seen += element.values
            assert seen == list(range(len(seen)))
        await server.close()

    try:
        run(main())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_killed_consumer_is_reported_by_each_channel_of_its_producer() -> None:
    port_read, port_sent = os.pipe()
    child = forked(lambda: _consume_some(port_sent))

    async def main() -> None:
        client, lost = DataClient(TOKEN, SETTINGS, SystemClock()), list[str]()
        output = client.open(ONE, ("127.0.0.1", port))
        output.on_lost = lost.append
        number = 0
        await until(lambda: output.has_credit)
        while output.has_credit:
            output.write_batch(Batch(list(range(number, number + 100))))
            number += 100
        assert output.backpressured_s >= 0.0
        os.kill(child, signal.SIGKILL)
        await until(lambda: lost != [])
        assert len(lost) == 1
        output.write_batch(Batch(["to nobody"]))
        await client.close()

    try:
        port = int(os.read(port_read, 6))
        run(main())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_closing_gives_a_consumer_that_is_stopped_its_time_to_read_and_no_more() -> None:
    port_read, port_sent = os.pipe()
    child = forked(lambda: _consume_some(port_sent))

    async def main() -> None:
        settings = ExchangeSettings(connection=ConnectionSettings(close_timeout_s=0.05))
        client = DataClient(TOKEN, settings, SystemClock())
        output = client.open(ONE, ("127.0.0.1", port))
        await until(lambda: output.has_credit)
        os.kill(child, signal.SIGSTOP)
        # More than the sockets hold, though the receiver has not granted it.
        output.granted(100_000_000)
        output.write_batch(Batch([bytes(50_000_000)]))
        assert output.is_drained
        await client.close()

    try:
        port = int(os.read(port_read, 6))
        run(main(), timeout_s=3.0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
