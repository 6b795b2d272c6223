"""Ports of this machine for servers that are started again under the same one."""

import socket
from random import Random
from typing import Final

from penstock_operator.errors import OperatorError

_FIRST: Final = 20_000
_LAST: Final = 32_000
"""Below those that the kernel gives to connections: it would take one while its server is away."""
_TRIES: Final = 200


def free_ports(count: int, taken: frozenset[int], rng: Random) -> list[int]:
    """So many that nobody listens on and nobody has been promised."""
    found: list[int] = []
    for _ in range(_TRIES):
        port = rng.randrange(_FIRST, _LAST)
        if port not in taken and port not in found and is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise OperatorError(f"this machine has no {count} free ports between {_FIRST} and {_LAST}")


def is_free(port: int) -> bool:
    """Whether one could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
