"""Messages arrive in order, answers find their askers, and every failure says what it was."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.base.errors import ConfigurationError, ProtocolError
from penstock.rpc.connection import OnMessage, RpcConnection, RpcSettings
from penstock.rpc.endpoints import RpcServer, connect, connect_unix
from penstock.rpc.errors import ConnectionLost, RemoteError, RequestTimeout, WriteBufferFull
from penstock.testing.loops import run, until

TOKEN = b"secret"


class Note(msgspec.Struct, tag=True, frozen=True):
    number: int


class Ask(msgspec.Struct, tag=True, frozen=True):
    text: str


class Answer(msgspec.Struct, tag=True, frozen=True):
    text: str


class Blob(msgspec.Struct, tag=True, frozen=True):
    data: bytes


Message = Note | Ask | Answer | Blob
Connection = RpcConnection[Message]


class Echo:
    """A server that keeps notes and answers in different ways."""

    def __init__(self, settings: RpcSettings | None = None) -> None:
        self.connections: list[Connection] = []
        self.received: list[Message] = []
        self.server: RpcServer[Message] = RpcServer(Message, TOKEN, self._connected, settings or RpcSettings())

    def _connected(self, connection: Connection) -> None:
        connection.on_message = self._on_message
        self.connections.append(connection)

    def _on_message(self, message: Message) -> Any:
        self.received.append(message)
        if not isinstance(message, Ask):
            return None
        if message.text == "raise":
            raise KeyError("no such job")
        if message.text == "later":
            return self._later()
        if message.text == "raise later":
            return self._raise_later()
        return None if message.text == "silence" else Answer(message.text.upper())

    async def _later(self) -> Message:
        await asyncio.sleep(0.01)
        return Answer("LATER")

    async def _raise_later(self) -> Message:
        await asyncio.sleep(0)
        raise ValueError("thought better of it")

    async def listen(self) -> int:
        await self.server.listen("127.0.0.1", 0, "jobmanager.rpc.port")
        return self.server.port


async def connected(port: int, on_message: OnMessage[Message] | None = None, **bounds: Any) -> Connection:
    return await connect(Message, "127.0.0.1", port, TOKEN, on_message, RpcSettings(**bounds))


def test_messages_arrive_in_the_order_they_were_sent() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        for number in range(1000):
            client.send(Note(number))
        await until(lambda: len(echo.received) == 1000)
        assert echo.received == [Note(number) for number in range(1000)]
        await echo.server.close()

    run(main())


def test_each_answer_finds_its_request_whatever_the_order_of_answers() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        texts = ["later", "b", "later", "d"]
        answers = await asyncio.gather(*(client.request(Ask(text), 5.0) for text in texts))
        assert answers == [Answer(text.upper()) for text in texts]
        await echo.server.close()

    run(main())


def test_the_server_may_send_from_the_first_moment_and_ask_as_well() -> None:
    async def main() -> None:
        received: list[Message] = []

        def greet(connection: Connection) -> None:
            connection.send(Note(1))
            asked.append(asyncio.get_running_loop().create_task(connection.request(Ask("who"), 5.0)))

        def on_message(message: Message) -> Message | None:
            received.append(message)
            return Answer("me") if isinstance(message, Ask) else None

        asked: list[asyncio.Task[Message]] = []
        server: RpcServer[Message] = RpcServer(Message, TOKEN, greet)
        await server.listen("127.0.0.1", 0, "key")
        await connected(server.port, on_message)
        await until(lambda: asked != [])
        assert await asked[0] == Answer("me")
        assert received == [Note(1), Ask("who")]
        await server.close()

    run(main())


def test_an_error_of_the_handler_travels_with_type_message_and_traceback() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        with pytest.raises(RemoteError, match="KeyError: 'no such job'") as failure:
            await client.request(Ask("raise"), 5.0)
        assert "in _on_message" in failure.value.info.traceback
        with pytest.raises(RemoteError, match="ValueError: thought better of it"):
            await client.request(Ask("raise later"), 5.0)
        with pytest.raises(RemoteError, match="the handler of Ask gave no answer"):
            await client.request(Ask("silence"), 5.0)
        assert await client.request(Ask("still there"), 5.0) == Answer("STILL THERE")
        await echo.server.close()

    run(main())


def test_an_error_of_the_handler_of_a_one_way_message_is_logged_and_the_connection_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        client.send(Ask("raise"))
        assert await client.request(Ask("hello"), 5.0) == Answer("HELLO")
        await echo.server.close()

    run(main())
    (record,) = caplog.records
    assert record.message == "the handler of a message failed"
    assert record.__dict__["rpc_message"] == "Ask"


def test_a_request_that_is_not_answered_in_time_fails_and_its_late_answer_is_ignored() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def slow() -> Message:
            await release.wait()
            return Answer("slow")

        def accept(connection: Connection) -> None:
            connection.on_message = lambda message: slow() if message == Ask("slow") else Answer("quick")

        server: RpcServer[Message] = RpcServer(Message, TOKEN, accept)
        await server.listen("127.0.0.1", 0, "key")
        client = await connected(server.port)
        with pytest.raises(RequestTimeout, match="did not answer Ask within 0.02 s"):
            await client.request(Ask("slow"), 0.02)
        release.set()
        assert await client.request(Ask("quick"), 5.0) == Answer("quick")
        await server.close()

    run(main())


def test_a_lost_connection_fails_what_waits_and_says_why_at_both_ends() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        waiting = asyncio.create_task(client.request(Ask("later"), 5.0))
        await until(lambda: echo.received != [])
        echo.connections[0].abort("the job is over")
        with pytest.raises(ConnectionLost):
            await waiting
        assert "was lost" in await client.closed
        assert await echo.connections[0].closed == "the job is over"
        with pytest.raises(ConnectionLost, match="cannot send to 127.0.0.1"):
            client.send(Note(1))
        with pytest.raises(ConnectionLost):
            await client.request(Note(1), 1.0)
        await echo.server.close()

    run(main())


def test_a_peer_that_does_not_read_makes_sending_fail_at_the_bound() -> None:
    async def main() -> None:
        echo = Echo()
        port = await echo.listen()
        client = await connected(port, unsent_bytes_max=1_000_000)
        # Nothing turns the loop in between, so nothing is read.
        with pytest.raises(WriteBufferFull, match="does not read: [0-9]+ bytes wait"):
            for _ in range(1000):
                client.send(Blob(b"x" * 100_000))
        await until(lambda: bool(echo.received))
        await echo.server.close()

    run(main())


def test_a_message_that_is_too_large_is_refused_where_it_is_sent() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen(), message_bytes_max=1000)
        with pytest.raises(ProtocolError, match="is larger than 1000"):
            client.send(Blob(b"x" * 1001))
        assert await client.request(Ask("ok"), 5.0) == Answer("OK")
        await echo.server.close()

    run(main())


def test_a_large_message_arrives_whole() -> None:
    async def main() -> None:
        echo = Echo()
        client = await connected(await echo.listen())
        data = bytes(range(256)) * 100_000
        client.send(Blob(data))
        await until(lambda: bool(echo.received))
        assert echo.received == [Blob(data)]
        await echo.server.close()

    run(main())


class Stranger(msgspec.Struct, tag=True, frozen=True):
    number: int


def test_a_message_of_another_union_closes_the_connection_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        echo = Echo()
        client: RpcConnection[Stranger] = await connect(Stranger, "127.0.0.1", await echo.listen(), TOKEN)
        client.send(Stranger(1))
        await client.closed
        assert "a message that we do not know: Invalid value 'Stranger'" in await echo.connections[0].closed
        await echo.server.close()

    run(main())
    assert len(caplog.records) == 1


def test_workers_reach_their_supervisor_over_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> None:
        echo = Echo()
        await echo.server.listen_unix(tmp_path / "workers.sock")
        client: Connection = await connect_unix(Message, tmp_path / "workers.sock", TOKEN)
        assert await client.request(Ask("hello"), 5.0) == Answer("HELLO")
        with pytest.raises(ProtocolError, match="another secret token"):
            await connect_unix(Message, tmp_path / "workers.sock", b"guess")
        await echo.server.close()

    run(main())


def test_a_port_in_use_is_named_with_its_configuration_key() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is in use.*jobmanager.rpc.port"):
                await Echo().server.listen("127.0.0.1", port, "jobmanager.rpc.port")

    run(main())


def test_closing_cancels_what_handlers_still_do() -> None:
    async def main() -> None:
        cancelled: list[bool] = []

        async def for_ever() -> Message:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise
            raise AssertionError("the future is never done")

        def accept(connection: Connection) -> None:
            connection.on_message = lambda message: for_ever()

        server: RpcServer[Message] = RpcServer(Message, TOKEN, accept)
        await server.listen("127.0.0.1", 0, "key")
        client = await connected(server.port)
        with pytest.raises(RequestTimeout):
            await client.request(Note(1), 0.02)
        client.close()
        await until(lambda: cancelled == [True])
        await server.close()

    run(main())
