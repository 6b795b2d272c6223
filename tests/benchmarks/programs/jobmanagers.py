"""The REST of many JobManagers in one process: each address that it is reached at is one, with a job that runs.

    python jobmanagers.py PORT PERIOD_S

Every job completes a checkpoint each PERIOD_S. Needs nothing but Python's own library: it is started by a node's
first process, within the node.
"""

import asyncio
import json
import sys
import time
from typing import Final

SUMMARY: Final = "/v1/penstock/summary"
_BEGUN: Final = 1_700_000_000
_BYTES: Final = 123_456_789


def summary(address: str, period_s: float, now: float) -> bytes:
    """What the JobManager at an address says now."""
    completed = int((now - _BEGUN) / period_s)
    told = {
        "standby": {
            "revision": "r1",
            "state": "STARTED",
            "startId": "0" * 32,
            "error": None,
            "slots": {"required": 2, "registered": 2},
            "preflight": {"status": "COMPATIBLE", "against": None, "findings": []},
            "ended": None,
        },
        "job": {"state": "RUNNING", "startTime": _BEGUN * 1000, "parallelism": 2, "restarts": 0, "failure": None},
        "checkpoints": {
            "completed": completed,
            "failed": 0,
            "last": {
                "id": completed,
                "path": f"s3://state/{address}/chk-{completed}",
                "triggerTime": int((_BEGUN + completed * period_s) * 1000),
                "stateSize": _BYTES,
            },
        },
    }
    return json.dumps(told).encode()


class Connection(asyncio.Protocol):
    """One, kept open as long as the other side likes; requests have no bodies."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(b"\r\n\r\n")
        for request in requests:
            path = request.split(b" ", 2)[1].decode()
            known = path == SUMMARY
            body = summary(self._address, self._period_s, time.time()) if known else b"{}"
            head = f"HTTP/1.1 {'200 OK' if known else '404 Not Found'}\r\nContent-Type: application/json; charset=UTF-8"
            self._transport.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


async def serve(port: int, period_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(period_s), "0.0.0.0", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
