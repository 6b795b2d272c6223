"""A silent peer is noticed in time and once; a quiet one that lives is left alone."""

import asyncio
import time

import msgspec

from penstock.exchange.handshake import Purpose
from penstock.exchange.listener import Listener
from penstock.exchange.settings import CONNECTION_DEFAULTS
from penstock.rpc.connection import RpcConnection
from penstock.rpc.endpoints import RpcServer, connect
from penstock.rpc.heartbeat import Heartbeat
from penstock.testing.loops import run, until


class Note(msgspec.Struct, tag=True, frozen=True):
    number: int


class Deaf:
    """Takes frames and does nothing."""

    def on_frame(self, kind: int, payload: bytes | bytearray) -> None:
        pass

    def on_lost(self, reason: str) -> None:
        pass


class Pair:
    """Both ends of one connection."""

    def __init__(self) -> None:
        self.accepted: list[RpcConnection[Note]] = []
        self.server: RpcServer[Note] = RpcServer(Note, b"secret", self.accepted.append)

    async def connect(self) -> RpcConnection[Note]:
        await self.server.listen("127.0.0.1", 0, "key")
        client: RpcConnection[Note] = await connect(Note, "127.0.0.1", self.server.port, b"secret")
        await until(lambda: self.accepted != [])
        return client


def test_a_peer_that_has_nothing_to_say_is_kept_alive_by_its_answers() -> None:
    async def main() -> None:
        pair, lost = Pair(), list[str]()
        client = await pair.connect()
        heartbeat = Heartbeat(client, 0.01, 0.2, lost.append)
        await asyncio.sleep(0.5)
        assert lost == []
        heartbeat.stop()
        await pair.server.close()

    run(main())


def test_a_peer_that_falls_silent_is_reported_once_with_the_time_it_was_silent() -> None:
    async def main() -> None:
        # A peer that reads and never answers, as a stopped process does: it proves itself, and no more.
        listener = Listener(
            lambda connection: Deaf(),
            purpose=Purpose.RPC,
            token=b"secret",
            payload_bytes_max=1000,
            settings=CONNECTION_DEFAULTS,
        )
        await listener.listen("127.0.0.1", 0, "key")
        client: RpcConnection[Note] = await connect(Note, "127.0.0.1", listener.port, b"secret")
        lost: list[str] = []
        Heartbeat(client, 0.02, 0.1, lost.append)
        await until(lambda: lost != [])
        await asyncio.sleep(0.1)
        assert len(lost) == 1
        assert lost[0].startswith(f"no sign of life from {client.peer} for 0.")
        await listener.close()

    run(main())


def test_time_that_this_process_slept_through_is_not_held_against_the_peer() -> None:
    async def main() -> None:
        pair, lost = Pair(), list[str]()
        client = await pair.connect()
        heartbeat = Heartbeat(client, 0.02, 0.1, lost.append)
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is blocked on purpose
        await asyncio.sleep(0.15)
        assert lost == []
        heartbeat.stop()
        await pair.server.close()

    run(main())


def test_a_closed_connection_needs_no_watching() -> None:
    async def main() -> None:
        pair, lost = Pair(), list[str]()
        client = await pair.connect()
        Heartbeat(client, 0.01, 0.05, lost.append)
        client.close()
        await client.closed
        await asyncio.sleep(0.1)
        assert lost == []
        await pair.server.close()

    run(main())
