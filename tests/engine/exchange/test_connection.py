"""Whatever comes in on a port costs one log line and its own connection, never the server."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from penstock.base.errors import ConfigurationError, PeerUnavailable, ProtocolError
from penstock.exchange.connection import Endpoint, FrameConnection, Handler, open_connection
from penstock.exchange.frames import HEADER
from penstock.exchange.handshake import ClientHandshake, Kind, Purpose
from penstock.exchange.listener import Listener
from penstock.exchange.settings import ConnectionSettings
from penstock.testing.loops import run, until

TOKEN = b"secret"
SETTINGS = ConnectionSettings(handshake_timeout_s=5.0)
HASTY = ConnectionSettings(handshake_timeout_s=0.05)


class Recorder:
    """Keeps what comes on one connection."""

    def __init__(self, connection: FrameConnection) -> None:
        self.connection = connection
        self.frames: list[tuple[int, bytes]] = []
        self.lost: list[str] = []

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        self.frames.append((kind, bytes(payload)))

    def on_lost(self, reason: str) -> None:
        self.lost.append(reason)


class Recorders(list[Recorder]):
    """Accepts connections and keeps them."""

    def __call__(self, connection: FrameConnection) -> Handler:
        self.append(Recorder(connection))
        return self[-1]


async def listening(
    accepted: Recorders, settings: ConnectionSettings = SETTINGS, payload_bytes_max: int = 1000
) -> Listener:
    listener = Listener(
        accepted, purpose=Purpose.RPC, token=TOKEN, payload_bytes_max=payload_bytes_max, settings=settings
    )
    await listener.listen("127.0.0.1", 0, "some.port")
    return listener


async def connected(
    endpoint: Endpoint, accepted: Recorders, token: bytes = TOKEN, purpose: Purpose = Purpose.RPC
) -> Recorder:
    await open_connection(endpoint, accepted, purpose=purpose, token=token, payload_bytes_max=1000, settings=SETTINGS)
    return accepted[-1]


def test_frames_go_both_ways_in_order_once_both_have_proved_themselves() -> None:
    async def main() -> None:
        servers, clients = Recorders(), Recorders()
        listener = await listening(servers)
        client = await connected(("127.0.0.1", listener.port), clients)
        await until(lambda: bool(servers))
        for number in range(300):
            client.connection.send(20, b"a", memoryview(bytes([number % 256])))
            servers[0].connection.send(21, b"b" * number)
        await until(lambda: len(servers[0].frames) == 300 and len(client.frames) == 300)
        assert servers[0].frames == [(20, b"a" + bytes([n % 256])) for n in range(300)]
        assert client.frames == [(21, b"b" * n) for n in range(300)]
        await listener.close()
        await until(lambda: client.lost != [])
        assert len(servers[0].lost) == len(client.lost) == 1

    run(main())


def test_what_was_sent_before_a_close_still_arrives() -> None:
    async def main() -> None:
        servers, clients = Recorders(), Recorders()
        listener = await listening(servers)
        client = await connected(("127.0.0.1", listener.port), clients)
        for _ in range(2000):
            client.connection.send(20, b"x" * 1000)
        client.connection.close("done")
        client.connection.send(20, b"too late")
        await until(lambda: bool(servers) and servers[0].lost != [])
        assert len(servers[0].frames) == 2000
        assert client.lost == ["done"]
        await listener.close()

    run(main())


def test_a_unix_socket_is_the_users_own_and_goes_with_its_server(tmp_path: Path) -> None:
    async def main() -> None:
        servers, clients = Recorders(), Recorders()
        path = tmp_path / "rpc.sock"
        listener = Listener(servers, purpose=Purpose.RPC, token=TOKEN, payload_bytes_max=10, settings=SETTINGS)
        await listener.listen_unix(path)
        assert path.stat().st_mode & 0o777 == 0o600
        client = await connected(path, clients)
        client.connection.send(20, b"hello")
        await until(lambda: bool(servers) and servers[0].frames == [(20, b"hello")])
        await listener.close()
        assert not path.exists()

    run(main())


def http(port: int) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def small_garbage(port: int) -> bytes:
    return HEADER.pack(3, 1) + b"abc"


def oversized(port: int) -> bytes:
    return HEADER.pack(2**32 - 1, 1)


def unauthenticated(port: int) -> bytes:
    return HEADER.pack(10, 20) + b"0123456789"


def nothing_known(port: int) -> bytes:
    hello = ClientHandshake(b"guess", Purpose.RPC, b"n" * 32).start()
    return HEADER.pack(len(hello.payload), hello.kind) + hello.payload + HEADER.pack(32, Kind.PROOF) + b"\0" * 32


@pytest.mark.parametrize("garbage", [http, small_garbage, oversized, unauthenticated, nothing_known])
def test_garbage_costs_one_log_line_with_its_peer_and_the_server_lives_on(
    garbage: Callable[[int], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> str:
        servers, clients = Recorders(), Recorders()
        listener = await listening(servers)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        peer = "{}:{}".format(*writer.get_extra_info("sockname"))
        writer.write(garbage(listener.port))
        answer = await _read_to_end(reader)
        assert len(answer) < 128
        writer.close()
        assert servers == []
        client = await connected(("127.0.0.1", listener.port), clients)
        client.connection.send(20, b"well")
        await until(lambda: bool(servers) and servers[0].frames == [(20, b"well")])
        await listener.close()
        return peer

    with caplog.at_level(logging.INFO, "penstock"):
        peer = run(main())
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.__dict__["peer"] == peer
    assert record.__dict__["reason"]


async def _read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("first_bytes", [b"", HEADER.pack(43, Kind.HELLO) + b"PENS"])
def test_a_half_open_connection_ends_at_its_deadline(first_bytes: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        servers = Recorders()
        listener = await listening(servers, HASTY)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(first_bytes)
        await _read_to_end(reader)
        writer.close()
        await listener.close()

    run(main())
    (record,) = caplog.records
    assert "did not prove itself within 0.05 s" in record.__dict__["reason"]


def test_a_port_probe_that_says_nothing_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        listener = await listening(Recorders())
        with socket.create_connection(("127.0.0.1", listener.port)):
            pass
        await until(lambda: any("refused" in record.message for record in caplog.records))
        await listener.close()

    with caplog.at_level(logging.DEBUG, "penstock"):
        run(main())
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_connections_that_have_not_proved_themselves_are_bounded() -> None:
    async def main() -> None:
        servers, clients = Recorders(), Recorders()
        listener = await listening(servers, ConnectionSettings(unproven_max=2))
        silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        with pytest.raises(PeerUnavailable):
            await connected(("127.0.0.1", listener.port), clients)
        silent[0][1].close()
        await _until_connects(lambda: connected(("127.0.0.1", listener.port), clients))
        silent[1][1].close()
        await listener.close()

    run(main())


async def _until_connects(connect: Callable[[], Awaitable[Recorder]]) -> None:
    while True:
        try:
            await connect()
            return
        except PeerUnavailable:
            continue


def test_an_open_connection_that_breaks_the_protocol_is_closed_with_one_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        servers, clients = Recorders(), Recorders()
        listener = await listening(servers, payload_bytes_max=10)
        client = await connected(("127.0.0.1", listener.port), clients)
        client.connection.send(20, b"eleven byte")
        await until(lambda: client.lost != [])
        assert "announces 11 bytes, but at most 10 may come" in servers[0].lost[0]
        await listener.close()

    run(main())
    (record,) = caplog.records
    assert record.message == "connection closed, the peer broke the protocol"


def test_a_wrong_token_is_an_error_that_says_so() -> None:
    async def main() -> None:
        listener = await listening(Recorders())
        with pytest.raises(ProtocolError, match=f"127.0.0.1:{listener.port}: the peer has another secret token"):
            await connected(("127.0.0.1", listener.port), Recorders(), token=b"guess")
        with pytest.raises(ProtocolError, match="ports were mixed up"):
            await connected(("127.0.0.1", listener.port), Recorders(), purpose=Purpose.DATA)
        await listener.close()

    run(main())


def test_a_server_that_speaks_something_else_is_an_error_that_says_so() -> None:
    async def main() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail.example.org ESMTP ready\r\n")
            await reader.read()
            writer.close()

        other = await asyncio.start_server(greet, "127.0.0.1", 0)
        with pytest.raises(ProtocolError, match="cannot open a connection to 127.0.0.1"):
            await connected(("127.0.0.1", other.sockets[0].getsockname()[1]), Recorders())
        other.close()

    run(main())


def test_nobody_at_the_port_is_an_error_that_names_it() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(PeerUnavailable, match=f"cannot connect to 127.0.0.1:{port}"):
            await connected(("127.0.0.1", port), Recorders())

    run(main())


def test_a_port_in_use_is_named_with_its_configuration_key() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listener = Listener(Recorders(), purpose=Purpose.RPC, token=TOKEN, payload_bytes_max=10, settings=SETTINGS)
            with pytest.raises(ConfigurationError, match=f"port {port} on 127.0.0.1 is in use.*taskmanager.rpc.port"):
                await listener.listen("127.0.0.1", port, "taskmanager.rpc.port")
            await listener.close()

    run(main())


def test_an_address_that_this_machine_has_not_is_named() -> None:
    async def main() -> None:
        listener = Listener(Recorders(), purpose=Purpose.RPC, token=TOKEN, payload_bytes_max=10, settings=SETTINGS)
        with pytest.raises(
            ConfigurationError, match=r"cannot listen on 192\.0\.2\.1: this machine has no such address"
        ):
            await listener.listen("192.0.2.1", 0, "taskmanager.rpc.port")
        await listener.close()

    run(main())
